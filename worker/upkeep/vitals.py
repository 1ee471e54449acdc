"""What a worker measures of the services around it every few seconds, whether or not it has work."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import structlog

from runtime.amqp import SilentConsumer
from runtime.health import Condition
from runtime.measurements import BACKLOG, DATABASE_PING_SECONDS, EVENTS
from runtime.metrics import Metrics
from runtime.transport import Subscription
from schema.errors import DatabaseSilent, DatabaseUnavailable, NotNow, Problem
from store.database import Pool, borrowed, describe, not_now

_log = structlog.stdlib.get_logger(__name__)
EVERY: Final = 5.0
SILENT: Final = 10.0
"""Seconds that an empty question to Postgres may take, the wait for a connection included."""

IDLE: Final = 60.0
"""Seconds without any event done while messages wait."""


class Vitals:
    """Asks queue and database, each in a loop of its own: one that does not answer must not hide the other.

    excused  whether there is a known reason why no event is done just now, said elsewhere
    """

    def __init__(
        self,
        pool: Pool,
        subscription: Subscription,
        metrics: Metrics,
        *,
        excused: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._subscription = subscription
        self._metrics = metrics
        self._excused = excused
        self._clock = clock
        self._asked: float | None = None
        self._database: NotNow | None = None
        self._done = 0.0
        self._idle_since: float | None = None

    async def run(self, every: float = EVERY) -> None:
        """Until cancelled."""
        await asyncio.gather(_again(self.ask_queue, every), _again(self.ask_database, every))

    def conditions(self) -> Iterator[Condition]:
        now = self._clock()
        if self._asked is not None and now - self._asked >= SILENT:
            reason = f"Postgres has not answered an empty question for {now - self._asked:.0f} s"
            yield Condition(DatabaseSilent.code, reason)
        elif self._database is not None:
            yield Condition(self._database.code, self._database.reason)
        if self._idle_since is not None and not self._excused() and now - self._idle_since >= IDLE:
            reason = f"messages wait and none was done for {now - self._idle_since:.0f} s"
            yield Condition(SilentConsumer.code, reason)

    async def ask_queue(self) -> None:
        try:
            waiting = await self._subscription.backlog()
        except Problem as problem:
            self._metrics.forget(BACKLOG)
            self._idle_since = None
            if not isinstance(problem, NotNow):
                _log.warning("backlog_unknown", code=problem.code, reason=problem.reason)
            return
        for queue, messages in waiting.items():
            self._metrics.set(BACKLOG, messages, queue)
        self._note_progress(any(waiting.values()))

    def _note_progress(self, waiting: bool) -> None:
        done = self._metrics.total(EVENTS)
        if not waiting or done != self._done or self._excused():
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = self._clock()
        self._done = done

    async def ask_database(self) -> None:
        self._asked = began = self._clock()
        try:
            async with borrowed(self._pool) as connection:
                await connection.fetchval("SELECT 1")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            self._metrics.forget(DATABASE_PING_SECONDS)
            self._database = not_now(error) or DatabaseUnavailable(describe(error))
        else:
            self._metrics.set(DATABASE_PING_SECONDS, self._clock() - began)
            self._database = None
        finally:
            self._asked = None


async def _again(ask: Callable[[], Awaitable[None]], every: float) -> None:
    while True:
        try:
            await ask()
        except Exception:  # noqa: BLE001 - nobody would notice that this was the last look
            _log.exception("vitals_crashed")
        await asyncio.sleep(every)
