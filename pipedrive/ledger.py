"""What one account may still be asked: window and budget together, and times when it may be asked nothing.

A pure state machine: the same for one process and for many that share it through a database.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Self, TypeVar

from pipedrive.budget import Budget, Need, Terms
from pipedrive.errors import BlockedByPipedrive, BudgetExhausted, NotBefore
from pipedrive.quota import Quota, next_day
from pipedrive.request import WHO_AM_I
from pipedrive.windows import Window

PROBE_SECONDS: Final = 60.0
"""How long one process may take to find out whether an account may be asked again, before another tries."""

_LOOK_AGAIN: Final = 1.0
"""Seconds after which those look again who wait for another's probe."""


class Shut(StrEnum):
    """Why nothing may be asked, the least serious first."""

    BURST = "burst"
    DAILY = "daily"
    BLOCKED = "blocked"


_SERIOUS: Final = tuple(Shut)


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody wants to send a request of so many tokens."""

    need: Need
    cost: int


@dataclass(frozen=True, slots=True)
class Granted:
    """It may go, at once.

    known  our requests of the window when it was granted: `Allowance.learn` wants it back
    probe  nobody knows whether the account may be asked again: who gets this finds out for all, by `WHO_AM_I` alone
    """

    known: int = 0
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """It may go after so many seconds, if it is still the first then."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Refused:
    """It may not go before `until`, in seconds since 1970."""

    shut: Shut
    reason: str
    until: float

    def problem(self) -> NotBefore:
        if self.shut is Shut.BLOCKED:
            return BlockedByPipedrive(self.reason, self.until)
        return BudgetExhausted(self.reason, self.until)


Verdict = Granted | Wait | Refused


@dataclass(frozen=True, slots=True)
class News:
    """What an answer told; `known` as it was granted."""

    quota: Quota
    known: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """`shut` until `until`, in seconds since 1970; after that somebody probes until `probing` at most."""

    window: Window = field(default_factory=Window)
    budget: Budget = field(default_factory=Budget)
    shut: Shut | None = None
    until: float = 0.0
    probing: float = 0.0

    def told(self, news: Iterable[News], now: float) -> Self:
        window, budget = self.window.at(now), self.budget.at(now)
        for one in news:
            window, budget = window.told(one.quota, one.known, now), budget.told(one.quota)
        return replace(self, window=window, budget=budget)

    def refused(self, shut: Shut, seconds: float, now: float) -> Self:
        """Nothing more for so many seconds. What is more serious, or lasts longer, stays as it is."""
        until = now + seconds
        stays = self.shut is not None and now < self.until
        if stays and self.shut is not None:
            more_serious = _SERIOUS.index(self.shut) > _SERIOUS.index(shut)
            if more_serious or (self.shut is shut and self.until >= until):
                return self
        return replace(self, shut=shut, until=until, probing=0.0)

    def opened(self) -> Self:
        """A probe has found that all is well again."""
        return replace(self, shut=None, until=0.0, probing=0.0)


T = TypeVar("T")
Change = Callable[[Ledger, float], tuple[Ledger, T]]
"""Ledger and time (seconds since 1970) -> the ledger from then on, and what who amends it wants to know."""


def decide(ledger: Ledger, asks: Sequence[Ask], now: float, terms: Terms) -> tuple[Ledger, list[Verdict]]:
    """One verdict for each, in their order: the first come first."""
    ledger = replace(ledger, window=ledger.window.at(now), budget=ledger.budget.at(now))
    if ledger.shut is not None and now < ledger.until:
        return ledger, [_while_shut(ledger, now)] * len(asks)
    if ledger.shut in {Shut.DAILY, Shut.BLOCKED}:
        return _probe(ledger, asks, now)
    ledger = ledger.opened()
    verdicts: list[Verdict] = []
    for ask in asks:
        ledger, verdict = _one(ledger, ask, now, terms)
        verdicts.append(verdict)
    known = ledger.window.known
    return ledger, [Granted(known) if isinstance(verdict, Granted) else verdict for verdict in verdicts]


def _one(ledger: Ledger, ask: Ask, now: float, terms: Terms) -> tuple[Ledger, Verdict]:
    if lack := ledger.budget.lacks(ask.need, ask.cost, terms):
        return ledger, Refused(Shut.DAILY, f"{ask.need}: {lack}", next_day(now))
    if not ledger.window.free:
        return ledger, Wait(ledger.window.wait(now))
    paid = ledger.budget.paid(ask.need, ask.cost)
    return replace(ledger, window=ledger.window.taken(now), budget=paid), Granted()


def _while_shut(ledger: Ledger, now: float) -> Verdict:
    match ledger.shut:
        case Shut.DAILY:
            return Refused(Shut.DAILY, "Pipedrive says that the account's tokens of today are spent", ledger.until)
        case Shut.BLOCKED:
            return Refused(Shut.BLOCKED, "the network before Pipedrive has refused a request", ledger.until)
        case _:
            return Wait(ledger.until - now)


def _probe(ledger: Ledger, asks: Sequence[Ask], now: float) -> tuple[Ledger, list[Verdict]]:
    """Nobody knows whether the account may be asked again: the first finds out, the others wait for what it finds."""
    if not asks or now < ledger.probing <= now + PROBE_SECONDS:
        return ledger, [Wait(_LOOK_AGAIN)] * len(asks)
    paid = ledger.budget.paid(Need.LIVE, WHO_AM_I.cost)
    ledger = replace(ledger, window=ledger.window.taken(now), budget=paid, probing=now + PROBE_SECONDS)
    return ledger, [Granted(ledger.window.known, probe=True), *[Wait(_LOOK_AGAIN)] * (len(asks) - 1)]
