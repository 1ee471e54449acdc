"""Every sample payload, applied to a real Postgres, comes to what Pipedrive's documentation says it means."""

import dataclasses
import fnmatch
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from rig import samples
from rig.postgres import Server
from rig.samples import COMPANY, Sample

from schema.entities import BY_NAME, ENTITIES
from schema.envelope import Envelope
from schema.event import Event, read
from store.companies import Company
from store.database import Connection, Pool, create_pool
from worker.applying import mirror
from worker.applying.provision import provision
from worker.upkeep.migrate import migrate

RECEIVED = 1_795_000_000_000_000
SYSTEM = {"_version", "_deleted_at", "_merged_into", "_extra", "_untyped", "_source"}
INTERNAL = {"_v1_version", "_rest_version", "_versions", "_revision", "_synced_at"}
"""How the mirror keeps its books: no promise, so not compared."""

NO_HISTORY = {"update_time", "modified", "is_deleted"}
Mirror = tuple[Connection, Company]


@pytest.fixture(scope="session")
def shared_database(postgres_server: Server) -> Iterator[str]:
    dsn = postgres_server.new_database()
    yield dsn
    postgres_server.drop_database(dsn)


@pytest.fixture(scope="session")
async def shared(shared_database: str) -> AsyncIterator[tuple[Pool, Company]]:
    """One company's empty tables. Making them anew for each sample would take a hundred times as long."""
    await migrate(shared_database)
    pool = await create_pool(shared_database, size=2, application="tests")
    async with pool.acquire() as connection:
        company = await provision(connection, COMPANY, numbered_slugs=False)
    yield pool, company
    await pool.close()


@pytest.fixture
async def empty(shared: tuple[Pool, Company]) -> AsyncIterator[Mirror]:
    """A transaction that is rolled back, so that the next test finds the tables empty again."""
    pool, company = shared
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        yield connection, dataclasses.replace(company, types={})
        await transaction.rollback()


