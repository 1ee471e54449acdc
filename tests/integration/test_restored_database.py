"""A drill: the database is restored from yesterday's backup. A worker notices, and mends all that was forgotten."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from rig import asking, postgres
from rig.healing import GENEROUS, accounts_of, differing, once, reading, scheduled
from rig.mirrored import company_of

from sandbox.cloud import Company as Cloud
from sandbox.rest.api import Rest
from sandbox.rest.server import serve
from sandbox.script import step
from schema.entities import ENTITIES
from store.companies import Company
from store.database import Pool, create_pool
from worker.healing.backfill import backfill
from worker.healing.epoch import Epoch
from worker.healing.order import lists

ALL = frozenset(entity.name for entity in ENTITIES)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Pool]:
    pool = await create_pool(dsn, size=8, application="tests")
    try:
        yield pool
    finally:
        await pool.close()


async def read_whole(pool: Pool, company: Company, rest: Rest) -> None:
    async with reading(pool, company, rest) as reader:
        await backfill(reader, lists(ENTITIES, ALL))


async def healed(pool: Pool, company: Company, rest: Rest) -> None:
    """What a worker does of itself, once."""
    async with accounts_of(pool, company, rest) as accounts:
        account = await accounts.get(company.id)
        assert account is not None
        await once(scheduled(pool, accounts, opted_in=ALL), account)


def lives(cloud: Cloud, steps: int) -> None:
    for _ in range(steps):
        step(cloud)


async def test_what_a_restored_database_has_forgotten_is_read_again(
    postgres_server: postgres.Server, migrated: str, tmp_path: Path
) -> None:
    cloud, memory = asking.made_company(5, deals=40), tmp_path / "epoch"
    lives(cloud, 100)
    async with serve(cloud, limits=GENEROUS) as rest:
        async with connected(migrated) as pool:
            company = await company_of(pool, cloud.account.company_id)
            await read_whole(pool, company, rest)
            await healed(pool, company, rest)
            assert not await Epoch(pool, memory).once()
        backup = postgres_server.new_database(urlsplit(migrated).path.strip("/"))
        lives(cloud, 300)
        async with connected(migrated) as pool:
            await read_whole(pool, company, rest)
            assert not await Epoch(pool, memory).once()
            assert not await Epoch(pool, memory).once()
        async with connected(backup) as pool:
            assert await differing(pool, company, cloud), "the backup knows nothing of what came later"
            assert await Epoch(pool, memory).once()
            await healed(pool, company, rest)
            assert await differing(pool, company, cloud) == []
    postgres_server.drop_database(backup)
