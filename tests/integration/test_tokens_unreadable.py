"""A stored token that our keys do not open: it is said until they do, and holds up no other company."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from rig.healing import persisting
from rig.mirrored import company_of
from rig.waiting import until
from structlog.testing import capture_logs

from cli.reading import healing
from pipedrive.budget import Terms
from runtime.health import Condition
from runtime.metrics import Metrics
from runtime.settings import Settings
from schema.errors import TokensUnreadable
from store.companies import Company
from store.database import Pool
from store.tokens import StoredToken, Vault
from worker.healing.accounts import Accounts
from worker.healing.jobs import Job, Means, Result, Undertaken
from worker.healing.schedule import Schedule
from worker.healing.touched import Touched

KEY, OTHER = (Fernet.generate_key().decode() for _ in range(2))
EVERY = 0.05


class Counted(Accounts):
    """Counts the rounds of who looks after them."""

    rounds = 0

    async def companies(self) -> Sequence[int]:
        self.rounds += 1
        return await super().companies()


class Scheduled:
    """A worker's schedule with these keys, and a job that does no more than be done; `served` says for whom."""

    def __init__(self, pool: Pool, keys: Sequence[str]) -> None:
        self.served: list[int] = []
        self.accounts = accounts = Counted(pool, persisting(pool), Vault(keys), Terms(), Metrics())
        todo = (Job("look", None, self._look),)
        self.schedule = Schedule(Means(pool, accounts), persisting(pool), Touched(), Metrics(), todo=todo)

    async def _look(self, undertaken: Undertaken) -> Result:
        self.served.append(undertaken.account.company.id)
        return {}

    @property
    def conditions(self) -> list[Condition]:
        return list(self.schedule.conditions())


@asynccontextmanager
async def running(pool: Pool, keys: Sequence[str]) -> AsyncIterator[Scheduled]:
    found = Scheduled(pool, keys)
    task = asyncio.create_task(found.schedule.run(EVERY))
    try:
        yield found
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def store(pool: Pool, company: Company, key: str) -> None:
    """Its token, by this key; and the job, which is due."""
    token = StoredToken(company.id, "api", "token", "http://127.0.0.1:9", 1, is_admin=True)
    async with pool.acquire() as connection:
        await Vault([key]).put(connection, token)
        await connection.execute(
            "INSERT INTO pipemirror.jobs (company_id, job, due_at) VALUES ($1, 'look', now()) "
            "ON CONFLICT (company_id, job) DO UPDATE SET due_at = now()",
            company.id,
        )


@pytest.fixture
async def two(pool: Pool) -> tuple[Company, Company]:
    return await company_of(pool, 7), await company_of(pool, 8)


async def test_one_that_is_not_opened_is_said_once_in_the_log_and_stops_no_other(
    pool: Pool, two: tuple[Company, Company]
) -> None:
    ours, theirs = two
    await store(pool, theirs, KEY)
    await store(pool, ours, OTHER)
    with capture_logs() as logs:
        async with running(pool, [KEY]) as worker:
            await until(lambda: worker.served and worker.conditions, what="the other one served")
            (told,) = worker.conditions
            assert (told.code, told.blocking) == (TokensUnreadable.code, False)
            assert f"company {ours.id}" in told.reason
            assert f"company {theirs.id}" not in told.reason
            for _ in range(2):  # two more rounds
                worker.served.clear()
                await store(pool, theirs, KEY)
                await until(lambda: worker.served, what="another round")
            assert set(worker.served) == {theirs.id}
            await store(pool, ours, KEY)
            await until(lambda: ours.id in worker.served and not worker.conditions, what="it opened with its key")
    assert [line["company_id"] for line in logs if line.get("code") == TokensUnreadable.code] == [ours.id]


async def test_a_worker_without_keys_says_so_once_there_is_a_token_and_no_longer_than_that(
    pool: Pool, two: tuple[Company, Company], tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, database_url=SecretStr("postgresql://user@host/db"))
    keys = healing(settings).keys
    assert keys == ()
    async with running(pool, keys) as worker:
        await until(lambda: worker.accounts.rounds > 2, what="some rounds")
        assert worker.conditions == [], "who has no token misses no key"
        await store(pool, two[0], KEY)
        await until(lambda: worker.conditions, what="it is said")
        assert "ENCRYPTION_KEYS" in worker.conditions[0].reason
        async with pool.acquire() as connection:
            await connection.execute("DELETE FROM pipemirror.tokens")
        await until(lambda: not worker.conditions, what="it is not said any more")
        assert worker.served == []
