"""From POST to a row that others can read, while the same company's account is read whole."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from rig.processes import Installation

from bench.account import ULTIMATE, account, reading, walked
from bench.database import fresh, journaled_by, prepared, read_one
from bench.effort import Effort
from bench.figures import Figure, Rounds, Samples, Target
from bench.ground import Ground, authorized, end
from bench.load import Order
from bench.parts.latency import COMPANIES, START_WITHIN, shares, watch
from bench.workload import story

_RATE: Final = 200
_TIMES: Final = 10
"""Of the large account: what is read must last as long as is measured."""
_TARGET: Final = Target(reach=250, at_most=True)
_UNDER_WAY: Final = 2_000
"""Rows. From then on large lists are read."""
_WITHIN: Final = 60.0
_BACKFILL, _ALONE = "during a backfill", "without"


async def measure(ground: Ground, effort: Effort) -> list[Figure]:
    """With and without a backfill in turn."""
    told = story(deals=effort.deals, events=effort.events // 2)
    template = await prepared(ground, told, 1)
    bodies = ground.save("happening", told.happening)
    rounds = Rounds()
    async with account(ground, ULTIMATE, times=_TIMES, company_id=COMPANIES[0]) as url:
        for _ in range(effort.long_rounds):
            rounds.add(_BACKFILL, await _sample(ground, template, bodies, effort, url))
            rounds.add(_ALONE, await _sample(ground, template, bodies, effort, None))
    return [
        *(
            rounds.figure(
                f"{_RATE} events/s {name}: {share}", "ms", name, share,
                target=_TARGET if (name, share) == (_BACKFILL, "p99") else None,
            )
            for name in (_BACKFILL, _ALONE)
            for share in ("p50", "p95", "p99")
        ),
        rounds.figure("error", "ms", _BACKFILL, "look", note="at most too long by that (p99)"),
        rounds.figure("backfill meanwhile: rows/s", "/s", _BACKFILL, "rows"),
    ]  # fmt: skip


async def _sample(ground: Ground, template: str, bodies: str, effort: Effort, url: str | None) -> Samples:
    seconds = 2 * effort.seconds
    async with fresh(ground, template) as dsn, ground.installed(dsn, broker=True) as installation:
        installation.settings |= {} if url is None else reading(url)
        receiver, worker = await installation.running()
        ground.place(measured=None)
        first, known = _RATE, (await read_one(dsn, "SELECT count(*) AS events FROM pipemirror.events"))["events"]
        await ground.load(Order(receiver.port, authorized(COMPANIES), bodies, requests=first))
        await journaled_by(dsn, known + first, worker)
        async with _reading(installation, dsn, url is not None):
            begin = time.monotonic() + START_WITHIN
            order = Order(
                receiver.port, authorized(COMPANIES), bodies, first=first, rate=_RATE, seconds=seconds, begin=begin
            )  # fmt: skip
            before = await walked(dsn)
            _, watched = await asyncio.gather(ground.load(order), watch(dsn, order))
            after = await walked(dsn)
            if url is not None and not after.unfinished:
                raise RuntimeError("all was read before the measurement ended")
        await worker.terminate()
        await ground.purge()
    return {**shares(watched), "rows": (after.rows - before.rows) / (seconds + START_WITHIN)}


@asynccontextmanager
async def _reading(installation: Installation, dsn: str, wanted: bool) -> AsyncIterator[None]:
    """Read the account whole meanwhile, from when its large lists have begun."""
    if not wanted:
        yield
        return
    process = await installation.start("connect")
    try:
        async with asyncio.timeout(_WITHIN):
            while (await walked(dsn)).rows < _UNDER_WAY:
                if process.returncode is not None:
                    raise RuntimeError((await process.communicate())[1].decode()[-2000:])
                await asyncio.sleep(0.1)
        yield
    finally:
        await end(process)
