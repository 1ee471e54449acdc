"""Telling history anew: right wherever a late event belongs, and never more work than it concerns."""

import json
from dataclasses import replace
from typing import Any

import pytest
from rig.events import COMPANY, START, deal, event, v2_body
from rig.mirrored import apply, company_of, history_of, told

from schema.change import Change
from schema.columns import to_json
from schema.entities import BY_NAME
from schema.envelope import Envelope
from schema.event import Event, Readable, TypesOf, read
from schema.history import retell
from schema.rest import Answer, absent
from schema.version import of_read
from store.companies import Company
from store.database import Pool
from worker.applying import mirror, retelling, stretch, surroundings

SECOND = 1_000_000
HOUR = 3_600 * SECOND
HASH = "c" * 40


@pytest.fixture
def read_again(monkeypatch: pytest.MonkeyPatch) -> list[Envelope]:
    """What was read of the journal since."""
    found: list[Envelope] = []

    def noted(envelope: Envelope, types_of: TypesOf) -> Readable:
        found.append(envelope)
        return read(envelope, types_of)

    monkeypatch.setattr(surroundings, "read", noted)
    return found


def of_v1(at: int, option: str) -> Event:
    """It tells a custom field without its type."""
    meta = {"v": 1, "action": "updated", "object": "deal", "id": 1, "company_id": COMPANY}
    times = {"timestamp": (START + at) // SECOND, "timestamp_micro": START + at}
    body = {"v": 1, "meta": meta | times, "current": {"id": 1, HASH: option}, "previous": None}
    return event(json.dumps(body).encode())


def of_v2(at: int, option: int, record_id: int = 1) -> Event:
    told = {"custom_fields": {HASH: {"type": "enum", "id": option}}}
    return event(v2_body("deal", record_id, START + at, told))


async def write(pool: Pool, company: Company, change: Change) -> None:
    """As a read does."""
    async with pool.acquire() as connection, connection.transaction():
        await mirror.write(connection, company, [change])


async def forget(pool: Pool, one: Event) -> None:
    """As when its day's partition is dropped."""
    async with pool.acquire() as connection:
        await connection.execute("DELETE FROM pipemirror.events WHERE key = $1", one.key)


async def places_of(pool: Pool) -> dict[tuple[str, str, str], Any]:
    """Where each row of the history stands: a row that is written again stands elsewhere."""
    async with pool.acquire() as connection:
        rows = await connection.fetch("SELECT entity_id, field, version, ctid FROM pipedrive_raw.field_changes")
    return {(row["entity_id"], row["field"], row["version"]): row["ctid"] for row in rows}


async def test_of_a_long_life_only_the_events_beside_the_late_one_are_read(
    pool: Pool, read_again: list[Envelope]
) -> None:
    company = await company_of(pool)
    events = [deal(number * 10 * SECOND, stage_id=number % 3, title="a") for number in range(100)]
    late = deal(305 * SECOND, stage_id=7, title="b")
    await apply(pool, company, *events)

    await apply(pool, company, late)

    assert await history_of(pool, company) == told([*events, late])
    assert 3 <= len(read_again) <= 6


async def test_of_many_late_ones_together_no_more_is_read_than_lies_between_them(
    pool: Pool, read_again: list[Envelope]
) -> None:
    company = await company_of(pool)
    events = [deal(number * SECOND, stage_id=number % 3, title="a") for number in range(200)]
    late = [one for number, one in enumerate(events) if 100 <= number < 130 and number % 2]
    await apply(pool, company, *(one for one in events if one not in late))

    await apply(pool, company, *late)

    assert await history_of(pool, company) == told(events)
    assert len(read_again) < 100


async def test_what_is_not_told_again_is_looked_for_until_it_is(pool: Pool, read_again: list[Envelope]) -> None:
    """Here a custom field that the 80 events after the late one do not carry, and its values before."""
    company = await company_of(pool)

    def custom(value: int) -> dict[str, Any]:
        return {"custom_fields": {HASH: {"type": "enum", "id": value}}}

    events = [
        deal(0, title="a", **custom(1)),
        *(deal(number * SECOND, title="ab"[number % 2]) for number in range(1, 10)),
        *(deal(number * SECOND, title="ab"[number % 2]) for number in range(11, 90)),
        deal(90 * SECOND, title="c", **custom(3)),
        *(deal(number * SECOND, title="ab"[number % 2], **custom(4)) for number in range(91, 200)),
    ]
    late = deal(10 * SECOND, title="z", **custom(2))
    await apply(pool, company, *events)

    await apply(pool, company, late)

    assert await history_of(pool, company) == told([*events, late])
    assert [change[2:] for change in told([*events, late]) if change[1] == HASH] == [(1, 2), (2, 3), (3, 4)]
    assert len(read_again) < len(events)


async def test_late_events_far_apart_are_not_bound_together_by_all_between(
    pool: Pool, read_again: list[Envelope]
) -> None:
    company = await company_of(pool)
    events = [deal(number * HOUR, stage_id=number % 3, title="a") for number in range(100)]
    late = [deal(number * HOUR + SECOND, stage_id=7, title="b") for number in (5, 40, 41, 90)]
    await apply(pool, company, *events)

    await apply(pool, company, *late)

    assert await history_of(pool, company) == told([*events, *late])
    assert len(read_again) < 30


async def test_what_only_the_history_tells_again_is_found_there(pool: Pool) -> None:
    company = await company_of(pool)
    first, later = deal(0, stage_id=1, title="a"), deal(30 * HOUR, stage_id=2, title="c")
    events = [deal(number * HOUR, stage_id=number % 3) for number in range(1, 40) if number != 30]
    await apply(pool, company, first, later, *events)
    await forget(pool, later)
    late = deal(5 * HOUR + SECOND, stage_id=9, title="b")

    await apply(pool, company, late)

    assert await history_of(pool, company) == told([first, later, *events, late])


async def test_what_was_before_is_known_from_the_history_where_no_event_near_tells_it(pool: Pool) -> None:
    """The title was told by events that are further back than is looked, twice: so the history tells the last one."""
    company = await company_of(pool)
    before = [deal(0, title="a"), deal(1000, title="b")]
    between = [deal(number * HOUR, stage_id=number % 3) for number in range(1, surroundings.PRECEDING + 5)]
    late, after = deal(30 * HOUR, title="c", stage_id=9), deal(31 * HOUR, title="d", stage_id=9)
    await apply(pool, company, *before, *between, after)

    await apply(pool, company, late)

    titles = [change[2:] for change in await history_of(pool, company) if change[1] == "title"]
    assert titles == [("a", "b"), ("b", "c"), ("c", "d")]


async def test_a_long_past_is_not_looked_at(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The history is never deleted: else a late event would cost the more the older its record is."""
    company = await company_of(pool)
    await apply(pool, company, *(deal(number * HOUR, stage_id=number) for number in range(50)))
    found: list[int] = []
    correct = stretch.Stretch.correct

    def noted(one: Any, rows: Any, before: Any) -> Any:
        found.append(len(rows) + len(before))
        return correct(one, rows, before)

    monkeypatch.setattr(stretch.Stretch, "correct", noted)
    await apply(pool, company, deal(30 * HOUR + SECOND, stage_id=99))

    assert found == [2], "the changes on either side, and nothing else"


@pytest.mark.parametrize("explained", [True, False])
async def test_a_read_among_events_gives_way_to_the_late_one_that_explains_it(pool: Pool, explained: bool) -> None:
    company = await company_of(pool)
    first, last = deal(0, stage_id=1), deal(60 * SECOND, stage_id=3)
    late = deal((30 if explained else 31) * SECOND, stage_id=2)
    [told_by_event] = late.changes
    seen = (START + 30 * SECOND) // SECOND
    read_then = replace(
        told_by_event, version=of_read(seen, START + 40 * SECOND), previous=dict, source="sweep", user_id=None
    )
    await apply(pool, company, first)
    async with pool.acquire() as connection, connection.transaction():
        await mirror.write(connection, company, [read_then])
    await apply(pool, company, last)

    await apply(pool, company, late)

    changes = [change for one in (first, last, late) for change in one.changes]
    expected = sorted(
        (one.version, one.field, to_json(one.old), to_json(one.new)) for one in retell([*changes, read_then], {})
    )
    assert await history_of(pool, company) == expected
    assert any(version == read_then.version for version, *_ in expected) is not explained


async def test_what_is_told_rightly_stays_where_it_is(pool: Pool) -> None:
    company = await company_of(pool)
    events = [deal(number * 10 * SECOND, stage_id=number, title=f"t{number}") for number in range(6)]
    late = deal(25 * SECOND, stage_id=9, title="t2")
    await apply(pool, company, *events)
    before = await places_of(pool)

    await apply(pool, company, late)

    after = await places_of(pool)
    told_otherwise = {("1", "stage_id", events[3].version)}
    assert {place for place in before if after.get(place) != before[place]} == told_otherwise
    assert after.keys() - before.keys() == {("1", "stage_id", late.version)}


async def test_newer_changes_beside_a_late_one_are_told_once(pool: Pool) -> None:
    """One of them is the first to tell the title again that the late one told, the other is not concerned."""
    company = await company_of(pool)
    first = [deal(0, stage_id=1, title="a"), deal(10 * SECOND, stage_id=2)]
    together = [
        deal(5 * SECOND, stage_id=7, title="b"),
        deal(20 * SECOND, stage_id=3, title="c"),
        deal(30 * SECOND, stage_id=4, title="d"),
    ]
    await apply(pool, company, *first)

    await apply(pool, company, *together)

    assert await history_of(pool, company) == told([*first, *together])


async def test_records_are_told_anew_in_portions(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retelling, "_AT_ONCE", 2)
    company = await company_of(pool)

    def of_each(at: int, stage: int) -> list[Event]:
        return [deal(at, record, stage_id=stage + record) for record in range(1, 6)]

    first, last, late = of_each(0, 10), of_each(9 * SECOND, 10), of_each(5 * SECOND, 20)
    await apply(pool, company, *first, *last)

    await apply(pool, company, *late)

    for record in range(1, 6):
        assert await history_of(pool, company, record) == told([*first, *last, *late], record)
    assert len(await places_of(pool)) == 10


@pytest.mark.parametrize("known_by", ["the journal no more", "a read"])
async def test_the_history_ends_in_what_the_table_shows(pool: Pool, known_by: str) -> None:
    """Where the newest assertion of the title is in no journal, and was no change."""
    company = await company_of(pool)
    first, same = deal(0, title="a"), deal(500 * SECOND, title="a")
    await apply(pool, company, first)
    if known_by == "a read":
        [change] = same.changes
        newest = replace(change, version=of_read((START + 500 * SECOND) // SECOND, START + 900 * SECOND))
        async with pool.acquire() as connection, connection.transaction():
            await mirror.write(connection, company, [newest])
    else:
        await apply(pool, company, same)
        await forget(pool, same)

    await apply(pool, company, deal(300 * SECOND, title="c"))

    assert [change[2:] for change in await history_of(pool, company)] == [("a", "c"), ("c", "a")]


async def test_what_the_history_knew_of_the_time_before_is_not_forgotten(pool: Pool) -> None:
    company = await company_of(pool)
    first, last = deal(0, title="a"), deal(500 * SECOND, title="b")
    await apply(pool, company, first)
    await apply(pool, company, last)
    await forget(pool, first)

    await apply(pool, company, deal(300 * SECOND, title="c"))

    assert [change[2:] for change in await history_of(pool, company)] == [("a", "c"), ("c", "b")]


async def test_what_a_source_said_of_the_time_before_is_not_believed_over_a_late_event(pool: Pool) -> None:
    company = await company_of(pool)
    body = v2_body("deal", 1, START + 500 * SECOND, {"title": "b"}, previous={"title": "a"})
    await apply(pool, company, event(body))
    assert [change[2:] for change in await history_of(pool, company)] == [("a", "b")]

    await apply(pool, company, deal(300 * SECOND, title="c"))

    assert [change[2:] for change in await history_of(pool, company)] == [("c", "b")]


async def test_what_was_told_before_its_type_was_known_is_no_change_to_itself(pool: Pool) -> None:
    company = await company_of(pool)
    await apply(pool, company, of_v1(0, "42"), of_v1(500 * SECOND, "43"))
    async with pool.acquire() as connection:
        await connection.execute("DELETE FROM pipemirror.events")
    await apply(pool, company, of_v2(900 * SECOND, 43))

    await apply(pool, company, of_v2(700 * SECOND, 43))

    assert [change[2:] for change in await history_of(pool, company)] == [("42", "43")]


@pytest.mark.parametrize("learnt_by_the_late_one", [True, False])
async def test_the_events_around_are_read_by_the_types_of_this_moment(pool: Pool, learnt_by_the_late_one: bool) -> None:
    """The late event tells the type of a value that the events around it tell without."""
    company = await company_of(pool)

    await apply(pool, company, of_v1(0, "43"), of_v1(9 * SECOND, "43"))
    if not learnt_by_the_late_one:
        await apply(pool, await company_of(pool), of_v2(0, 43, record_id=2))

    await apply(pool, company, of_v2(5 * SECOND, 43))

    assert await history_of(pool, company) == []


async def test_what_was_before_may_be_told_by_a_read_that_is_dated_before_the_event_it_is_newer_than(
    pool: Pool,
) -> None:
    """A read is dated by the second of its update_time, an event of the same second is dated exactly."""
    company = await company_of(pool)
    first, second = deal(0, stage_id=1), deal(SECOND // 2, stage_id=2)
    [change] = second.changes
    cells = change.cells | {"stage_id": 3}
    read_then = replace(change, version=of_read(START // SECOND, START + 100 * SECOND), cells=cells, source="sweep")
    newest = deal(2 * HOUR, title="newest")
    await apply(pool, company, first, second)
    await write(pool, company, read_then)
    await apply(pool, company, newest)
    await forget(pool, first)
    await forget(pool, second)

    await apply(pool, company, deal(HOUR, stage_id=4, title="late"))

    stages = [change[2:] for change in await history_of(pool, company) if change[1] == "stage_id"]
    assert stages == [(1, 2), (3, 4), (2, 3)], "by version as text: events first, then reads"


async def test_a_read_of_an_update_long_before_the_event_is_told_once_with_it(pool: Pool) -> None:
    """What is deleted need not have been updated by that: then who misses it dates that by its last update."""
    company = await company_of(pool)
    updated = {"update_time": START // SECOND}
    known = event(v2_body("deal", 1, START + HOUR, {"title": "a"} | updated))
    late = event(v2_body("deal", 1, START + 2 * HOUR, None, previous={"title": "a"} | updated, action="delete"))
    restored = event(v2_body("deal", 1, START + 30 * HOUR, {"title": "b", "update_time": START // SECOND + 30 * 3600}))
    missed = absent(Answer(BY_NAME["deal"], START + 3 * HOUR, "reconcile"), 1, known.changes[0].version)
    await apply(pool, company, known)
    await write(pool, company, missed)
    await apply(pool, company, restored)

    await apply(pool, company, late)

    deletions = [change[:1] for change in await history_of(pool, company) if change[1] == "_deleted_at"]
    assert deletions == [(late.version,), (restored.version,)]
