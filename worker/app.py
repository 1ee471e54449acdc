"""One worker process: database, consumer, housekeeping, health; and the order in which they start and stop."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from runtime.health import Check, Condition, answer
from runtime.metrics import BACKLOG, BREAKER_OPEN, Metrics
from runtime.transport import Subscription
from schema.errors import NotNow, Problem
from store.database import Pool, create_pool
from worker.applier import Applier
from worker.batch import Limits
from worker.breaker import BreakerOpen
from worker.consumer import Consumer
from worker.housekeeping import keep_house
from worker.migrate import migrate

_log = structlog.stdlib.get_logger(__name__)
_MEASURED_EVERY = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """How one worker works; times in seconds."""

    database_url: str
    journal_days: int = 14
    numbered_slugs: bool = False
    limits: Limits = field(default_factory=Limits)
    stop_within: float = 20.0


async def work(
    options: Options,
    subscription: Subscription,
    metrics: Metrics,
    checks: list[Check],
    stop: asyncio.Event,
    *,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Migrate, then apply until `stop`. Raise DatabaseUnavailable at the start, BreakerOpen or a transport's end later.

    checks   gets the worker's own conditions, for whoever answers /readyz
    started  is called once the database is prepared and events are about to be applied
    """
    await migrate(options.database_url)
    pool = await create_pool(options.database_url, size=4, application="pipemirror worker")
    try:
        applier = Applier(pool, metrics, numbered_slugs=options.numbered_slugs)
        checks.append(applier.conditions)
        started()
        consumer = Consumer(subscription, applier, limits=options.limits)
        checks.append(consumer.conditions)
        helpers = (
            asyncio.ensure_future(keep_house(pool, journal_days=options.journal_days)),
            asyncio.ensure_future(_measure_backlog(subscription, metrics)),
        )
        try:
            await _consume(consumer, stop, options.stop_within, metrics, checks)
        finally:
            await _cancel(helpers)
    finally:
        await _close(pool)


async def _consume(
    consumer: Consumer, stop: asyncio.Event, stop_within: float, metrics: Metrics, checks: list[Check]
) -> None:
    """Two-step stop: the batch at hand may finish; past the deadline it goes back to the queue unacknowledged."""
    running = asyncio.ensure_future(consumer.run(stop))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            await asyncio.wait((running,), timeout=stop_within)
        if not running.done():
            _log.warning("stopped_with_work_unfinished", deadline_s=stop_within)
            return
        await running
    except BreakerOpen as problem:
        opened = Condition(problem.code, problem.reason)
        metrics.set(BREAKER_OPEN, 1)
        checks.append(lambda: (opened,))
        raise
    finally:
        await _cancel((running, stopping))


async def _measure_backlog(subscription: Subscription, metrics: Metrics) -> None:
    while True:
        try:
            for queue, messages in (await subscription.backlog()).items():
                metrics.set(BACKLOG, messages, queue)
        except Problem as problem:
            metrics.forget(BACKLOG)
            if not isinstance(problem, NotNow):
                _log.warning("backlog_unknown", code=problem.code, reason=problem.reason)
        await asyncio.sleep(_MEASURED_EVERY)


async def _cancel(tasks: Sequence["asyncio.Future[Any]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _close(pool: Pool) -> None:
    try:
        await asyncio.wait_for(pool.close(), 5)
    except TimeoutError:
        pool.terminate()


async def serve_health(
    checks: Sequence[Check], metrics: Metrics, *, host: str, port: int, fixed: bool, note: Path
) -> web.ServerRunner:
    """Answer /livez, /readyz and /metrics. `note` gets the port: a free one where `port` is taken.

    Raise OSError for a taken port that is `fixed`.
    """

    async def handle(request: web.BaseRequest) -> web.Response:
        return answer(request.path, checks, metrics) or web.Response(status=404)

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        if fixed:
            await runner.cleanup()
            raise
        await web.TCPSite(runner, host, 0).start()
    await asyncio.to_thread(_write_note, note, runner.addresses[0][1])
    return runner


def _write_note(note: Path, port: int) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{port}\n")
    except OSError as error:
        # A full disk above all: the worker that empties the spool must not need room to start.
        _log.warning("port_not_noted", port=port, file=str(note), reason=error.strerror)
