"""Postgres: reachable, new enough, ours to use, with what this release expects in it."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any, Final

import asyncpg

from cli.doctor.finding import Finding, fail, ok, warn
from schema import ddl
from store import companies, held, purges, replays
from store.database import UNCONNECTED, Connection, create_pool, describe
from store.dsn import misconfigured
from worker.upkeep import partitions

OLDEST_POSTGRES: Final = 150_000
MOST_SKEW: Final = 2.0
FULL_DEFAULT: Final = 10_000
_TIMEOUT: Final = 5
_MIGRATE = "Run `pipemirror migrate`, or start a worker of this release."
_POOLER = (
    "Connect workers to Postgres directly, or through a pool in session mode: they prepare statements and hold locks "
    "over several transactions."
)

Connect = Callable[[], Awaitable[Any]]


async def of_database(dsn: str) -> list[Finding]:
    try:
        connection = await _connect(dsn)
    except UNCONNECTED as error:
        if problem := misconfigured(dsn, error):
            return [fail("Postgres", problem.reason, problem.remedy)]
        return [fail("Postgres", describe(error), "Start Postgres, check DATABASE_URL: host, port, user, password.")]
    try:
        found = [await _version(connection), await _role(connection), await _clock(connection)]
        found.append(await pooler(lambda: _connect(dsn)))
        found.append(await _as_a_worker(dsn))
        return found + await _schema(connection)
    finally:
        await connection.close(timeout=_TIMEOUT)


async def _connect(dsn: str) -> Connection:
    # Without the cache of statements, so that what is between does not disturb the look at it.
    return await asyncpg.connect(dsn, timeout=_TIMEOUT, command_timeout=10, statement_cache_size=0)


async def _version(connection: Connection) -> Finding:
    version = int(await connection.fetchval("SELECT current_setting('server_version_num')"))
    found = f"version {version // 10_000}.{version % 10_000}"
    return ok("Postgres", found) if version >= OLDEST_POSTGRES else fail("Postgres", found, "Use Postgres 15 or newer.")


async def _role(connection: Connection) -> Finding:
    name = "database role"
    if not await connection.fetchval("SELECT has_database_privilege(current_database(), 'CREATE')"):
        return fail(name, "may not create schemas", "As its owner: GRANT CREATE ON DATABASE ... TO this role.")
    foreign = await connection.fetch(
        "SELECT nspname::text AS name FROM pg_namespace WHERE NOT pg_has_role(nspowner, 'USAGE') AND (nspname = $1 "
        "OR nspname IN (SELECT unnest(ARRAY[slug, slug || '_raw']) FROM pipemirror.companies))"
        if await _has_ops(connection)
        else "SELECT nspname::text AS name FROM pg_namespace WHERE NOT pg_has_role(nspowner, 'USAGE') AND nspname = $1",
        ddl.OPS,
    )
    if foreign:
        schemas = ", ".join(row["name"] for row in foreign)
        return fail(name, f"does not own {schemas}", "Use the role that made them, or ALTER SCHEMA ... OWNER TO it.")
    return ok(name, "may create schemas, and owns ours")


async def _clock(connection: Connection) -> Finding:
    before = time.time()
    theirs = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
    return skew("clock of Postgres", theirs - (before + time.time()) / 2)


def skew(name: str, ahead: float) -> Finding:
    """`ahead`: seconds by which the other clock is ahead of ours."""
    found = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) > MOST_SKEW:
        return warn(name, found, "Let NTP set both clocks: receipt, lag and retention are told by them.")
    return ok(name, found)


async def pooler(connect: Connect) -> Finding:
    """Whether two clients at once get the same session of Postgres: then something between gives out transactions.

    The sessions of a pool that are free are handed to whoever asks next, so some attempts are enough to see it.
    """
    name = "connection pooler"
    first = await connect()
    try:
        for _ in range(3):
            second = await connect()
            try:
                shared = await _pid(first) == await _pid(second)
            finally:
                await second.close()
            if shared:
                return fail(name, "PgBouncer, or the like, in transaction mode", _POOLER)
    finally:
        await first.close()
    return ok(name, "each connection has a session of its own")


async def _pid(connection: Any) -> int:
    # One round trip, in which no pooler can put another session: what is prepared outside a transaction may be gone.
    async with connection.transaction():
        found: int = await connection.fetchval("SELECT pg_backend_pid()")
    return found


async def _as_a_worker(dsn: str) -> Finding:
    """A worker sets more on its connections than others do, and a pooler may refuse that."""
    name = "connection of a worker"
    try:
        pool = await create_pool(dsn, size=1, application="pipemirror doctor")
    except Exception as error:  # noqa: BLE001 - why it is refused is the finding
        return fail(name, describe(error), _POOLER)
    await pool.close()
    return ok(name, "as it needs it")


async def _has_ops(connection: Connection) -> bool:
    found: bool = await connection.fetchval("SELECT to_regclass('pipemirror.companies') IS NOT NULL")
    return found


async def _schema(connection: Connection) -> list[Finding]:
    if not await _has_ops(connection):
        return [fail("schema", "not there yet", _MIGRATE)]
    migrations = await _migrations(connection)
    if migrations.verdict == "fail":
        return [migrations]
    return [
        migrations, await _companies(connection), await _partitions(connection),
        await _default_partition(connection), await _unfinished(connection),
    ]  # fmt: skip


async def _migrations(connection: Connection) -> Finding:
    ours = {
        path.name[:-4] for path in (resources.files("schema") / "migrations").iterdir() if path.name.endswith(".sql")
    }
    rows = await connection.fetch("SELECT migration_id FROM pipemirror._yoyo_migration")
    applied = {row["migration_id"] for row in rows}
    if missing := sorted(ours - applied):
        return fail("schema", f"lacks {', '.join(missing)}", _MIGRATE)
    if newer := sorted(applied - ours):
        return warn("schema", f"is of a newer release ({', '.join(newer)})", "Upgrade this installation.")
    return ok("schema", f"that of this release ({max(ours)})")


async def _companies(connection: Connection) -> Finding:
    if outdated := await companies.outdated(connection, ddl.fingerprint()):
        ids = ", ".join(str(company.id) for company in outdated[:10])
        return warn("companies", f"tables of another release: {len(outdated)} companies, such as {ids}", _MIGRATE)
    known = await companies.all_companies(connection)
    paused = [str(company.id) for company in known if company.state == companies.PAUSED]
    if paused:
        advice = "`companies resume ID` before JOURNAL_DAYS are over."
        return warn("companies", f"{len(known)}, paused: {', '.join(paused[:10])}", advice)
    return ok("companies", f"{len(known)}, their tables are those of this release")


async def _partitions(connection: Connection) -> Finding:
    today = datetime.now(UTC).date()
    days = await partitions.days(connection)
    missing = [f"{day:%Y%m%d}" for ahead in range(3) if (day := today + timedelta(days=ahead)) not in days]
    if missing:
        advice = "Start a worker: it makes them within a minute. If it does not, its log says why."
        return warn("journal partitions", f"missing: {', '.join(missing)}", advice)
    return ok("journal partitions", f"{len(days)} days, up to {max(days):%Y%m%d}")


async def _default_partition(connection: Connection) -> Finding:
    name = "journal default partition"
    rows = await connection.fetchval(
        "SELECT count(*) FROM (SELECT FROM pipemirror.events_default LIMIT $1) AS first", FULL_DEFAULT + 1
    )
    if rows > FULL_DEFAULT:
        advice = "Events with times far off, or partitions were missing; a worker moves what it can. See `occurred_at`."
        return warn(name, f"more than {FULL_DEFAULT:,} events", advice)
    return ok(name, f"{rows:,} events")


async def _unfinished(connection: Connection) -> Finding:
    name = "unfinished work"
    waiting = await held.counts(connection)
    found = [f"events held of company {company_id}: {events:,}" for company_id, events in waiting.items()]
    found += [f"replay of {replay['wanted']}" for replay in await replays.unfinished(connection)]
    found += [f"purge of company {purge['company_id']}" for purge in await purges.unfinished(connection)]
    if found:
        return warn(
            name, "; ".join(found), "`pipemirror status` says more; repeat the command of what was interrupted."
        )
    return ok(name, "none")
