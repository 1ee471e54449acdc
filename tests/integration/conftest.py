"""A migrated database and a pool on it, for every integration test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
from rig import postgres

from store.database import Pool, create_pool
from worker.upkeep import partitions
from worker.upkeep.migrate import migrate


async def _prepare(dsn: str) -> None:
    await migrate(dsn)
    pool = await create_pool(dsn, size=1, application="tests")
    async with pool.acquire() as connection:
        await partitions.ensure(connection, datetime.now(UTC).date(), 14)
    await pool.close()


@pytest.fixture
def migrated(postgres_server: postgres.Server) -> Iterator[str]:
    """The DSN of a database of this test alone, with everything that `migrate` makes."""
    template = postgres_server.template("migrated", lambda dsn: asyncio.run(_prepare(dsn)))
    dsn = postgres_server.new_database(template)
    yield dsn
    postgres_server.drop_database(dsn)


@pytest.fixture
async def pool(migrated: str) -> AsyncIterator[Pool]:
    found = await create_pool(migrated, size=8, application="tests")
    yield found
    await found.close()
