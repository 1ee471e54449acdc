"""Who reads a company's account is one, and who may wait gets its turn."""

import asyncio

import pytest
from rig.events import COMPANY
from rig.waiting import until

from schema.errors import DatabaseUnavailable
from store.database import Pool
from store.locks import HEALING
from worker.healing.alone import alone


async def test_who_does_not_wait_is_told_at_once_that_another_is_at_it(pool: Pool) -> None:
    async with alone(pool, COMPANY) as first, alone(pool, COMPANY) as second, alone(pool, COMPANY + 1) as other:
        assert (first, second, other) == (True, False, True)
    async with alone(pool, COMPANY) as again:
        assert again


async def test_who_waits_gets_its_turn_when_the_other_ends(pool: Pool) -> None:
    turns: list[bool] = []

    async def waits() -> None:
        async with alone(pool, COMPANY, within=30) as ours:
            turns.append(ours)

    async with alone(pool, COMPANY):
        waiting = asyncio.create_task(waits())
        await until(lambda: pool.get_size() - pool.get_idle_size() > 1, what="somebody who waits")
        assert turns == []
    await asyncio.wait_for(waiting, 30)
    assert turns == [True]


async def test_who_loses_the_lock_with_its_connection_ends_and_another_one_may_begin(pool: Pool) -> None:
    """Else two would read the account, and spend its tokens twice."""
    begun = asyncio.Event()

    async def reads() -> None:
        async with alone(pool, COMPANY) as ours:
            assert ours
            begun.set()
            await asyncio.Event().wait()

    reading = asyncio.create_task(reads())
    await begun.wait()
    async with pool.acquire() as connection:
        await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = $1", HEALING
        )
    with pytest.raises(DatabaseUnavailable):
        await asyncio.wait_for(reading, 30)
    async with alone(pool, COMPANY, within=30) as again:
        assert again