def each(found: Sequence[Sample]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sample", found, ids=lambda one: f"{one.version}-{one.name}")


def each_life(found: Sequence[tuple[Sample, ...]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("life", found, ids=lambda life: f"{life[0].version}-{life[0].entity}")


async def apply(mirrored: Mirror, *told: Sample) -> None:
    """One by one, as they come."""
    connection, company = mirrored
    for one in told:
        event = read(Envelope(COMPANY, RECEIVED, one.body), company.types_of)
        assert isinstance(event, Event), f"{one.name} was refused: {event.problem}"
        applied = await mirror.apply(connection, company, [event])
        assert applied.written == [event]


async def fetch(connection: Connection, statement: str, *parameters: Any) -> list[Any]:
    """JSON values, read as exactly as they are written."""
    return [json.loads(row[0]) for row in await connection.fetch(statement, *parameters)]


async def row_of(mirrored: Mirror, record: dict[str, Any]) -> dict[str, Any]:
    connection, company = mirrored
    table = f'"{company.slug}_raw".{record["table"]}'
    # As text: the pool's own reader of jsonb would hide how a value is written.
    rows = await fetch(connection, f"SELECT to_jsonb(t)::text FROM {table} t WHERE id::text = $1", str(record["id"]))
    assert len(rows) == 1, f"{record['table']} holds {len(rows)} rows of {record['id']}"
    found: dict[str, Any] = rows[0]
    return {name: value for name, value in found.items() if name not in INTERNAL}


def expected_row(record: dict[str, Any], present: set[str]) -> dict[str, Any]:
    """Every column: what the sample carries as it must be, all others null."""
    row: dict[str, Any] = dict.fromkeys(present) | record["row"] | {"id": record["id"], "_source": "webhook"}
    if "custom_fields" in record:
        row["custom_fields"] = record["custom_fields"]
    named = {"_extra": "extra", "_untyped": "untyped", "_deleted_at": "deleted_at", "_merged_into": "merged_into"}
    return row | {column: record[name] for column, name in named.items()}


async def assert_record(mirrored: Mirror, record: dict[str, Any]) -> None:
    found = await row_of(mirrored, record)
    version = found.pop("_version")
    assert found == expected_row(record, found.keys() - SYSTEM)
    assert fnmatch.fnmatchcase(version, record["version"])


async def counted(mirrored: Mirror) -> dict[str, int]:
    connection, company = mirrored
    parts = [
        f"SELECT '{one.plural}' AS name, count(*) AS rows FROM \"{company.slug}_raw\".{one.plural}" for one in ENTITIES
    ]
    return {row["name"]: row["rows"] for row in await connection.fetch(" UNION ALL ".join(parts)) if row["rows"]}


@each(samples.all_samples())
async def test_a_sample_becomes_exactly_its_rows(empty: Mirror, sample: Sample) -> None:
    """What it carries has the documented value, what it does not carry is null, and nothing else is touched."""
    await apply(empty, sample)
    for record in sample.expected["records"]:
        await assert_record(empty, record)
    records = sample.expected["records"]
    tables = [record["table"] for record in records]
    assert await counted(empty) == {table: tables.count(table) for table in tables}


@each(samples.all_samples())
async def test_a_sample_is_journaled_as_what_it_is(empty: Mirror, sample: Sample) -> None:
    await apply(empty, sample)
    connection, company = empty
    (found,) = await fetch(connection, "SELECT to_jsonb(e)::text FROM pipemirror.events e")
    expected = dict(sample.expected["journal"])
    begins = expected.pop("key_begins", None)
    assert {name: found[name] for name in expected} == expected
    if begins is not None:
        assert found["key"].startswith(begins)
        assert len(found["key"]) > len(begins)
    assert fnmatch.fnmatchcase(found["version"], sample.record["version"])
    assert (found["company_id"], found["source"]) == (company.id, "webhook")
    assert found["applied_at"] is not None


@each(samples.all_samples())
async def test_a_sample_teaches_the_types_and_merges_it_tells(empty: Mirror, sample: Sample) -> None:
    await apply(empty, sample)
    connection, company = empty
    fields = await fetch(connection, "SELECT jsonb_build_array(entity, key, type)::text FROM pipemirror.fields")
    told = [[entity, key, kind] for entity, types in sample.expected["types"].items() for key, kind in types.items()]
    assert sorted(fields) == sorted(told)
    merges = f'SELECT jsonb_build_array(entity, loser_id, winner_id, merged_at)::text FROM "{company.slug}_raw".merges'
    assert await fetch(connection, merges) == sample.expected["merges"]


@each(samples.all_samples())
async def test_a_sample_that_comes_again_changes_nothing(empty: Mirror, sample: Sample) -> None:
    connection, company = empty
    await apply(empty, sample)
    before = [await row_of(empty, record) for record in sample.expected["records"]]
    again = read(Envelope(COMPANY, RECEIVED + 3_000_000, sample.body), company.types_of)
    assert isinstance(again, Event)
    applied = await mirror.apply(connection, company, [again])
    assert (applied.written, applied.duplicates) == ([], 1)
    assert [await row_of(empty, record) for record in sample.expected["records"]] == before


def overlaid(older: dict[str, Any], newer: dict[str, Any]) -> dict[str, Any]:
    """The newer state over the older one: what it does not carry keeps its value."""
    both = newer | {"row": older["row"] | newer["row"]}
    custom = newer.get("custom_fields")
    if custom is not None:
        untyped = (set(older["untyped"] or ()) - custom.keys()) | set(newer["untyped"] or ())
        both |= {"custom_fields": older["custom_fields"] | custom, "untyped": sorted(untyped) or None}
    extra = (older["extra"] or {}) | (newer["extra"] or {})
    return both | {"extra": extra or None}


def at_the_end(told: Sequence[dict[str, Any]]) -> dict[str, Any]:
    state = told[0]
    for newer in told[1:]:
        state = overlaid(state, newer)
    return state


@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "in reverse"])
@each_life(samples.lives())
async def test_a_records_life_ends_the_same_in_either_order(
    empty: Mirror, life: tuple[Sample, ...], backwards: bool
) -> None:
    await apply(empty, *(reversed(life) if backwards else life))
    await assert_record(empty, at_the_end([one.record for one in life]))


async def history_of(mirrored: Mirror) -> list[tuple[Any, ...]]:
    connection, company = mirrored
    rows = await connection.fetch(
        f'SELECT version, field, old_value, new_value, user_id FROM "{company.slug}_raw".field_changes '
        "ORDER BY version, field"
    )
    return [tuple(row) for row in rows]


def cells(record: dict[str, Any]) -> dict[str, Any]:
    return {
        **(record["extra"] or {}),
        **record["row"],
        **record.get("custom_fields", {}),
        "_deleted_at": record["deleted_at"],
    }


def changed(life: Sequence[Sample]) -> list[set[str]]:
    """The fields that each step of a life changed, among those that were known before it."""
    states = [cells(at_the_end([one.record for one in life[: n + 1]])) for n in range(len(life))]
    return [{name for name in older if older[name] != newer[name]} for older, newer in pairwise(states)]


@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "in reverse"])
@each_life(samples.lives())
async def test_the_history_of_a_life_tells_each_step_in_either_order(
    empty: Mirror, life: tuple[Sample, ...], backwards: bool
) -> None:
    await apply(empty, *(reversed(life) if backwards else life))
    told = await history_of(empty)
    entity = BY_NAME[life[0].expected["journal"]["entity"]]
    skipped = NO_HISTORY | ({"active_flag"} if entity.deleted_columns.keys() == {"active_flag"} else set())
    known: set[str] = set(cells(life[0].record))
    for one, expected in zip(life[1:], changed(life), strict=True):
        fields = {field for version, field, *_ in told if fnmatch.fnmatchcase(version, one.record["version"])}
        assert fields & known == expected - skipped
        known |= set(cells(one.record))
    assert not [field for version, field, *_ in told if fnmatch.fnmatchcase(version, life[0].record["version"])]


