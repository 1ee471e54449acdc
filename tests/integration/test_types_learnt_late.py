"""A custom field value that came before its type was known takes its canonical shape once an event teaches it."""

import dataclasses
import json
from typing import Any

import pytest
from rig.events import COMPANY, START, envelope, v2_body

from schema.errors import BadValue
from schema.event import Event, Refusal, read
from store import companies, dead_letters, fields
from store.companies import ACTIVE, PAUSED, Company
from store.database import Pool
from worker.applying import mirror, parking
from worker.applying.provision import provision
from worker.operations.replay_letter import replay_letter
from worker.upkeep import normalising

ENUM, SET, MONEY, TEXT = "e" * 40, "5" * 40, "c" * 40, "d" * 40
LEAD = "5f0c9a10-17b2-11f1-9e21-6b3a1c7d2e40"
SECOND = 1_000_000
WRAPPED = {
    ENUM: {"type": "enum", "id": 43},
    SET: {"type": "set", "values": [{"id": 2}]},
    MONEY: {"type": "monetary", "value": 1, "currency": "EUR"},
}
RECEIVED = {ENUM: "41", SET: "52,47", MONEY: 500, TEXT: "as it is"}
TYPED = {ENUM: 41, SET: [47, 52], MONEY: {"value": 500, "currency": None}, TEXT: "as it is"}


@pytest.fixture
async def company(pool: Pool) -> Company:
    async with pool.acquire() as connection:
        return await provision(connection, COMPANY, numbered_slugs=False)


def v1(record_id: int, at: int, current: dict[str, Any], *, object_: str = "deal", action: str = "updated") -> bytes:
    """A webhook v1 `at` microseconds after START."""
    moment = START + at
    meta = {
        "v": 1, "action": action, "object": object_, "id": record_id, "company_id": COMPANY, "user_id": 11,
        "timestamp": moment // SECOND, "timestamp_micro": moment,
    }  # fmt: skip
    told = {"id": record_id, "update_time": moment // SECOND} | current
    return json.dumps({"v": 1, "meta": meta, "current": told, "previous": None, "retry": 0}).encode()


async def apply(pool: Pool, company: Company, body: bytes) -> None:
    """With the types that this worker knows when the event comes."""
    found = read(envelope(body), company.types_of)
    assert isinstance(found, Event)
    async with pool.acquire() as connection, connection.transaction():
        applied = await mirror.apply(connection, company, [found])
    company.learn(applied.learnt)


async def teach(pool: Pool, company: Company, entity: str = "deal", record_id: Any = 99) -> None:
    """Another record's v2 event, whose values name their types."""
    await apply(pool, company, v2_body(entity, record_id, START + 50 * SECOND, {"custom_fields": WRAPPED}))


async def normalise(pool: Pool, company: Company) -> int | None:
    async with pool.acquire() as connection:
        return await normalising.normalise(connection, company)


async def row_of(pool: Pool, company: Company, record_id: Any = 1, table: str = "deals") -> dict[str, Any]:
    async with pool.acquire() as connection:
        found = await connection.fetchrow(f'SELECT * FROM "{company.slug}_raw".{table} WHERE id = $1', record_id)
    assert found is not None
    return dict(found)


async def history_of(pool: Pool, company: Company) -> list[tuple[Any, ...]]:
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            f'SELECT field, old_value, new_value FROM "{company.slug}_raw".field_changes ORDER BY version, field'
        )
    return [tuple(row) for row in rows]


async def test_a_value_of_unknown_type_is_stored_as_received_and_marked(pool: Pool, company: Company) -> None:
    await apply(pool, company, v1(1, 0, RECEIVED))
    row = await row_of(pool, company)
    assert row["custom_fields"] == RECEIVED
    assert row["_untyped"] == sorted(RECEIVED)


async def test_before_any_type_is_known_there_is_nothing_to_normalise(pool: Pool, company: Company) -> None:
    await apply(pool, company, v1(1, 0, RECEIVED))
    assert await normalise(pool, company) == 0
    assert (await row_of(pool, company))["_revision"] == 1


