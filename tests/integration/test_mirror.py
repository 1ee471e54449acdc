"""Mirror.apply on a real Postgres: order, repetition, races, states."""

import asyncio
import json
import random
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig.events import COMPANY, START, deal, event, v2_body
from rig.mirrored import apply, company_of, history_of, row_of, told

from schema.event import Event
from store import fields
from store.database import Pool
from worker.applying import mirror

SECOND = 1_000_000
DAY = 86_400 * SECOND


_record_ids = count(1000)
"""Each example has a record of its own, so that they need not clean up after each other."""


@st.composite
def deal_events(draw: st.DrawFn, record_id: int) -> list[Event]:
    """A deal's life: changes, deletes, restores; some events share their instant, some carry only a part."""
    at, found = 0, []
    for number in range(draw(st.integers(1, 7))):
        at += draw(st.sampled_from([0, 1_000, 400_000, 2 * SECOND]))
        action = draw(st.sampled_from(["create", "change", "change", "change", "delete"]))
        data: dict[str, Any] = {"stage_id": draw(st.integers(1, 3)), "title": draw(st.sampled_from(["a", "b"]))}
        if draw(st.integers(0, 3)) == 0:
            del data["title"]
        data["custom_fields"] = draw(
            st.dictionaries(st.sampled_from(["c" * 40, "d" * 40]), st.sampled_from([None, {"type": "enum", "id": 4}]))
        )
        data["weighted_value"] = number % 2
        found.append(deal(at, record_id, action=action, **data))
    return list({one.key: one for one in found}.values())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
async def test_any_order_repetition_and_split_ends_in_the_same_row_and_history(pool: Pool, data: st.DataObject) -> None:
    record_id = next(_record_ids)
    events = data.draw(deal_events(record_id))
    company = await company_of(pool)
    arriving = data.draw(st.permutations([*events, *data.draw(st.lists(st.sampled_from(events), max_size=3))]))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(arriving)), max_size=3)))
    portions = [arriving[start:end] for start, end in zip([0, *cuts], [*cuts, len(arriving)], strict=True)]

    outcomes = [await apply(pool, company, *portion) for portion in portions if portion]

    newest: dict[str, Any] = {}
    for change in sorted((one.changes[0] for one in events), key=lambda change: change.version):
        newest |= change.cells
    row = await row_of(pool, company, record_id)
    for name in ("stage_id", "title", "_deleted_at", "is_deleted", "update_time"):
        assert row[name] == newest.get(name), name
    assert row["custom_fields"] == {name: value for name, value in newest.items() if len(name) == 40}
    assert row["_extra"] == ({"weighted_value": newest["weighted_value"]} if "weighted_value" in newest else None)
    assert sum(len(outcome.written) for outcome in outcomes) == len(events)
    assert sum(outcome.duplicates for outcome in outcomes) == len(arriving) - len(events)
    assert await history_of(pool, company, record_id) == told(events, record_id)


async def test_a_late_event_takes_its_place_in_the_history(pool: Pool) -> None:
    company = await company_of(pool)
    await apply(pool, company, deal(0, action="create", stage_id=1))
    await apply(pool, company, deal(9 * SECOND, stage_id=1))
    await apply(pool, company, deal(5 * SECOND, stage_id=2))

    stages = [(old, new) for _, field, old, new in await history_of(pool, company) if field == "stage_id"]
    assert stages == [(1, 2), (2, 1)]
    assert (await row_of(pool, company))["stage_id"] == 1


async def test_an_event_later_than_the_journal_removes_nothing_from_the_history(pool: Pool) -> None:
    company = await company_of(pool)
    for number in range(1, 5):
        await apply(pool, company, deal(number * DAY, stage_id=number))
    async with pool.acquire() as connection:
        await connection.execute("DELETE FROM pipemirror.events")
    await apply(pool, company, deal(5 * DAY, stage_id=5))
    await apply(pool, company, deal(2 * DAY + SECOND, stage_id=9))

    stages = [(old, new) for _, field, old, new in await history_of(pool, company) if field == "stage_id"]
    assert stages == [(1, 2), (2, 9), (9, 3), (3, 4), (4, 5)]