@pytest.mark.parametrize("backwards", [False, True], ids=["delete first", "change first"])
@pytest.mark.parametrize("entity", ["deal", "organization", "person"])
async def test_the_two_events_of_a_merge_end_the_same_in_either_order(
    empty: Mirror, entity: str, backwards: bool
) -> None:
    """One deletes the loser, one changes the winner; each alone tells the merge, and the earlier one dates it."""
    lost, kept = samples.sample("v2", f"{entity}.delete.merged"), samples.sample("v2", f"{entity}.change.merged")
    await apply(empty, *((kept, lost) if backwards else (lost, kept)))
    winner, tombstone = kept.expected["records"]
    await assert_record(empty, winner)
    ordered = sorted((lost.record, tombstone), key=lambda told: told["deleted_at"])
    loser = await row_of(empty, tombstone)
    assert {name: loser[name] for name in lost.record["row"]} == lost.record["row"]
    assert (loser["_deleted_at"], loser["_merged_into"]) == (ordered[1]["deleted_at"], winner["id"])
    connection, company = empty
    merges = f'SELECT jsonb_build_array(entity, loser_id, winner_id, merged_at)::text FROM "{company.slug}_raw".merges'
    assert await fetch(connection, merges) == [[entity, str(loser["id"]), str(winner["id"]), ordered[0]["deleted_at"]]]


@pytest.mark.parametrize("backwards", [False, True], ids=["merge first", "delete first"])
async def test_the_plain_delete_that_v1_sends_beside_a_merge_leaves_the_merge_standing(
    empty: Mirror, backwards: bool
) -> None:
    merged, deleted = samples.sample("v1", "person.merged"), samples.sample("v1", "person.deleted.merged")
    await apply(empty, *((deleted, merged) if backwards else (merged, deleted)))
    winner, loser = merged.expected["records"]
    await assert_record(empty, winner)
    await assert_record(empty, deleted.record | {"merged_into": loser["merged_into"]})