async def test_an_event_about_another_record_teaches_the_types_and_normalising_mends_the_row(
    pool: Pool, company: Company
) -> None:
    await apply(pool, company, v1(1, 0, RECEIVED))
    before = await row_of(pool, company)
    await teach(pool, company)

    async with pool.acquire() as connection:
        assert (await fields.types(connection, company.id))["deal"] == {ENUM: "enum", SET: "set", MONEY: "monetary"}
    assert (await row_of(pool, company))["custom_fields"] == RECEIVED
    assert await normalise(pool, company) == 1

    after = await row_of(pool, company)
    assert after["custom_fields"] == TYPED
    assert after["_untyped"] == [TEXT], "nobody has taught this one yet"
    moved = {"custom_fields", "_untyped", "_revision", "_synced_at"}
    assert {name for name in after if after[name] != before[name]} == moved


async def test_a_company_that_is_paused_meanwhile_is_left_alone(pool: Pool, company: Company) -> None:
    await apply(pool, company, v1(1, 0, RECEIVED))
    await teach(pool, company)
    async with pool.acquire() as connection:
        await companies.change_state(connection, COMPANY, PAUSED)
    assert await normalise(pool, company) is None
    assert (await row_of(pool, company))["custom_fields"] == RECEIVED
    async with pool.acquire() as connection:
        await companies.change_state(connection, COMPANY, ACTIVE)
    assert await normalise(pool, company) == 1


async def test_normalising_again_finds_nothing_and_is_no_change_of_the_value(pool: Pool, company: Company) -> None:
    await apply(pool, company, v1(1, 0, RECEIVED))
    await teach(pool, company)
    assert [await normalise(pool, company), await normalise(pool, company)] == [1, 0]
    assert await history_of(pool, company) == []


async def test_normalising_goes_on_until_no_row_is_left(
    pool: Pool, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normalising, "CHUNK", 2)
    for record_id in range(1, 6):
        await apply(pool, company, v1(record_id, record_id, {ENUM: str(record_id)}))
    await teach(pool, company)
    assert await normalise(pool, company) == 5
    found = [await row_of(pool, company, record_id) for record_id in range(1, 6)]
    assert [row["custom_fields"][ENUM] for row in found] == [1, 2, 3, 4, 5]
    assert all(row["_untyped"] is None for row in found)


async def test_another_process_normalises_by_what_the_database_knows(pool: Pool, company: Company) -> None:
    await apply(pool, company, v1(1, 0, {ENUM: "41"}))
    await teach(pool, company)
    assert await normalise(pool, dataclasses.replace(company, types={})) == 1
    assert (await row_of(pool, company))["custom_fields"] == {ENUM: 41}


async def test_the_types_of_one_entity_are_no_types_of_another(pool: Pool, company: Company) -> None:
    """Leads share those of deals; persons have their own, even under the same hash."""
    await apply(pool, company, v1(1, 0, {ENUM: "41"}, object_="person"))
    await teach(pool, company, "lead", LEAD)
    await apply(pool, company, v1(1, 0, {ENUM: "41"}))
    assert (await row_of(pool, company))["custom_fields"] == {ENUM: 41}
    assert await normalise(pool, company) == 0
    row = await row_of(pool, company, table="persons")
    assert (row["custom_fields"], row["_untyped"]) == ({ENUM: "41"}, [ENUM])


async def test_what_deals_teach_mends_leads_too(pool: Pool, company: Company) -> None:
    """Their fields are those of deals."""
    await apply(pool, company, v2_body("lead", LEAD, START, {"custom_fields": {ENUM: "41"}}))
    await teach(pool, company)
    assert await normalise(pool, company) == 1
    row = await row_of(pool, company, LEAD, "leads")
    assert (row["custom_fields"], row["_untyped"]) == ({ENUM: 41}, None)


async def test_once_a_type_is_known_the_next_v1_event_is_read_by_it(pool: Pool, company: Company) -> None:
    await apply(pool, company, v1(1, 0, RECEIVED))
    await teach(pool, company)
    await apply(pool, company, v1(1, SECOND, RECEIVED))
    row = await row_of(pool, company)
    assert (row["custom_fields"], row["_untyped"]) == (TYPED, [TEXT])


