"""Event times: in true order, strictly increasing per record in the coarser of both versions' resolutions."""

import random
from collections.abc import Callable, Hashable


class Instants:
    """Hands out event times in microseconds since 1970, never before `now()`.

    v2 tells milliseconds and v1 microseconds. So that a record's events keep their order whichever version tells each
    of them, two of them never share a millisecond, except by `again`.
    """

    def __init__(self, now: Callable[[], int], rng: random.Random, *, whole_milliseconds: bool = False) -> None:
        self._now = now
        self._rng = rng
        self._whole = whole_milliseconds
        self._last: dict[Hashable, int] = {}

    def next(self, *keys: Hashable) -> int:
        """One event time for all of these records, later than the last of each."""
        millis = max(self._now() // 1_000, *(self._last.get(key, 0) // 1_000 + 1 for key in keys))
        at = millis * 1_000 + (0 if self._whole else self._rng.randrange(1_000))
        self._last.update(dict.fromkeys(keys, at))
        return at

    def again(self, key: Hashable) -> int:
        """The last event time of this record once more."""
        return self._last[key]
