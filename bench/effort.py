"""How long and how often things are measured: in full, or just long enough to see that the benchmark works."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Effort:
    """Rounds of alternation, and how much each holds.

    rounds       of what is compared by ratio
    long_rounds  of what takes long
    seconds      that a server is loaded in one round, after `warm_up` seconds that are not counted
    events       that a worker drains in one round
    deals        of the made-up company; it has four records for each
    minutes      that memory is watched
    companies    numbers of companies whose growth is measured
    rows         sizes of the table whose growth is measured
    """

    rounds: int
    long_rounds: int
    warm_up: float
    seconds: float
    events: int
    deals: int
    minutes: float
    companies: tuple[int, ...]
    rows: tuple[int, ...]


FULL: Final = Effort(
    rounds=5, long_rounds=3, warm_up=1.0, seconds=5.0, events=40_000, deals=2_000, minutes=10.0,
    companies=(1, 10, 200), rows=(10_000, 1_000_000, 10_000_000),
)  # fmt: skip

QUICK: Final = Effort(
    rounds=2, long_rounds=1, warm_up=0.5, seconds=1.5, events=8_000, deals=500, minutes=0.5,
    companies=(1, 10), rows=(10_000, 100_000),
)  # fmt: skip
