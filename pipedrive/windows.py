"""The window of two seconds in which Pipedrive counts the requests of a token: who may go when.

A grant is counted from its time until two seconds after, and a little longer: so whatever processes do, no two seconds
hold more than the limit. The state is a plain value, which several processes hand on to each other.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

from pipedrive.quota import Quota

WINDOW: Final = 2.0
LOWEST: Final = 20
"""Requests per window of the smallest plan with an API token: so long as no answer has told more."""

MARGIN: Final = 0.05
"""Seconds by which two requests may come to lie closer at Pipedrive than they were sent."""

LATE: Final = 0.25
"""Seconds by which one may come later than it was granted: a process that reads large pages sends when it comes to it.
Only so long after its window is what Pipedrive counts beyond ours of somebody else."""

SLICE: Final = 0.025
"""Grants are counted by slices of so many seconds, or the state would grow with their number."""

_MOST: Final = 10_000

Counts = tuple[tuple[int, int], ...]
"""(number of the slice since 1970, requests), oldest first."""


@dataclass(frozen=True, slots=True)
class Window:
    """What may be asked, by what was granted.

    limit   requests of two seconds
    ours    granted, by slices
    others  of somebody else who uses the same token, as far as answers have shown them
    late    granted before that, and counted by Pipedrive still if they came late
    """

    limit: int = LOWEST
    ours: Counts = ()
    others: Counts = ()
    late: Counts = ()

    def at(self, now: float) -> Self:
        """Without what lies more than a window back, or, after a clock was set back, ahead."""
        late = tuple(slice_ for slice_ in self.late + self.ours if now - LATE < _end(slice_[0]) <= now)
        return replace(self, ours=_kept(self.ours, now), others=_kept(self.others, now), late=late)

    @property
    def known(self) -> int:
        """How many of those that Pipedrive may count are ours."""
        return _total(self.ours) + _total(self.late)

    @property
    def free(self) -> int:
        """How many more may go, of a window that is `at` now."""
        return max(self.limit - _total(self.ours) - _total(self.others), 0)

    def wait(self, now: float) -> float:
        """Seconds until one more may go than now."""
        oldest = min((counts[0][0] for counts in (self.ours, self.others) if counts), default=None)
        return SLICE if oldest is None else max(_end(oldest) - now, 0.001)

    def taken(self, now: float) -> Self:
        return replace(self, ours=_added(self.ours, now, 1))

    def told(self, quota: Quota, known: int, now: float) -> Self:
        """After an answer. `known` is how many were ours when its request was granted, those granted with it included.

        What Pipedrive counts beyond is of somebody else. Each answer tells so, so it is raised to what is told, not
        added. How many are left is not believed further: it is as old as the answer is slow, and of ours we know more.
        """
        if not quota.window_limit:
            return self
        learnt = replace(self, limit=min(quota.window_limit, _MOST)).at(now)
        if quota.window_left is None:
            return learnt
        # Requests overtake each other: those granted since may have been counted before this one. On the way to
        # Pipedrive, too, some fall into another window than they were granted in: a few beyond are ours all the same.
        beyond = quota.window_limit - quota.window_left - max(known, learnt.known)
        if beyond <= max(_total(learnt.others), learnt.limit // 10):
            return learnt
        return replace(learnt, others=_added(learnt.others, now, beyond - _total(learnt.others)))


def _total(counts: Counts) -> int:
    return sum(requests for _, requests in counts)


def _end(number: int) -> float:
    """When what was granted in this slice does not count any more: as if all of it had been at its end."""
    return (number + 1) * SLICE + WINDOW + MARGIN


def _kept(counts: Counts, now: float) -> Counts:
    return tuple(slice_ for slice_ in counts if now < _end(slice_[0]) <= now + WINDOW + MARGIN + 2 * SLICE)


def _added(counts: Counts, now: float, requests: int) -> Counts:
    number = int(now / SLICE)
    if counts and counts[-1][0] >= number:
        last, before = counts[-1]
        return (*counts[:-1], (last, before + requests))
    return (*counts, (number, requests))
