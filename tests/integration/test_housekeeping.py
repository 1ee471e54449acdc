"""What a worker does beside applying goes on, whatever one round of it meets."""

import asyncio

import pytest

from store.database import Pool
from worker import housekeeping, journal


async def test_a_round_that_crashes_is_not_the_last(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = 0
    third = asyncio.Event()

    async def crash(*_: object) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            third.set()
        raise RuntimeError

    monkeypatch.setattr(journal, "ensure_partitions", crash)
    keeping = asyncio.create_task(housekeeping.keep_house(pool, journal_days=14, every=0.01))
    waiting = asyncio.create_task(third.wait())
    await asyncio.wait((keeping, waiting), timeout=10, return_when=asyncio.FIRST_COMPLETED)

    assert third.is_set()
    assert not keeping.done()
    keeping.cancel()
