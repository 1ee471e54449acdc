"""The allowance in Postgres: what one process takes is gone for the others, and a restart forgets nothing."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rig.waiting import until_somebody_waits

from pipedrive.allowance import Allowance
from pipedrive.budget import Need, Terms
from pipedrive.errors import BlockedByPipedrive, BudgetExhausted
from pipedrive.ledger import Change, Granted, Ledger, News, Shut, T
from pipedrive.quota import Quota
from schema.errors import DatabaseUnavailable
from store import allowances
from store.allowances import InPostgres
from store.database import Pool

COMPANY = 1234567
TERMS = Terms()


def process(pool: Pool, terms: Terms = TERMS) -> Allowance:
    """What each process has of its own; the row is what they share."""
    return Allowance(InPostgres(pool, COMPANY), terms)


async def raised(pool: Pool, limit: int) -> None:
    """The window holds so many from now on."""
    await InPostgres(pool, COMPANY).amend(lambda ledger, now: (ledger.told([News(Quota(limit), 0)], now), None))


async def kept(pool: Pool) -> Ledger:
    async with pool.acquire() as connection:
        found = await allowances.find(connection, COMPANY)
    assert found is not None
    return found


async def test_what_is_amended_is_found_again_as_it_was(pool: Pool) -> None:
    async with pool.acquire() as connection:
        assert await allowances.find(connection, COMPANY) is None
    allowance = process(pool)
    granted = await allowance.take(Need.BULK, 10)
    allowance.learn(Quota(80, 40, 60_000, 50_000), granted)
    await allowance.take(Need.LIVE, 2)
    await allowance.refused(Shut.BLOCKED, 1800)
    left = await kept(pool)
    assert (left.window.limit, left.budget.limit, left.budget.left) == (80, 60_000, 50_000)
    assert left.budget.spent == {Need.BULK: 10, Need.LIVE: 2}
    assert left.window.known == 2
    assert left.shut is Shut.BLOCKED
    # Unchanged by a look at it.
    assert await InPostgres(pool, COMPANY).amend(lambda ledger, _: (ledger, ledger)) == left


async def test_processes_share_one_window(pool: Pool) -> None:
    first, second = process(pool), process(pool)
    taking = [asyncio.create_task(one.take(Need.BULK, 1)) for one in (first, second) for _ in range(15)]
    done, waiting = await asyncio.wait(taking, timeout=1)
    assert (len(done), len(waiting)) == (20, 10)
    await first.aclose()
    await second.aclose()


async def test_processes_share_one_day_and_accounts_do_not(pool: Pool) -> None:
    terms = Terms(daily=1000)
    await process(pool, terms).take(Need.BULK, 400)
    with pytest.raises(BudgetExhausted):
        await process(pool, terms).take(Need.BULK, 1)
    other = Allowance(InPostgres(pool, COMPANY + 1), terms)
    assert await other.take(Need.BULK, 400) == Granted(known=1)


async def test_a_block_holds_for_all_processes_and_one_of_them_finds_out_when_it_is_over(pool: Pool) -> None:
    await process(pool).refused(Shut.BLOCKED, 1800)
    with pytest.raises(BlockedByPipedrive):
        await process(pool).take(Need.LIVE, 1)
    await InPostgres(pool, COMPANY).amend(lambda ledger, now: (replace(ledger, until=now), None))
    several = [process(pool) for _ in range(4)]
    taking = [asyncio.create_task(one.take(Need.LIVE, 1)) for one in several]
    done, _ = await asyncio.wait(taking, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result().probe for task in done] == [True]
    await several[0].opened()
    assert not any(granted.probe for granted in await asyncio.gather(*(set(taking) - done)))
    for one in several:
        await one.aclose()


def most_within(times: Sequence[float], seconds: float) -> int:
    return max(sum(end - seconds < when <= end for when in times) for end in times)


async def test_many_processes_never_send_more_than_the_window_holds(pool: Pool) -> None:
    """Each looks at the clock when it was granted: what Pipedrive would see."""
    await raised(pool, 60)
    times: list[float] = []
    end = time.monotonic() + 5

    async def work(allowance: Allowance) -> None:
        while time.monotonic() < end:
            await allowance.take(Need.BULK, 1)
            times.append(time.monotonic())

    several = [process(pool) for _ in range(4)]
    await asyncio.gather(*(work(one) for one in several for _ in range(8)))
    for one in several:
        await one.aclose()
    assert most_within(times, 2.0) <= 60
    assert len(times) >= 120  # and the windows after the first were used


async def test_a_window_that_opens_is_not_rushed_by_all_at_once(pool: Pool) -> None:
    """A process looks into the books once for all of its tasks, so the row is not fought for by each of them."""
    looks: Counter[int] = Counter()

    class Counted(InPostgres):
        async def amend(self, change: Change[T]) -> T:
            looks[id(self)] += 1
            return await super().amend(change)

    several = [Allowance(Counted(pool, COMPANY), TERMS) for _ in range(3)]
    await asyncio.gather(*(one.take(Need.BULK, 1) for one in several for _ in range(13)))
    assert max(looks.values()) <= 8
    for one in several:
        await one.aclose()


async def test_a_connection_that_is_lost_is_told_and_nothing_is_forgotten(pool: Pool) -> None:
    allowance = process(pool)
    await allowance.take(Need.BULK, 10)
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM pipemirror.allowances FOR UPDATE")
        taking = asyncio.create_task(allowance.take(Need.BULK, 10))
        await until_somebody_waits(pool)
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
        )
        with pytest.raises(DatabaseUnavailable):
            await asyncio.wait_for(taking, 10)
    await allowance.take(Need.BULK, 10)
    assert (await kept(pool)).budget.total == 20
