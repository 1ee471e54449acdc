"""The account read whole: every list of every entity, and the mirror is what the account is."""

import pytest
from rig import asking
from rig.healing import GENEROUS, accounts_of, differing, reading
from rig.mirrored import company_of

from sandbox.cloud import Company as Cloud
from sandbox.rest.server import serve
from sandbox.script import step
from schema.entities import ENTITIES
from store.database import Pool
from store.walks import DONE, Walk
from worker.healing.backfill import backfill
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
