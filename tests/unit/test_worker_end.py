"""The end of a worker: nothing is left that uses its pool, and nothing is waited for that will not come."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from runtime.metrics import Metrics
from schema.errors import DatabaseUnavailable
from worker import app, stopping
from worker.consumer import Consumer
from worker.upkeep.vitals import Vitals
from worker.writers import Writers


class Pool:
    """Answers nothing until it is terminated; closing it waits for those who hold a connection, as asyncpg's does."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.free = asyncio.Event()
        self.did: list[str] = []

    async def close(self) -> None:
        self.did.append("close")
        await self.free.wait()

    def terminate(self) -> None:
        self.did.append("terminate")
        self.lost.set()


class Part:
    """Applier, consumer or helper. What it begins ends by itself only as `ends` says."""

    stalled = True
    companies_met = 0

    def __init__(self, ends: Callable[[], Awaitable[None]]) -> None:
        self._ends = ends
        self.running = False

    async def run(self, _: asyncio.Event | None = None) -> None:
        self.running = True
        try:
            await self._ends()
        finally:
            self.running = False


def silent(pool: Pool) -> Callable[[], Awaitable[None]]:
    """Holds a connection: cancelled, it still waits for the answer; without a connection it tries again."""

    async def ends() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await pool.lost.wait()
        await asyncio.Event().wait()

    return ends


def willing(pool: Pool) -> Callable[[], Awaitable[None]]:
    async def ends() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            pool.free.set()

    return ends


async def stopped(pool: Pool, consumer: Part, helper: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answered(*_: Any, **__: Any) -> Pool:
        return pool

    monkeypatch.setattr(stopping, "_CANCEL_SECONDS", 0.05)
    monkeypatch.setattr(app, "_prepare", answered)
    monkeypatch.setattr(app, "create_pool", answered)
    # As much of them as is used.
    parts = app._Parts(cast("Writers", consumer), cast("Consumer", consumer), (cast("Vitals", helper),), ())
    monkeypatch.setattr(app, "_parts", lambda *_: parts)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_soon(stop.set)
    nothing: Any = None
    await asyncio.wait_for(app.work(app.Options(""), nothing, Metrics(), [], stop), 4)


@pytest.mark.parametrize("stubborn", ["consumer", "helper"])
async def test_connections_are_taken_from_what_does_not_end(monkeypatch: pytest.MonkeyPatch, stubborn: str) -> None:
    pool = Pool()
    consumer = Part(silent(pool) if stubborn == "consumer" else willing(pool))
    helper = Part(silent(pool) if stubborn == "helper" else willing(pool))
    await stopped(pool, consumer, helper, monkeypatch)
    assert set(pool.did) == {"terminate"}
    assert not consumer.running
    assert not helper.running


async def test_the_pool_is_closed_once_nothing_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool()
    consumer, helper = Part(willing(pool)), Part(willing(pool))
    await stopped(pool, consumer, helper, monkeypatch)
    assert set(pool.did) == {"close"}
    assert not consumer.running


async def test_a_worker_that_gets_too_few_connections_gives_back_those_it_got(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Pool] = []

    async def scarce(*_: Any, **__: Any) -> Pool:
        if len(made) == 2:
            raise DatabaseUnavailable("too many clients already")
        made.append(Pool())
        return made[-1]

    monkeypatch.setattr(app, "create_pool", scarce)
    with pytest.raises(DatabaseUnavailable):
        await app._connect("")
    assert [pool.did for pool in made] == [["terminate"], ["terminate"]]
