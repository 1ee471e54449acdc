"""A network that has forgotten our connections to Postgres, and says so to nobody, costs one timeout, not one each."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig.postgres import PrivateServer, Server
from rig.proxy import Proxy, proxy, to_socket

from runtime.backoff import Backoff
from runtime.metrics import Metrics
from store.database import Pool, borrowed, create_pool
from worker.applying.applier import Applier, share

TIMEOUT = 1.0


@pytest.fixture
async def wire(postgres_server: Server) -> AsyncIterator[tuple[Proxy, Path]]:
    """A wire to the server, and the folder of the socket it begins at."""
    if not isinstance(postgres_server, PrivateServer):
        pytest.fail("this test cuts the wire to its Postgres: unset TEST_DATABASE_URL", pytrace=False)
    behind = Path(postgres_server.socket)
    with tempfile.TemporaryDirectory(prefix="wire-") as folder:
        async with proxy(to_socket(str(behind)), Path(folder) / behind.name) as found:
            yield found, Path(folder)


@pytest.fixture
async def far_pool(database: str, postgres_server: PrivateServer, wire: tuple[Proxy, Path]) -> AsyncIterator[Pool]:
    dsn = database.replace(str(Path(postgres_server.socket).parent), str(wire[1]))
    pool = await create_pool(dsn, size=4, application="tests", command_timeout=TIMEOUT)
    yield pool
    pool.terminate()


async def ask(pool: Pool) -> int:
    async with borrowed(pool) as connection:
        answer: int = await connection.fetchval("SELECT 1")
        return answer


async def test_after_the_first_that_timed_out_nobody_waits_any_more(far_pool: Pool, wire: tuple[Proxy, Path]) -> None:
    async with far_pool.acquire(), far_pool.acquire(), far_pool.acquire(), far_pool.acquire():
        pass  # so that all four are there
    wire[0].sever()

    async with asyncio.timeout(10 * TIMEOUT):
        with pytest.raises(TimeoutError):
            await ask(far_pool)
    async with asyncio.timeout(TIMEOUT / 2):
        assert [await ask(far_pool) for _ in range(8)] == [1] * 8


async def test_nor_does_another_writer_with_a_pool_of_its_own(
    database: str, postgres_server: PrivateServer, wire: tuple[Proxy, Path]
) -> None:
    dsn = database.replace(str(Path(postgres_server.socket).parent), str(wire[1]))
    pools = [
        await create_pool(dsn, size=1, application="tests", command_timeout=TIMEOUT, lasting=True) for _ in range(4)
    ]
    shared = share(Metrics(), numbered_slugs=False, pools=pools)
    writers = [Applier(pool, Metrics(), shared, backoff=Backoff(0.01, 0.01)) for pool in pools]
    try:
        wire[0].sever()
        assert await asyncio.wait_for(writers[0].persist(lambda connection: connection.fetchval("SELECT 1")), 10) == 1
        async with asyncio.timeout(TIMEOUT / 2):
            assert [await ask(pool) for pool in pools] == [1] * 4
    finally:
        for pool in pools:
            pool.terminate()


@pytest.mark.parametrize("lasting", [True, False])
async def test_only_a_lasting_connection_keeps_every_statement(migrated: str, *, lasting: bool) -> None:
    """Each of them takes room in the server, for whoever walks over companies and never comes back."""
    pool = await create_pool(migrated, size=1, application="tests", lasting=lasting)
    try:
        async with pool.acquire() as connection:
            for number in range(300):
                await connection.fetchval(f"SELECT $1::int + {number}", number)
            statements = await connection.fetch("SELECT statement FROM pg_prepared_statements")
            kept = sum("$1::int" in row["statement"] for row in statements)
    finally:
        await pool.close()
    assert (kept == 300) == lasting


async def test_a_lasting_connection_is_kept_and_its_open_transaction_is_not(migrated: str) -> None:
    pool = await create_pool(migrated, size=1, application="tests", lasting=True)
    try:
        pids = set()
        for _ in range(2):
            async with pool.acquire() as connection:
                assert not connection.is_in_transaction()
                pids.add(await connection.fetchval("SELECT pg_backend_pid()"))
                await connection.execute("BEGIN")
        assert len(pids) == 1
    finally:
        pool.terminate()
