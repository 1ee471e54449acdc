"""The account read whole: every list of every entity, and the mirror is what the account is."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rig import asking
from rig.healing import GENEROUS, accounts_of, differing, reading
from rig.mirrored import company_of

from sandbox.cloud import Company as Cloud
from sandbox.rest.mischief import RestMischief
from sandbox.rest.server import serve
from sandbox.script import step
from schema.entities import ENTITIES
from store import healing
from store.database import Pool
from store.walks import DONE, Walk
from worker.healing import jobs
from worker.healing.backfill import backfill
from worker.healing.backfill import unread as not_read
from worker.healing.jobs import Means, Undertaken, resume_backfill
from worker.healing.order import lists

EVERYTHING = lists(ENTITIES, frozenset(entity.name for entity in ENTITIES))


def lived(seed: int = 1, steps: int = 300) -> Cloud:
    """With deletes, merges, archived records and whatever else happens in a life."""
    cloud = asking.made_company(seed, deals=40)
    for _ in range(steps):
        step(cloud)
    return cloud


def unread(walks: list[Walk]) -> list[str]:
    return [
        f"{walk.entity} {walk.list} {walk.code} {walk.reason}" for walk in walks if walk.state != DONE or walk.refused
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_mirror_is_what_the_account_is(pool: Pool, seed: int) -> None:
    cloud = lived(seed)
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        walks = await backfill(reader, EVERYTHING)
    assert unread(walks) == []
    assert await differing(pool, company, cloud) == []


class _KilledError(Exception):
    """In the place of kill -9."""


async def test_one_that_reads_all_anew_goes_on_when_it_was_interrupted(pool: Pool) -> None:
    cloud = lived(steps=50)
    company, wanted = await company_of(pool, cloud.account.company_id), lists(ENTITIES)

    async def left() -> int:
        async with pool.acquire() as connection:
            found = await not_read(connection, company.id, wanted, anew=True)
        return sum(len(listings) for _, listings in found)

    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, wanted)
        whole, all_of_them = rest.log.calls().total(), await left()
        rest.log.asked.clear()

        def killed(_: Walk) -> None:
            if rest.log.calls().total() >= whole // 2:
                raise _KilledError

        with pytest.raises(_KilledError):
            await backfill(replace(reader, on_page=killed), wanted, anew=True)
        assert 0 < await left() < all_of_them
        await backfill(reader, wanted, anew=True)
        # Four lists are read side by side; of each the page at hand, and the one that was asked for ahead.
        assert rest.log.calls().total() <= whole + 4 * 2
        assert await left() == all_of_them, "the next one reads all of them"


async def test_a_backfill_of_a_worker_lets_others_pass_and_goes_on(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "STINT", timedelta(seconds=0.4))
    cloud = lived(steps=50)
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest) as accounts:
        rest.mischief = RestMischief(slow=1.0, delay=0.1)
        account = await accounts.get(company.id)
        assert account is not None
        undertaken = Undertaken(Means(pool, accounts), account)
        async with reading(pool, company, rest) as reader:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(backfill(reader, lists(ENTITIES)), 0.2)
        results = [await resume_backfill(undertaken)]
        async with pool.acquire() as connection:
            told = (await healing.of_company(connection, company.id, datetime.now(UTC)))["backfill"]
        assert 0 <= told["read"] < told["lists"] == sum(len(listings) for _, listings in lists(ENTITIES))
        while "goes_on" in results[-1]:
            results.append(await resume_backfill(undertaken))
        assert len(results) > 2
        assert await resume_backfill(undertaken) == {}
        async with pool.acquire() as connection:
            assert (await healing.of_company(connection, company.id, datetime.now(UTC)))["backfill"] is None


async def test_a_worker_reads_what_was_opted_in_later_but_nothing_where_nobody_began(pool: Pool) -> None:
    cloud = lived(steps=50)
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest) as accounts:
        account = await accounts.get(company.id)
        assert account is not None

        async def resume(*opted_in: str) -> set[str]:
            """Which lists it asks for."""
            before = rest.log.calls()
            await resume_backfill(Undertaken(Means(pool, accounts, frozenset(opted_in)), account))
            return {path for path, calls in rest.log.calls().items() if calls > before.get(path, 0)}

        dear = ("deal_participant", "filter")
        assert await resume(*dear) == set()
        async with reading(pool, company, rest) as reader:
            await backfill(reader, lists(ENTITIES))
        assert await resume() == set()
        assert await resume(*dear) == {"/v1/deals/{parent}/participants", "/v1/filters/{id}"}
        assert await resume(*dear) == set()
