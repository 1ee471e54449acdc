"""The tokens of a day: what of the account's we may spend, and who of us comes first.

Pipedrive gives an account so many tokens a day, for all that its integrations do. We keep to a share of them, and stop
earlier where the account comes near its end, whoever spent it. Of the share, what is not urgent leaves a part to what
is: see `PARTS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self

from pipedrive.quota import DAY, Quota

LOWEST: Final = 30_000
"""Tokens of a day for one seat of the smallest plan: what is assumed where nobody tells more."""


class Need(StrEnum):
    """What a request is for, the most urgent first."""

    LIVE = "live"
    """Records that just changed, the check of a subscription, a record about to be declared deleted."""
    SWEEP = "sweep"
    """What changed since the last time."""
    BULK = "bulk"
    """All of a list: backfill, whole reconcile."""


PARTS: Final[Mapping[Need, float]] = MappingProxyType({Need.LIVE: 1.0, Need.SWEEP: 0.95, Need.BULK: 0.8})
"""How much of the share may be spent, by all together, when one of this need still gets tokens."""

SWEEPS: Final = 1 / 3
"""Of our share of a day, what sweeps at their usual distance may spend."""

FLOORS: Final[Mapping[Need, float]] = MappingProxyType({Need.LIVE: 0.02, Need.SWEEP: 0.05, Need.BULK: 0.1})
"""How much of the account's tokens must be left to others, where Pipedrive tells what is left."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is set or known of an account beside what answers tell.

    share  of the account's tokens that may be ours, up to 1
    daily  the account's tokens of a day, where Pipedrive does not tell
    """

    share: float = 0.5
    daily: int | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """What was spent, and what was told.

    day    days since 1970, UTC. When Pipedrive's own day begins is not documented
    spent  tokens of the day by need; also of requests that failed, as nobody says whether those are charged
    limit  the account's tokens of a day, as told
    left   of those, as told last; `since` is what we have spent since then
    seats  active users of the account, as far as they were read: each is paid for, and has tokens
    """

    day: int = 0
    spent: Mapping[Need, int] = field(default_factory=lambda: MappingProxyType({}))
    limit: int | None = None
    left: int | None = None
    since: int = 0
    seats: int = 1

    @property
    def total(self) -> int:
        return sum(self.spent.values())

    def at(self, now: float) -> Self:
        """With a new day, nothing is spent, and what was left yesterday says nothing."""
        day = int(now // DAY)
        return self if day == self.day else replace(self, day=day, spent=MappingProxyType({}), left=None, since=0)

    def daily(self, terms: Terms) -> int:
        """The account's tokens of a day: told, or set, or at least."""
        return self.limit or terms.daily or LOWEST * max(self.seats, 1)

    def share(self, terms: Terms) -> int:
        return int(self.daily(terms) * terms.share)

    def apart(self, cost: int, terms: Terms) -> float:
        """Seconds between two sweeps of so many tokens, or they would leave too little to what else is to be read."""
        return DAY * cost / max(self.share(terms) * SWEEPS, 1)

    def lacks(self, need: Need, cost: int, terms: Terms) -> str:
        """Why a request may not be paid today; empty if it may."""
        share = self.share(terms)
        if self.total + cost > share * PARTS[need]:
            return f"{self.total} of our {share} tokens of today are spent, the rest is for what is more urgent"
        if self.left is not None and self.left - self.since - cost < self.daily(terms) * FLOORS[need]:
            return f"only {max(self.left - self.since, 0)} of the account's tokens of today are left, by whomever spent"
        return ""

    def paid(self, need: Need, cost: int) -> Self:
        spent = MappingProxyType({**self.spent, need: self.spent.get(need, 0) + cost})
        return replace(self, spent=spent, since=self.since + cost)

    def told(self, quota: Quota) -> Self:
        """After an answer. Who has a limit of nothing, and is answered all the same, has none that we know of."""
        limit = quota.tokens_limit or self.limit
        if quota.tokens_left is None or quota.tokens_limit == 0:
            return replace(self, limit=limit)
        return replace(self, limit=limit, left=quota.tokens_left, since=0)
