"""The journal's partitions, by day of the events' own time: made ahead of their day, dropped after their retention."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import count

import asyncpg

from schema.errors import DatabaseUnavailable
from store import locks
from store.database import Connection, describe

AHEAD = timedelta(days=7)
_PREFIX = "events_"


async def ensure(connection: Connection, today: date, retention_days: int) -> None:
    """Make the partitions from the start of retention to a week ahead. One process at a time."""
    async with _locked(connection, wait="2s"):
        first = today - timedelta(days=retention_days)
        wanted = {first + timedelta(days=n) for n in range(retention_days + AHEAD.days + 1)}
        for day in sorted(wanted - await days(connection)):
            await _make_partition(connection, day)


async def expire(connection: Connection, today: date, retention_days: int) -> None:
    """Drop the partitions before retention, each by itself, and what is as old of the default one.

    Raise DatabaseUnavailable where somebody reads the journal for long.
    """
    first = today - timedelta(days=retention_days)
    begin = datetime.combine(first, datetime.min.time(), UTC)
    await connection.execute("DELETE FROM pipemirror.events_default WHERE received_at < $1", begin)
    for day in sorted(day for day in await days(connection) if day < first):
        try:
            # It needs the whole journal for a moment: while it waits for that, all who write wait behind it.
            async with _locked(connection, wait="500ms"):
                await connection.execute(f"DROP TABLE IF EXISTS pipemirror.events_{day:%Y%m%d}")
        except asyncpg.LockNotAvailableError as error:
            reason = f"the journal's partition of {day} is over and cannot be dropped, for somebody uses the journal"
            raise DatabaseUnavailable(f"{reason}: {describe(error)}") from error


@asynccontextmanager
async def _locked(connection: Connection, *, wait: str) -> AsyncIterator[None]:
    """A transaction that waits so long for any lock, while no other process makes or drops partitions."""
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{wait}'")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", locks.PARTITIONS)
        yield


async def days_ahead(connection: Connection, today: date) -> int:
    """How many days from today on, without a gap, have a partition."""
    known = await days(connection)
    return next(n for n in count() if today + timedelta(days=n) not in known)


async def days(connection: Connection) -> set[date]:
    """The days that have a partition of ours. Others that somebody attached to the journal are theirs."""
    rows = await connection.fetch(
        "SELECT relname::text AS name FROM pg_partition_tree('pipemirror.events') JOIN pg_class ON oid = relid "
        "WHERE isleaf AND relnamespace = 'pipemirror'::regnamespace"
    )
    return {day for row in rows if (day := _day(row["name"])) is not None}


def _day(name: str) -> date | None:
    """The day of a partition that has the name we would give it."""
    digits = name.removeprefix(_PREFIX)
    try:
        day = datetime.strptime(digits, "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None
    return day if name == _PREFIX + f"{day:%Y%m%d}" else None


async def _make_partition(connection: Connection, day: date) -> None:
    """Events of that day that came before its partition existed move into it, so that a redelivery meets them."""
    # From the move to the end: an event that a worker put there in between would forbid the partition.
    await connection.execute("LOCK TABLE pipemirror.events_default IN ACCESS EXCLUSIVE MODE")
    name = f"pipemirror.events_{day:%Y%m%d}"
    low, high = (f"'{moment} 00:00+00'" for moment in (day, day + timedelta(days=1)))
    await connection.execute(f"CREATE TABLE {name} (LIKE pipemirror.events INCLUDING ALL)")
    await connection.execute(
        f"WITH moved AS (DELETE FROM pipemirror.events_default WHERE occurred_at >= {low} AND occurred_at < {high} "
        f"RETURNING *) INSERT INTO {name} SELECT * FROM moved"
    )
    await connection.execute(
        f"ALTER TABLE pipemirror.events ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high})"
    )
