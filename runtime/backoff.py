"""How long to wait before trying again: exponential, with jitter so that many processes do not come back at once."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds: `first`, doubled with each attempt, at most `cap`; each cut by a random part of up to half."""

    first: float = 0.1
    cap: float = 10.0

    def delay(self, attempt: int, chance: Callable[[], float] = random.random) -> float:
        """Seconds before attempt `attempt` + 1, where the first attempt is 0; `chance` gives numbers in [0, 1)."""
        # 2 ** 30 seconds exceed any cap; without a bound the power of a long outage overflows a float.
        full = min(self.cap, self.first * 2.0 ** min(attempt, 30))
        return full * (1 - chance() / 2)


RECONNECT: Final = Backoff()
"""For connections to our own services: 0.1 s up to 10 s."""
