"""Rows of the REST API into the tables, beside events that race them."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from rig import events
from rig.mirrored import apply, company_of, history_of, row_of

from schema.entities import BY_NAME
from schema.errors import BadId, BadValue, Conflict
from schema.rest import Answer
from store import companies, refused, upkeep
from store.companies import Company
from store.database import Pool
from worker.applying.loading import Loaded, load

HASH, OTHER = "a" * 40, "b" * 40
MINUTE = 60_000_000
BEGAN = events.START + 10 * MINUTE
TYPES = {HASH: "varchar", OTHER: "varchar"}


def deal(record_id: int = 1, **columns: Any) -> dict[str, Any]:
    return {"id": record_id, "title": "read", "update_time": None, "is_deleted": False} | columns


def answer(began: int = BEGAN) -> Answer:
    return Answer(BY_NAME["deal"], began, "backfill", TYPES)


async def loaded(pool: Pool, company: Company, *rows: dict[str, Any], began: int = BEGAN) -> Loaded:
    async with pool.acquire() as connection, connection.transaction():
        found = await load(connection, company, answer(began), rows)
    assert found is not None
    return found


async def test_what_has_no_row_yet_gets_one(pool: Pool) -> None:
    company = await company_of(pool)

    found = await loaded(pool, company, deal(1, custom_fields={HASH: "x", OTHER: None}), deal(2, new_key=5))

    assert (found.ids, found.made, found.refused) == ([1, 2], 2, [])
    row = await row_of(pool, company, 1)
    assert (row["title"], row["_source"], row["_deleted_at"], row["_revision"]) == ("read", "backfill", None, 1)
    assert row["custom_fields"] == {HASH: "x"}, "empty fields are not stored"
    assert (datetime.now(UTC) - row["_synced_at"]).total_seconds() < 60
    assert (await row_of(pool, company, 2))["_extra"] == {"new_key": 5}
    assert await history_of(pool, company) == [], "what was found first is no change"


async def test_it_was_written_when_the_database_says_so(pool: Pool) -> None:
    """By its clock comparisons know what was written while they read, however wrong that of the worker is."""
    company = await company_of(pool)
    async with pool.acquire() as connection, connection.transaction():
        assert await load(connection, company, answer(), [deal()])
        now = await upkeep.now(connection)
    assert (await row_of(pool, company))["_synced_at"] == now


async def test_reading_again_changes_what_changed_and_tells_it(pool: Pool) -> None:
    company = await company_of(pool)
    await loaded(pool, company, deal(custom_fields={HASH: "x", OTHER: "kept"}))

    again = await loaded(pool, company, deal(title="later", custom_fields={HASH: None, OTHER: "kept"}), began=BEGAN + 1)

    assert again.made == 0
    row = await row_of(pool, company)
    assert (row["title"], row["custom_fields"]) == ("later", {OTHER: "kept"})
    told = {change[1:] for change in await history_of(pool, company)}
    assert told == {("title", "read", "later"), (HASH, "x", None)}


async def test_an_event_that_the_read_did_not_see_stands(pool: Pool) -> None:
    company = await company_of(pool)
    await apply(pool, company, events.deal(BEGAN + MINUTE - events.START, title="told later"))

    await loaded(pool, company, deal(title="read earlier", mrr=5))

    row = await row_of(pool, company)
    assert (row["title"], row["mrr"]) == ("told later", 5)


async def test_an_event_that_comes_late_loses_against_the_read(pool: Pool) -> None:
    company = await company_of(pool)
    await loaded(pool, company, deal(title="read", custom_fields={HASH: None}))

    late = events.deal(BEGAN - 2 * MINUTE - events.START, title="late", custom_fields={HASH: "late"})
    await apply(pool, company, late)

    row = await row_of(pool, company)
    assert (row["title"], row["custom_fields"]) == ("read", {})


async def test_the_same_record_twice_in_one_answer_is_read_twice(pool: Pool) -> None:
    company = await company_of(pool)
    found = await loaded(pool, company, deal(1), deal(2), deal(1, title="again", update_time="2026-01-02T03:04:05Z"))
    assert (found.made, len(found.ids)) == (2, 3)
    assert (await row_of(pool, company))["title"] == "again"


async def test_a_row_that_cannot_be_read_is_named_and_the_others_are_written(pool: Pool) -> None:
    company = await company_of(pool)
    found = await loaded(pool, company, {"title": "no id"}, deal(1, stage_id="none"), deal(2))
    assert [(one.id, one.code) for one in found.refused] == [("", BadId.code), ("1", BadValue.code)]
    assert found.made == 1
    assert (await row_of(pool, company, 2))["title"] == "read"


async def test_a_row_that_is_read_after_all_is_refused_no_more(pool: Pool) -> None:
    company = await company_of(pool)
    await loaded(pool, company, deal(1, stage_id="none"), deal(2, stage_id="none"))
    await loaded(pool, company, deal(1), began=BEGAN + 1)
    async with pool.acquire() as connection:
        assert await refused.ids(connection, company.id) == {"deal": ["2"]}


@pytest.mark.parametrize("bad", ["a\x00b", {"nested": "\x00"}], ids=["text", "json"])
async def test_a_row_that_the_database_cannot_hold_keeps_no_other_out(pool: Pool, bad: Any) -> None:
    company = await company_of(pool)
    await loaded(pool, company, deal(7))
    rows = [deal(number) for number in range(1, 12)]
    rows[4] |= {"title": bad} if isinstance(bad, str) else {"new_key": bad}
    rows[6] |= {"lost_reason": "\x00"}  # of a record that is there already

    found = await loaded(pool, company, *rows, began=BEGAN + 1)

    assert [(one.id, one.code) for one in found.refused] == [("5", BadValue.code), ("7", BadValue.code)]
    assert sorted(found.ids) == [1, 2, 3, 4, 6, 8, 9, 10, 11]
    assert found.made == 9
    assert (await row_of(pool, company, 11))["title"] == "read"


async def test_who_was_not_first_to_make_a_record_is_told_to_try_again(pool: Pool) -> None:
    company = await company_of(pool)
    async with pool.acquire() as first, first.transaction():
        await load(first, company, answer(), [deal(1, title="first")])
        second = asyncio.create_task(loaded(pool, company, deal(1, title="second"), deal(2), began=BEGAN + 1))
        await asyncio.sleep(0.1)  # so that it waits for the first; it would end the same without
    with pytest.raises(Conflict):
        await second
    assert (await loaded(pool, company, deal(1, title="second"), deal(2), began=BEGAN + 1)).made == 1
    assert (await row_of(pool, company))["title"] == "second"


async def test_nothing_is_written_for_a_company_that_is_paused(pool: Pool) -> None:
    company = await company_of(pool)
    async with pool.acquire() as connection:
        await connection.execute("UPDATE pipemirror.companies SET state = 'paused' WHERE id = $1", company.id)
        async with connection.transaction():
            assert await load(connection, company, answer(), [deal()]) is None
        assert await companies.find(connection, company.id) is not None
        count = await connection.fetchval(f'SELECT count(*) FROM "{company.slug}_raw".deals')
    assert count == 0