async def test_what_an_unknown_record_was_before_is_believed_once(pool: Pool) -> None:
    company = await company_of(pool)
    body = v2_body("deal", 5, START, {"stage_id": 2, "title": "t"}, previous={"stage_id": 1})
    await apply(pool, company, event(body))

    assert [row[1:] for row in await history_of(pool, company, 5)] == [("stage_id", 1, 2)]


async def test_four_workers_on_twenty_hot_records_in_opposite_orders_agree(pool: Pool) -> None:
    company = await company_of(pool)
    events = [
        deal(number * 1000 + record_id, record_id, stage_id=number % 5, title=f"t{number}")
        for number in range(60)
        for record_id in range(1, 21)
    ]
    shares = [events[worker::4] for worker in range(4)]

    async def work(share: list[Event], *, backwards: bool) -> int:
        batches = [share[start : start + 25] for start in range(0, len(share), 25)]
        written = 0
        for batch in reversed(batches) if backwards else batches:
            written += len((await apply(pool, company, *(reversed(batch) if backwards else batch))).written)
        return written

    written = await asyncio.gather(*(work(share, backwards=n % 2 == 1) for n, share in enumerate(shares)))

    assert sum(written) == len(events)
    for record_id in range(1, 21):
        row = await row_of(pool, company, record_id)
        assert (row["stage_id"], row["title"]) == (59 % 5, "t59")
        assert await history_of(pool, company, record_id) == told(events, record_id)


async def test_the_same_events_given_to_several_workers_at_once_are_applied_once(pool: Pool) -> None:
    company = await company_of(pool)
    events = [deal(number * 1000, 1 + number % 3, stage_id=number) for number in range(30)]
    random.Random(4).shuffle(events)

    outcomes = await asyncio.gather(*(apply(pool, company, *events) for _ in range(4)))

    assert sum(len(outcome.written) for outcome in outcomes) == 30
    assert sum(outcome.duplicates for outcome in outcomes) == 90
    for record_id in (1, 2, 3):
        assert await history_of(pool, company, record_id) == told(events, record_id)


async def test_two_events_that_share_their_id_are_two_if_their_times_differ(pool: Pool) -> None:
    """In one batch as in two: Pipedrive has sent ids that were not unique."""
    company = await company_of(pool)
    bodies = [v2_body("deal", number, START + number * SECOND, {"title": "t"}, event_id="same") for number in (1, 2)]

    applied = await apply(pool, company, *map(event, bodies))

    assert (len(applied.written), applied.duplicates) == (2, 0)
    assert [(await row_of(pool, company, number))["title"] for number in (1, 2)] == ["t", "t"]


async def test_types_of_a_transaction_that_did_not_happen_are_learnt_by_the_next(pool: Pool) -> None:
    company = await company_of(pool)
    typed = deal(0, custom_fields={"c" * 40: {"type": "enum", "id": 4}})
    async with pool.acquire() as connection:
        undone = connection.transaction()
        await undone.start()
        await mirror.apply(connection, company, [typed])
        await undone.rollback()

    applied = await apply(pool, company, typed)

    assert applied.learnt == {("deal", "c" * 40, "enum")}
    async with pool.acquire() as connection:
        assert await fields.types(connection, company.id) == {"deal": {"c" * 40: "enum"}}


async def test_a_deleted_record_keeps_its_last_state_and_no_late_change_revives_it(pool: Pool) -> None:
    company = await company_of(pool)
    await apply(pool, company, deal(5 * SECOND, action="delete", title="last", stage_id=3))
    await apply(pool, company, deal(4 * SECOND, title="late"))

    row = await row_of(pool, company)
    assert (row["title"], row["stage_id"], row["is_deleted"]) == ("last", 3, True)
    assert row["_deleted_at"] is not None

    await apply(pool, company, deal(6 * SECOND, action="create", title="restored"))
    row = await row_of(pool, company)
    assert (row["title"], row["_deleted_at"], row["is_deleted"]) == ("restored", None, False)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["loser first", "winner first"])
