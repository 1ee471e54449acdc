"""One limiter per account, across processes: who takes from it may send one request, at once.

The thinking is done by `pipedrive.ledger`, the remembering by the books: in memory for one process, in Postgres for
several (`store/allowances.py`). Those who wait in one process wait together, so that the books are opened once for
all of them, however many they are; and no two processes look again at the same time.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Final, Protocol

from pipedrive.budget import Need, Terms
from pipedrive.ledger import Ask, Change, Granted, Ledger, News, Refused, Shut, T, Verdict, Wait, decide
from pipedrive.quota import Quota

_JITTER: Final = 0.025
_MOST_AT_ONCE: Final = 500
_RANK: Final = {need: rank for rank, need in enumerate(Need)}


class Books(Protocol):
    """Where the ledger of one account is kept."""

    async def amend(self, change: Change[T]) -> T:
        """Apply `change` to the ledger alone: nobody else amends it meanwhile. Raise NotNow where it is out of reach.

        `change` may be called again if the first attempt came to nothing.
        """
        ...


class InMemory:
    """Books of one process, which forget with it."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.ledger = Ledger()
        self._clock = clock

    async def amend(self, change: Change[T]) -> T:
        self.ledger, result = change(self.ledger, self._clock())
        return result


class _Asking:
    """One that waits."""

    __slots__ = ("ask", "verdict")

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()


class Allowance:
    """What one account may be asked. To be used by the tasks of one event loop."""

    def __init__(self, books: Books, terms: Terms, *, chance: Callable[[], float] = random.random) -> None:
        self._books = books
        self._terms = terms
        self._chance = chance
        self._asking: list[_Asking] = []
        self._news: list[News] = []
        self._limit: int | None = None
        self._look_again = asyncio.Event()
        self._dispatching: asyncio.Task[None] | None = None

    async def take(self, need: Need, cost: int) -> Granted:
        """Wait until one request of so many tokens may go; the most urgent need goes first.

        Raise BudgetExhausted or BlockedByPipedrive, each with `until`, rather than wait for long; NotNow of the books.
        """
        asking = _Asking(Ask(need, cost))
        self._asking.append(asking)
        if self._dispatching is None or self._dispatching.done():
            self._dispatching = asyncio.create_task(self._dispatch())
        try:
            verdict = await asking.verdict
        finally:
            if asking in self._asking:
                self._asking.remove(asking)
        if isinstance(verdict, Refused):
            raise verdict.problem()
        assert isinstance(verdict, Granted)
        return verdict

    def learn(self, quota: Quota, granted: Granted) -> None:
        """What an answer has told; written down with the next one that asks, which is before it matters."""
        self._news.append(News(quota, granted.known))
        if quota.window_limit is not None and quota.window_limit != self._limit:
            self._limit = quota.window_limit
            self._look_again.set()

    async def refused(self, shut: Shut, seconds: float) -> float:
        """An answer has told that nothing more may be asked for so long; until when that is, in seconds since 1970."""

        def change(ledger: Ledger, now: float) -> tuple[Ledger, float]:
            amended = ledger.refused(shut, seconds, now)
            return amended, amended.until

        return await self._books.amend(change)

    async def opened(self) -> None:
        """Who was granted a probe was answered: the others may ask again."""
        await self._books.amend(lambda ledger, _: (ledger.opened(), None))
        self._look_again.set()

    async def aclose(self) -> None:
        """Who still waits is cancelled."""
        for asking in self._asking:
            asking.verdict.cancel()
        if self._dispatching is not None:
            self._dispatching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._dispatching

    async def _dispatch(self) -> None:
        """As long as somebody asks."""
        while self._asking:
            try:
                wait = await self._round()
            except Exception as error:  # noqa: BLE001 - it is theirs who ask
                for asking in self._asking:
                    if not asking.verdict.done():
                        asking.verdict.set_exception(error)
                return
            if wait:
                await self._pause(wait)

    async def _round(self) -> float:
        """Seconds until the next one may be granted; 0 if all have their verdict."""
        self._look_again.clear()
        asking = sorted(self._asking, key=lambda one: _RANK[one.ask.need])[:_MOST_AT_ONCE]
        asks, news = [one.ask for one in asking], self._news
        self._news = []
        verdicts = await self._books.amend(lambda ledger, now: decide(ledger.told(news, now), asks, now, self._terms))
        for one, verdict in zip(asking, verdicts, strict=True):
            if isinstance(verdict, Wait):
                continue
            self._settle(one, verdict)
        return min((verdict.seconds for verdict in verdicts if isinstance(verdict, Wait)), default=0.0)

    def _settle(self, one: _Asking, verdict: Verdict) -> None:
        if one in self._asking:
            self._asking.remove(one)
        if not one.verdict.done():  # else it was given up meanwhile, and what it took is lost, and counted
            one.verdict.set_result(verdict)

    async def _pause(self, seconds: float) -> None:
        """Or until there is news that may shorten it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds + self._chance() * _JITTER):
                await self._look_again.wait()
