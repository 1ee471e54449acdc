"""What became of the events: counters, response times, and which records the receiver cannot know rightly."""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from sandbox.events import Event
from sandbox.shelf import Id

Loss = Literal["dropped", "banned", "deleted", "gave_up", "unsubscribed"]
Key = tuple[str, Id]


@dataclass(slots=True)
class Counters:
    """Deliveries so far.

    sent       POSTs, retries and duplicates included
    acked      events answered with 2xx, duplicates not included
    retried    attempts after the first
    failed     attempts without a 2xx in time
    duplicates extra deliveries of an event already sent
    lost       events never acknowledged: dropped on purpose, banned, given up after four attempts, or never sent
               because nobody was subscribed
    banned     of those, the ones that happened during a ban or after the deletion of the webhook
    unheard    events of entities that the subscribed versions do not tell of
    """

    sent: int = 0
    acked: int = 0
    retried: int = 0
    failed: int = 0
    duplicates: int = 0
    lost: int = 0
    banned: int = 0
    unheard: int = 0
    response_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=100_000))

    def percentile(self, share: float) -> float | None:
        """Response time in seconds that `share` of the last 100,000 attempts stayed under; None before the first."""
        ordered = sorted(self.response_seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


@dataclass(frozen=True, slots=True)
class Lost:
    """An event that never arrived; `at` in microseconds since 1970."""

    entity: str
    id: Id
    action: str
    at: int
    reason: Loss


class Ledger:
    """Books every event exactly once as acknowledged or lost."""

    def __init__(self, counters: Counters | None = None, *, whole_states: bool = True) -> None:
        """`whole_states`: a later event makes up for a lost one, as each tells the record's whole state."""
        self.counters = counters or Counters()
        self.lost: list[Lost] = []
        self._whole_states = whole_states
        self._heard_at: dict[Key, float] = {}
        self._lost_at: dict[Key, float] = {}

    def acked(self, event: Event) -> None:
        key = (event.entity, event.id)
        self.counters.acked += 1
        self._heard_at[key] = max(self._heard_at.get(key, 0), event.at)

    def lose(self, event: Event, reason: Loss) -> None:
        self.counters.lost += 1
        self.counters.banned += reason in {"banned", "deleted"}
        self.lost.append(Lost(event.entity, event.id, event.action, event.at, reason))
        key = (event.entity, event.id)
        self._lost_at[key] = max(self._lost_at.get(key, 0), event.at if self._whole_states else math.inf)
        if event.loser is not None:
            # v1 tells only the winner's side of a merge: no later event of the loser makes up for it.
            self._lost_at[event.entity, event.loser["id"]] = math.inf

    def unsettled(self) -> frozenset[Key]:
        """Records of which the newest event was lost."""
        return frozenset(key for key, at in self._lost_at.items() if at >= self._heard_at.get(key, 0))
