"""What is measured: samples, the ratio of two contestants, and whether a figure is what was asked for. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Samples = Mapping[str, float]
"""One run of one contestant: what was measured -> the figure."""

Verdict = Literal["aim", "reached", "missed", ""]


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure must reach, and what it aims at. `at_most` when less is better."""

    reach: float
    aim: float | None = None
    at_most: bool = False

    def judge(self, value: float) -> Verdict:
        if self.aim is not None and self._good(value, self.aim):
            return "aim"
        return "reached" if self._good(value, self.reach) else "missed"

    def _good(self, value: float, bound: float) -> bool:
        return value <= bound if self.at_most else value >= bound


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    values  one per alternation; the figure is their median
    note    what else a reader must know
    """

    name: str
    unit: str
    values: tuple[float, ...]
    target: Target | None = None
    note: str = ""

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def verdict(self) -> Verdict:
        return "" if self.target is None else self.target.judge(self.median)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed (nearest rank). `ordered` is sorted, not empty."""
    return ordered[max(0, min(len(ordered), math.ceil(share * len(ordered))) - 1)]


class Rounds:
    """Samples of contestants that took turns: A B C, A B C, ..."""

    def __init__(self) -> None:
        self._samples: dict[str, list[Samples]] = {}

    def add(self, contestant: str, samples: Samples) -> None:
        self._samples.setdefault(contestant, []).append(samples)

    def figure(
        self, name: str, unit: str, contestant: str, what: str, *, target: Target | None = None, note: str = ""
    ) -> Figure:
        return Figure(name, unit, self._values(contestant, what), target, note)

    def ratio(self, name: str, what: str, of: str, to: str, *, target: Target | None = None, note: str = "") -> Figure:
        """`of` ÷ `to`, round by round: what disturbs the machine for longer than a round disturbs both."""
        pairs = zip(self._values(of, what), self._values(to, what), strict=True)
        return Figure(name, "ratio", tuple(one / other for one, other in pairs), target, note)

    def ratio_to_best(
        self, name: str, what: str, of: str, to: Sequence[str], *, target: Target | None = None, note: str = ""
    ) -> Figure:
        """`of` ÷ whichever of `to` has the highest median."""
        return self.ratio(name, what, of, self.best(what, to), target=target, note=note)

    def best(self, what: str, contestants: Iterable[str]) -> str:
        return max(contestants, key=lambda contestant: median(self._values(contestant, what)))

    def _values(self, contestant: str, what: str) -> tuple[float, ...]:
        return tuple(samples[what] for samples in self._samples[contestant])


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Least squares: by how much y grows per unit of x."""
    mean_x, mean_y = (sum(column) / len(points) for column in zip(*points, strict=True))
    spread = math.fsum((x - mean_x) ** 2 for x, _ in points)
    return math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / spread


def shown(value: float) -> str:
    """Three significant digits, thousands separated: as much as the noise leaves."""
    magnitude = abs(value)
    if magnitude >= 1000:  # noqa: PLR2004
        return f"{round(value, -1 if magnitude < 10_000 else -2):,.0f}"  # noqa: PLR2004
    if magnitude >= 100:  # noqa: PLR2004
        return f"{value:.0f}"
    return f"{value:.1f}" if magnitude >= 10 else f"{value:.2f}"  # noqa: PLR2004
