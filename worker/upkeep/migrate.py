"""Create or upgrade everything in the database. Safe to run twice and at once."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import resources
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlsplit, urlunsplit

import asyncpg
import psycopg
import structlog
from yoyo import get_backend, read_migrations

from runtime.backoff import RECONNECT
from schema import ddl
from schema.ddl import OPS
from schema.errors import DatabaseUnavailable, MigrationWaits, Misconfigured
from store import companies, locks
from store.companies import Company
from store.database import UNCONNECTED, Connection, describe, not_now, unconnected
from worker.applying import provision
from worker.upkeep import journal_index
from worker.upkeep.long_statements import LOOK_EVERY, OnWait, blocking, named

_log = structlog.stdlib.get_logger(__name__)
_MOST_RETRIES = 10
_BUSY = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    psycopg.errors.LockNotAvailable,  # of the migration runner
    psycopg.errors.DeadlockDetected,
)
_LOOK_WITHIN = 60.0
LOCK_WITHIN = 600.0
T = TypeVar("T")


async def migrate(dsn: str, *, on_wait: OnWait = lambda _: None, lock_within: float = LOCK_WITHIN) -> list[str]:
    """The names of the migrations applied now.

    Raise DatabaseUnavailable, Misconfigured for a wrong URL or a role without rights, MigrationWaits when others
    migrate for longer than `lock_within` seconds.
    """
    connection = await _connect(dsn)
    try:
        # What limits queries elsewhere would end the building of an index each time anew.
        await connection.execute("SET statement_timeout = 0")
        await _lock(connection, on_wait, lock_within)
        return await _migrate(connection, dsn, on_wait)
    except asyncpg.InsufficientPrivilegeError as error:
        reason = "DATABASE_URL: its role needs CREATE on the database and must own what earlier releases made there"
        raise Misconfigured(f"{reason} ({describe(error)})") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        problem = not_now(error)
        if problem is None:
            raise
        raise problem from error
    finally:
        await connection.close()


async def _connect(dsn: str, *, command_timeout: float | None = None) -> Connection:
    try:
        return await asyncpg.connect(dsn, timeout=15, command_timeout=command_timeout)
    except UNCONNECTED as error:
        raise unconnected(dsn, error) from error


async def _migrate(connection: Connection, dsn: str, on_wait: OnWait) -> list[str]:
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {OPS}")
    looking = partial(_connect, dsn, command_timeout=_LOOK_WITHIN)
    build_ahead = partial(journal_index.build_ahead, connection, looking, on_wait=on_wait)
    await _when_free("the journal", build_ahead, on_wait)
    applied = await _when_free("what all companies share", lambda: asyncio.to_thread(_run_migrations, dsn), on_wait)
    for company in await companies.outdated(connection, ddl.fingerprint()):
        complete = partial(_complete, connection, company)
        await _when_free(f"the tables of company {company.id}", complete, on_wait, company_id=company.id)
    return applied


async def _lock(connection: Connection, on_wait: OnWait, within: float) -> None:
    """Held by this session, so a killed migration leaves no lock behind. Asked for, not waited for: a wait tells us
    nothing, and would be nowhere to be seen.
    """
    began = asyncio.get_running_loop().time()
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", locks.MIGRATION):
        waited = asyncio.get_running_loop().time() - began
        reason = f"{await _holder(connection)} the lock of migrations; waited for {waited:.0f} s"
        if waited >= within:
            raise MigrationWaits(reason)
        on_wait(reason)
        await asyncio.sleep(LOOK_EVERY)


async def _holder(connection: Connection) -> str:
    """Who has the lock, and for whom that one waits in turn: ending the first would help nobody then."""
    holder = await connection.fetchval(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND granted AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())",
        locks.MIGRATION,
    )
    if holder is None:  # it ended just now
        return "another session of Postgres held"
    others = await blocking(connection, holder)
    return f"{named([holder])}{f', which waits for {named(others)},' if others else ''} holds"


async def _complete(connection: Connection, company: Company) -> None:
    async with connection.transaction():
        await provision.complete(connection, company)


async def _when_free(subject: str, work: Callable[[], Awaitable[T]], on_wait: OnWait, **about: int) -> T:
    """What is busy is left to those who use it and tried again. `about` it the log says more."""
    attempt = 0
    while True:
        try:
            return await work()
        except _BUSY as error:
            reason = f"somebody uses {subject}: {describe(error)}"
            if attempt == _MOST_RETRIES:
                raise DatabaseUnavailable(reason) from error
            _log.warning("tables_busy", reason=reason, **about)
            on_wait(reason)
            await asyncio.sleep(RECONNECT.delay(attempt))
            attempt += 1


def _run_migrations(dsn: str) -> list[str]:
    _have_a_user_name()
    with resources.as_file(resources.files("schema") / "migrations") as folder:
        migrations = read_migrations(str(folder))
        with _backend(dsn) as backend:
            pending = backend.to_apply(migrations)
            # Without the runner's own lock: it is a row that a killed process would leave behind. Ours is held above.
            backend.apply_migrations(pending)
            return [migration.id for migration in pending]


def _backend(dsn: str) -> Any:
    """The runner's own driver takes no setting of the session by its bare name, as the other one does."""
    try:
        return get_backend(_runner_url(dsn))
    except psycopg.ProgrammingError as error:
        what = str(error).partition("\n")[0]
        raise Misconfigured(f"DATABASE_URL is not valid: {what}; expected options=-c%20name=value") from error


def _have_a_user_name() -> None:
    """The runner notes who ran it, and fails where the uid has no name, as in many containers."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = "pipemirror"


def _runner_url(dsn: str) -> str:
    """The same database for the migration runner, with its bookkeeping in our schema."""
    parts = urlsplit(dsn)
    query = "&".join(filter(None, (parts.query, f"schema={quote_plus(OPS)}")))
    return urlunsplit(("postgresql+psycopg", parts.netloc, parts.path, query, ""))