async def test_a_row_that_is_folded_again_takes_the_types_that_the_event_teaches(pool: Pool, company: Company) -> None:
    """A newer v2 event of the record brings its own values, and mends the older ones that it does not carry."""
    await apply(pool, company, v1(1, 0, RECEIVED))
    told = {"custom_fields": {ENUM: WRAPPED[ENUM]}}
    await apply(pool, company, v2_body("deal", 1, START + SECOND, told))
    row = await row_of(pool, company)
    assert row["custom_fields"] == RECEIVED | {ENUM: 43}
    assert row["_untyped"] == sorted(RECEIVED.keys() - {ENUM})


async def test_a_late_event_loses_but_its_types_still_mend_the_newer_value(pool: Pool, company: Company) -> None:
    await apply(pool, company, v1(1, 10 * SECOND, {ENUM: "41"}))
    await apply(pool, company, v2_body("deal", 1, START, {"title": "old", "custom_fields": {ENUM: WRAPPED[ENUM]}}))
    row = await row_of(pool, company)
    assert (row["custom_fields"], row["_untyped"]) == ({ENUM: 41}, None)


async def test_a_late_event_that_wins_no_cell_leaves_the_mending_to_normalising(pool: Pool, company: Company) -> None:
    await apply(pool, company, v1(1, 10 * SECOND, {ENUM: "41"}))
    await apply(pool, company, v2_body("deal", 1, START, {"custom_fields": {ENUM: WRAPPED[ENUM]}}))
    assert await normalise(pool, company) == 1
    row = await row_of(pool, company)
    assert (row["custom_fields"], row["_untyped"]) == ({ENUM: 41}, None)


async def test_a_value_that_was_only_mended_has_not_changed_in_the_history(pool: Pool, company: Company) -> None:
    """v1 told "41", v2 tells 41: the same option, seen twice."""
    await apply(pool, company, v1(1, 0, {ENUM: "41"}))
    await apply(
        pool, company, v2_body("deal", 1, START + SECOND, {"custom_fields": {ENUM: {"type": "enum", "id": 41}}})
    )
    assert await history_of(pool, company) == []
    await apply(pool, company, v2_body("deal", 1, START + 2 * SECOND, {"custom_fields": {ENUM: WRAPPED[ENUM]}}))
    assert await history_of(pool, company) == [(ENUM, 41, 43)]


async def test_a_value_that_has_not_the_form_of_its_type_stays_as_received_and_is_not_tried_again(
    pool: Pool, company: Company
) -> None:
    await apply(pool, company, v1(1, 0, {ENUM: "not an option"}))
    await teach(pool, company)
    assert [await normalise(pool, company), await normalise(pool, company)] == [1, 0]
    row = await row_of(pool, company)
    assert (row["custom_fields"], row["_untyped"]) == ({ENUM: "not an option"}, None)


async def test_a_value_that_means_not_set_becomes_null(pool: Pool, company: Company) -> None:
    await apply(pool, company, v1(1, 0, {TEXT: "0000-00-00", ENUM: ""}))
    assert (await row_of(pool, company))["custom_fields"] == {TEXT: "0000-00-00", ENUM: None}
    await apply(
        pool, company, v2_body("deal", 99, START, {"custom_fields": {TEXT: {"type": "date", "value": "2026-07-01"}}})
    )
    await normalise(pool, company)
    row = await row_of(pool, company)
    assert (row["custom_fields"], row["_untyped"]) == ({TEXT: None, ENUM: None}, None)


async def test_a_replayed_letter_tells_what_is_around_it_by_the_types_that_are_known(
    pool: Pool, company: Company
) -> None:
    await teach(pool, company)
    await apply(pool, company, v1(1, 0, {"title": "a", ENUM: "41"}))
    typed = {"title": "c", "custom_fields": {ENUM: {"type": "enum", "id": 41}}}
    await apply(pool, company, v2_body("deal", 1, START + 2 * SECOND, typed))
    late = Refusal(envelope(v1(1, SECOND, {"title": "b", ENUM: "41"})), BadValue("it was one"), {})
    async with pool.acquire() as connection:
        await dead_letters.park(connection, [parking.of_refusal(late)])
        [letter] = await dead_letters.open_letters(connection)
    assert await replay_letter(pool, letter["id"], numbered_slugs=False) is None
    assert await history_of(pool, company) == [("title", "a", "b"), ("title", "b", "c")]
