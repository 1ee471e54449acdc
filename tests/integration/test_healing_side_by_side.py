"""What a worker does at once for one company, and for many: neither takes from the other what it works with."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from rig import asking
from rig.healing import GENEROUS, VAULT, accounts_of, once, scheduled, served
from rig.mirrored import company_of
from rig.waiting import until

from pipedrive.budget import Need
from pipedrive.request import WHO_AM_I
from sandbox.cloud import Company as Cloud
from sandbox.rest.api import Rest
from sandbox.rest.mischief import RestMischief
from sandbox.rest.server import TOKEN, serve
from schema.entities import ENTITIES
from store import companies, jobs, walks
from store.companies import Company
from store.database import Pool
from store.tokens import StoredToken
from store.walks import BACKFILL, Walk
from worker.healing.accounts import Accounts
from worker.healing.jobs import JOBS, Job, Undertaken
from worker.healing.live import Entrance
from worker.healing.order import lists
from worker.healing.schedule import Schedule
from worker.operations import purge

BACKFILL_JOB = next(job for job in JOBS if job.name == "backfill")
ANOTHER = "another-token-of-the-sandbox"
SLOW = RestMischief(slow=1.0, delay=0.05, sizes={"/api/v2/deals": 3, "/api/v2/activities": 5, "/v1/notes": 5})


@pytest.fixture
def cloud() -> Cloud:
    return asking.made_company(deals=30)


@asynccontextmanager
async def running(schedule: Schedule) -> AsyncIterator[None]:
    task = asyncio.create_task(schedule.run(every=0.02))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def wants_all(pool: Pool, company: Company) -> None:
    async with pool.acquire() as connection:
        for entity, listings in lists(ENTITIES):
            for listing in listings:
                await walks.begin(connection, Walk(company.id, BACKFILL, entity.name, listing.label))


async def ended(pool: Pool, company: Company, job: str) -> bool:
    async with pool.acquire() as connection:
        known = await jobs.of_company(connection, company.id)
    return job in known and known[job].ended_at is not None


def waits(accounts: Accounts, company: Company) -> bool:
    known = accounts._open.get(company.id)
    return known is not None and bool(known.client._allowance._asking)


async def ask(undertaken: Undertaken) -> dict[str, Any]:
    await undertaken.account.client.get(WHO_AM_I, need=Need.BULK)
    return {"asked": undertaken.account.company.id}


def has_answered(rest: Rest, requests: int) -> bool:
    return len(list(rest.log)) >= requests


async def another_token_is_stored(pool: Pool, company: Company, rest: Rest) -> None:
    async with pool.acquire() as connection:
        await VAULT.put(connection, StoredToken(company.id, "api", ANOTHER, rest.url, 1, is_admin=True))


async def test_another_token_ends_nothing_that_waits_to_ask(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool, cloud.account.company_id)
    mischief = RestMischief(too_many=1.0)
    async with (
        serve(cloud, tokens=(TOKEN, ANOTHER), limits=GENEROUS, mischief=mischief) as rest,
        accounts_of(pool, company, rest) as accounts,
        running(scheduled(pool, accounts, todo=(Job("ask", timedelta(days=1), ask),))),
    ):
        await until(lambda: len(list(rest.log)) > 0, every=0.01, what="refused")
        await until(partial(waits, accounts, company), every=0.01, what="it waits for its turn")
        await another_token_is_stored(pool, company, rest)
        assert await accounts.get(company.id) is not None
        rest.mischief = RestMischief()
        await until(partial(ended, pool, company, "ask"), what="answered")
    async with pool.acquire() as connection:
        assert (await jobs.of_company(connection, company.id))["ask"].result == {"asked": company.id}


async def test_a_company_that_is_paused_while_it_is_read_is_let_go_and_goes_on_afterwards(
    pool: Pool, cloud: Cloud
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    await wants_all(pool, company)
    async with serve(cloud, limits=GENEROUS, mischief=SLOW) as rest, accounts_of(pool, company, rest) as accounts:
        schedule = scheduled(pool, accounts, todo=(BACKFILL_JOB,))
        async with running(schedule):
            await until(partial(has_answered, rest, 10), what="reading under way")
            async with pool.acquire() as connection:
                await companies.change_state(connection, company.id, companies.PAUSED)

            async def is_told() -> bool:
                async with pool.acquire() as connection:
                    known = await jobs.of_company(connection, company.id)
                return known[BACKFILL_JOB.name].code == "company_inactive"

            await until(is_told, within=30, what="it noticed")
            asked = len(list(rest.log))
            async with pool.acquire() as connection:
                await companies.change_state(connection, company.id, companies.ACTIVE)
                await jobs.want(connection, company.id, BACKFILL_JOB.name)
            await until(partial(ended, pool, company, BACKFILL_JOB.name), within=60, what="all lists read")
            assert len(list(rest.log)) > asked


async def left(pool: Pool, company: Company) -> dict[str, int]:
    """Rows of a company by table, but for its name and the receipt of its purge."""
    tables = (
        "SELECT table_name FROM information_schema.columns JOIN information_schema.tables "
        "USING (table_schema, table_name) WHERE table_schema = 'pipemirror' AND column_name = 'company_id' "
        "AND table_type = 'BASE TABLE' AND table_name NOT IN ('purges', 'purge_marks')"
    )
    async with pool.acquire() as connection:
        names = [row["table_name"] for row in await connection.fetch(tables)]
        count = "SELECT count(*) FROM pipemirror.{} WHERE company_id = $1"
        found = {name: await connection.fetchval(count.format(name), company.id) for name in names}
    return {name: rows for name, rows in found.items() if rows}


@pytest.mark.parametrize("name", ["sweep", "reconcile", "reconcile whole", "definitions", "subscription"])
async def test_of_a_company_that_is_purged_while_a_job_waits_for_an_answer_nothing_comes_back(
    pool: Pool, cloud: Cloud, name: str
) -> None:
    """A purge waits for a while for who reads, and no longer."""
    company = await company_of(pool, cloud.account.company_id)
    await wants_all(pool, company)
    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest) as accounts:
        account = await accounts.get(company.id)
        assert account is not None
        await once(scheduled(pool, accounts, todo=(BACKFILL_JOB,)), account)
        async with pool.acquire() as connection:
            await jobs.want(connection, company.id, name)
        rest.mischief = RestMischief(slow=1.0, delay=2.0)
        job = next(job for job in JOBS if job.name == name)
        entrance = Entrance("http://127.0.0.1:1", "a-secret-of-the-tests")
        schedule = scheduled(pool, accounts, todo=(job,), entrance=entrance)
        spent = rest.gate.spent
        serving = asyncio.create_task(served(schedule, company.id))
        await until(lambda: rest.gate.spent > spent, every=0.01, what="asked")
        assert await purge.mark(pool, company.id) is not None
        async for _ in purge.delete(pool, company):
            pass
        async with asyncio.timeout(60):
            await serving
        await served(schedule, company.id)
    assert await left(pool, company) == {}
