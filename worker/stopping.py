"""How a worker ends: what is at hand may be finished, what is stalled goes back, and nobody is waited for long."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import structlog

from store.database import Pool
from worker.writers import Writers

_log = structlog.stdlib.get_logger(__name__)
_LOOKED_AT_EVERY: Final = 0.1
_CANCEL_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 5.0


async def consume(
    running: "asyncio.Future[None]",
    writers: Writers,
    stop: asyncio.Event,
    *,
    stop_within: float,
    helpers: Sequence["asyncio.Future[None]"],
) -> None:
    """Two-step stop: the batch at hand may finish; stalled, or past the deadline, it goes back to the queue.

    Raise what ends the consumer, which is `running`, or one of the `helpers` beside it, which end by themselves for no
    other reason.
    """
    stopping = asyncio.ensure_future(stop.wait())
    ends: list[asyncio.Future[Any]] = [running, stopping, *helpers]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for helper in helpers:
            if helper.done():
                helper.result()
        if not await _finishes(running, writers, stop_within):
            _log.warning("stopped_with_work_unfinished", deadline_s=stop_within)
            return
        await running
    finally:
        stopping.cancel()


async def _finishes(running: "asyncio.Future[None]", writers: Writers, within: float) -> bool:
    """Wait for it at most `within` seconds, and not at all while nothing moves."""
    clock = asyncio.get_running_loop().time
    end = clock() + within
    while not running.done() and not writers.stalled and clock() < end:
        await asyncio.wait((running,), timeout=_LOOKED_AT_EVERY)
    return running.done()


async def _cancel(tasks: Sequence["asyncio.Future[Any]"]) -> bool:
    """Whether all of them ended soon; one that waits for a silent Postgres may not."""
    for task in tasks:
        task.cancel()
    _, left = await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)
    return not left


async def end(tasks: Sequence["asyncio.Future[Any]"], pools: Sequence[Pool]) -> None:
    """End all that uses the pools, then these. What does not let go of a connection has it taken away."""
    if await _cancel(tasks):
        await asyncio.gather(*map(_close, pools))
        return
    _log.warning("connections_taken_away", tasks=sum(not task.done() for task in tasks))
    for pool in pools:
        pool.terminate()
    # Again: who was cancelled while it waited for an answer hears now that there is none, and would begin anew.
    await _cancel(tasks)


async def _close(pool: Pool) -> None:
    try:
        await asyncio.wait_for(pool.close(), _CLOSE_SECONDS)
    except TimeoutError:
        pool.terminate()
