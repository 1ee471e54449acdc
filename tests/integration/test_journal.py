"""The journal: one row per distinct event, whatever its time, and partitions that come and go."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from rig.events import COMPANY, START, event, v2_body

from schema.event import Event
from store.database import Pool
from store.payload import decompress
from worker.applying import journal
from worker.upkeep import partitions

TODAY = datetime.now(UTC).date()
NOW = int(datetime.now(UTC).timestamp() * 1_000_000)
DAY = 86_400_000_000


def at(moment: int, number: int = 1) -> Event:
    return event(v2_body("deal", number, moment, {"title": "t"}, event_id=f"event-{moment}-{number}"))


async def claim(pool: Pool, *events: Event) -> set[str]:
    async with pool.acquire() as connection, connection.transaction():
        return {found.key for found in await journal.claim(connection, COMPANY, events, applied=True)}


async def partition_of(pool: Pool, found: Event) -> str:
    async with pool.acquire() as connection:
        name: str = await connection.fetchval(
            "SELECT tableoid::regclass::text FROM pipemirror.events WHERE key = $1", found.key
        )
    return name.rpartition("events_")[2]


@pytest.mark.parametrize(
    ("moment", "partition"),
    [
        (NOW, f"{TODAY:%Y%m%d}"),
        (NOW - 13 * DAY, f"{TODAY - timedelta(days=13):%Y%m%d}"),
        (START - 900 * DAY, "default"),
        (NOW + 40 * DAY, "default"),
    ],
    ids=["today", "within retention", "long past", "far ahead"],
)
async def test_an_event_stays_in_the_partition_of_its_own_day_and_is_met_there_again(
    pool: Pool, moment: int, partition: str
) -> None:
    found = at(moment)

    assert await claim(pool, found) == {found.key}
    assert await claim(pool, found) == set()
    assert await partition_of(pool, found) == partition


async def test_an_event_without_any_time_is_kept_once(pool: Pool) -> None:
    definition = event(v2_body("dealField", 1, START, {"name": "x"}, timestamp=None))

    assert definition.occurred_at is None
    assert await claim(pool, definition) == {definition.key}
    assert await claim(pool, definition) == set()


async def test_copies_within_one_batch_are_claimed_once(pool: Pool) -> None:
    found = at(NOW)

    assert await claim(pool, found, found, at(NOW, 2)) == {found.key, at(NOW, 2).key}
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM pipemirror.events") == 2


async def test_events_that_came_before_their_partition_move_into_it_and_are_still_duplicates(pool: Pool) -> None:
    ahead = at(NOW + 10 * DAY)
    await claim(pool, ahead)
    async with pool.acquire() as connection:
        await partitions.ensure(connection, TODAY + timedelta(days=5), 14)

    assert await partition_of(pool, ahead) == f"{TODAY + timedelta(days=10):%Y%m%d}"
    assert await claim(pool, ahead) == set()


async def test_partitions_before_retention_go_and_the_default_one_expires_by_receipt(pool: Pool) -> None:
    old, undated = at(NOW - 10 * DAY), at(START - 900 * DAY)
    await claim(pool, old, undated)
    later = TODAY + timedelta(days=6)
    async with pool.acquire() as connection:
        await partitions.ensure(connection, later, 14)
        await partitions.expire(connection, later, 14)

    assert await partition_days(pool) == {later + timedelta(days=n) for n in range(-14, 8)}
    async with pool.acquire() as connection:
        # `old` was of a day that is gone; `undated` was received in November 2025, before retention.
        assert await connection.fetchval("SELECT count(*) FROM pipemirror.events") == 0


@pytest.mark.parametrize("name", ["archive_202401", "archive_20240101", "events_20240101"])
async def test_a_partition_that_somebody_attached_is_left_alone(pool: Pool, name: str) -> None:
    """Also one of the name that we would give it: it is in another schema, where ours may have that name too."""
    async with pool.acquire() as connection:
        await connection.execute("CREATE SCHEMA old")
        await connection.execute(
            f"CREATE TABLE old.{name} PARTITION OF pipemirror.events FOR VALUES FROM ('2024-01-02') TO ('2024-02-01')"
        )
        known = await partitions.days(connection)
        await partitions.ensure(connection, date(2024, 1, 1) - partitions.AHEAD, -partitions.AHEAD.days)
        assert await partitions.days(connection) == known | {date(2024, 1, 1)}
        await partitions.expire(connection, TODAY, 14)

        assert await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f"old.{name}")
        assert await partitions.days(connection) == known
        assert await partitions.days_ahead(connection, TODAY) == 8


async def test_a_table_beside_the_journals_is_no_day_of_it(pool: Pool) -> None:
    async with pool.acquire() as connection:
        known = await partitions.days(connection)
        for number, name in enumerate(("events_2024", "events_20249999", "mine_20240101", '"events_20240101 "')):
            bounds = f"FROM ('20{10 + number}-01-01') TO ('20{10 + number}-02-01')"
            await connection.execute(
                f"CREATE TABLE pipemirror.{name} PARTITION OF pipemirror.events FOR VALUES {bounds}"
            )
        assert await partitions.days(connection) == known


async def partition_days(pool: Pool) -> set[date]:
    async with pool.acquire() as connection:
        rows: list[Any] = await connection.fetch(
            "SELECT relid::regclass::text AS name FROM pg_partition_tree('pipemirror.events') WHERE isleaf"
        )
    digits = [row["name"].rpartition("_")[2] for row in rows]
    return {datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date() for text in digits if text.isdigit()}


async def test_the_evidence_in_the_journal_is_the_body_as_received(pool: Pool) -> None:
    found = at(NOW)
    await claim(pool, found)
    async with pool.acquire() as connection:
        payload = await connection.fetchval("SELECT payload FROM pipemirror.events")

    assert decompress(payload) == found.envelope.body
