"""How often to do something again: try, with growing waits; say, not more than once in a while."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds: `first`, doubled with each attempt, at most `cap`; each cut by a random part of up to half.

    The jitter keeps many processes from coming back at once.
    """

    first: float = 0.1
    cap: float = 10.0

    def delay(self, attempt: int, chance: Callable[[], float] = random.random) -> float:
        """Seconds before attempt `attempt` + 1, where the first attempt is 0; `chance` gives numbers in [0, 1)."""
        # 2 ** 30 seconds exceed any cap; without a bound the power of a long outage overflows a float.
        full = min(self.cap, self.first * 2.0 ** min(attempt, 30))
        return full * (1 - chance() / 2)


RECONNECT: Final = Backoff()
"""For connections to our own services: 0.1 s up to 10 s."""


class Seldom:
    """What may happen any number of times shall be told, but not each time."""

    def __init__(self, every: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        """`every` in seconds."""
        self._every = every
        self._clock = clock
        self._next: dict[str, float] = {}

    def due(self, what: str = "") -> bool:
        """Whether `what` was not told for `every` seconds; then it counts as told."""
        now = self._clock()
        due = now >= self._next.get(what, now)
        if due:
            # What was told long ago is forgotten: there may be any number of different words.
            self._next = {told: then for told, then in self._next.items() if then > now}
            self._next[what] = now + self._every
        return due


class Repeated:
    """As `Seldom`, where each time counts: what was not told is counted, and told with the next one that is."""

    def __init__(self, every: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        """`every` in seconds."""
        self._seldom = Seldom(every, clock)
        self._untold: Counter[str] = Counter()

    def due(self, what: str = "") -> int:
        """How often it was `what` since that was last told, this time included; 0 when it is not to be told now."""
        self._untold[what] += 1
        return self._untold.pop(what) if self._seldom.due(what) else 0