@pytest.mark.parametrize("lost", [None, 0, 1], ids=["both arrive", "the delete is lost", "the change is lost"])
async def test_a_merge_is_known_by_either_of_its_events(pool: Pool, order: tuple[int, ...], lost: int | None) -> None:
    company = await company_of(pool)
    gone = event(
        v2_body("deal", 1, START, None, previous={"id": 1, "title": "loser"}, action="delete", merged_to_id="2")
    )
    stays = event(v2_body("deal", 2, START + 5000, {"title": "winner"}, merged_from_id="1"))
    for number in order:
        if number != lost:
            await apply(pool, company, (gone, stays)[number])

    row = await row_of(pool, company, 1)
    assert row["_merged_into"] == 2
    assert row["_deleted_at"] is not None
    async with pool.acquire() as connection:
        merges = await connection.fetch("SELECT entity, loser_id, winner_id FROM pipedrive_raw.merges")
    assert [tuple(merge) for merge in merges] == [("deal", "1", "2")]


async def test_a_chain_of_merges_points_to_the_direct_winner(pool: Pool) -> None:
    company = await company_of(pool)
    for loser, winner, at in ((1, 2, 0), (2, 3, SECOND)):
        body = v2_body(
            "deal", loser, START + at, None, previous={"id": loser}, action="delete", merged_to_id=str(winner)
        )
        await apply(pool, company, event(body))

    assert (await row_of(pool, company, 1))["_merged_into"] == 2
    assert (await row_of(pool, company, 2))["_merged_into"] == 3


async def test_what_was_only_journaled_during_a_pause_is_no_part_of_the_history(pool: Pool) -> None:
    company = await company_of(pool)
    await apply(pool, company, deal(0, stage_id=1))
    async with pool.acquire() as connection:
        await connection.execute("UPDATE pipemirror.companies SET state = 'paused'")
    await apply(pool, company, deal(SECOND, stage_id=2))
    async with pool.acquire() as connection:
        await connection.execute("UPDATE pipemirror.companies SET state = 'active'")
    await apply(pool, company, deal(3 * SECOND, stage_id=3))
    await apply(pool, company, deal(2 * SECOND, stage_id=1))

    assert [row[1:] for row in await history_of(pool, company)] == [("stage_id", 1, 3)]


async def test_a_purged_company_is_discarded_unread_and_a_paused_one_only_journaled(pool: Pool) -> None:
    company = await company_of(pool)
    async with pool.acquire() as connection:
        await connection.execute("UPDATE pipemirror.companies SET state = 'paused'")
    paused = await apply(pool, company, deal(0))
    async with pool.acquire() as connection:
        await connection.execute("UPDATE pipemirror.companies SET state = 'purged'")
    purged = await apply(pool, company, deal(SECOND))

    assert (len(paused.written), paused.discarded) == (1, 0)
    assert (len(purged.written), purged.discarded) == (0, 1)
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM pipedrive_raw.deals") == 0
        journaled = await connection.fetch("SELECT applied_at FROM pipemirror.events")
    assert [row["applied_at"] for row in journaled] == [None]


async def test_a_late_event_of_several_users_takes_its_place_in_the_history_of_each(pool: Pool) -> None:
    company = await company_of(pool)

    def users(second: int, currency: str) -> Event:
        current = [{"id": number, "name": "n", "default_currency": currency} for number in (1, 2, 3)]
        meta = {"v": 1, "action": "updated", "object": "user", "id": 1, "company_id": COMPANY}
        meta |= {"timestamp_micro": START + second * SECOND}
        return event(json.dumps({"v": 1, "meta": meta, "current": current, "previous": None}).encode())

    for second, currency in ((0, "EUR"), (9, "USD"), (5, "NOK")):
        await apply(pool, company, users(second, currency))

    async with pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT entity_id, old_value, new_value FROM pipedrive_raw.field_changes ORDER BY entity_id, changed_at"
        )
    assert [tuple(row) for row in rows] == [
        (user, *change) for user in "123" for change in (("EUR", "NOK"), ("NOK", "USD"))
    ]
