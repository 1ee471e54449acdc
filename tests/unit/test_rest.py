"""Rows of the REST API as changes."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import permutations
from typing import Any

import pytest

from schema.change import Change
from schema.columns import BIGINT, TEXT, instant
from schema.entities import BY_NAME
from schema.entity import DELETED_AT, MERGED_INTO, Entity, event, key
from schema.errors import BadId, BadValue
from schema.fresh import _folded, fresh
from schema.listing import Listing, Paging, Parent
from schema.reading import existence
from schema.record import FLOOR, Record, fold
from schema.rest import Answer, absent, change_of, completed, read_id
from schema.version import CHANGE, DELETE, of_event, of_read

BEGAN = 1_780_000_000_000_000
HASH, OTHER = "a" * 40, "b" * 40
NOW = instant(BEGAN)
LEAD_ID = "5b3fe4a0-1b7d-11ee-8f5c-5f1e2a3b4c5d"
UPDATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FOLLOWER = Entity(
    "deal_follower",
    "deal_followers",
    (event("add_time", TEXT),),
    key=key(deal_id=BIGINT, user_id=BIGINT),
    webhook=False,
)
ENTRY = Entity("deal_change", "deal_changes", (event("field_key", TEXT),), key=key(id=TEXT), webhook=False, log=True)
FOLLOWERS = Listing("/api/v2/deals/{parent}/followers", cost=10, parent=Parent("deal", column="deal_id"))


def answer(entity: str = "deal", **further: Any) -> Answer:
    return Answer(BY_NAME[entity], BEGAN, "sweep", **further)


def event_of(updated: str | None, at: int, **cells: Any) -> Change:
    """`at` in seconds, as long before BEGAN as a day less that; without an update it deletes."""
    moment = BEGAN - (86_400 - at) * 1_000_000
    seconds = None if updated is None else int(datetime.fromisoformat(updated).timestamp())
    deal = BY_NAME["deal"]
    cells |= existence(deal, instant(moment) if updated is None else None)
    return Change(deal, 1, of_event(moment, DELETE if updated is None else CHANGE, "0" * 16, seconds), cells)


def test_a_row_is_ordered_by_its_update_time_and_by_when_the_request_began() -> None:
    change = change_of(answer(), {"id": 1, "update_time": "2026-01-02T03:04:05Z"})
    assert change.version == of_read(int(UPDATED.timestamp()), BEGAN)
    assert change.source == "sweep"


def test_before_its_first_update_the_time_it_was_made_counts() -> None:
    """Events of a fresh record do the same: the read is as old as they are, and not older than all."""
    change = change_of(answer(), {"id": 1, "update_time": None, "add_time": "2026-01-02T03:04:05Z"})
    assert change.version == of_read(int(UPDATED.timestamp()), BEGAN)


def test_a_record_without_any_time_is_ordered_by_the_request() -> None:
    assert change_of(answer("deal_installment"), {"id": 1, "amount": 5}).version == of_read(None, BEGAN)


def test_a_live_row_exists_and_was_not_merged() -> None:
    cells = change_of(answer(), {"id": 1, "is_deleted": False}).cells
    assert (cells[DELETED_AT], cells["is_deleted"], cells[MERGED_INTO]) == (None, False, None)


def test_a_deleted_row_was_deleted_at_its_last_update_and_keeps_its_last_state() -> None:
    row = {"id": 1, "is_deleted": True, "status": "deleted", "update_time": "2026-01-02T03:04:05Z"}
    cells = change_of(answer(), row).cells
    assert (cells[DELETED_AT], cells["is_deleted"]) == (UPDATED, True)
    assert "status" not in cells
    assert MERGED_INTO not in cells, "whether it was merged a list does not tell"


def test_custom_fields_that_are_listed_as_empty_are_told_apart_from_those_that_are_not_listed() -> None:
    change = change_of(answer(types={HASH: "varchar"}), {"id": 1, "custom_fields": {HASH: "x", OTHER: None}})
    assert change.cells[HASH] == "x"
    assert change.empty == frozenset({OTHER})


def test_a_row_without_custom_fields_tells_nothing_of_them() -> None:
    assert change_of(answer(), {"id": 1, "title": "t"}).empty is None


def test_a_blank_value_is_an_empty_field() -> None:
    types = {HASH: "monetary"}
    row = {"id": 1, "custom_fields": {HASH: {"value": None, "currency": "EUR"}}}
    assert change_of(answer(types=types), row).empty == frozenset({HASH})


def test_what_a_lead_leaves_out_is_empty() -> None:
    lead = replace(BY_NAME["lead"], flat_fields=True)
    row = {"id": LEAD_ID, HASH: "123", "title": "t"}
    change = change_of(Answer(lead, BEGAN, "sweep", {HASH: "enum", OTHER: "text"}), row)
    assert change.cells[HASH] == 123
    assert change.empty == frozenset({OTHER})


def test_a_field_that_a_later_reading_finds_empty_is_gone_from_the_record() -> None:
    record = Record()
    fold(record, change_of(answer(types={HASH: "varchar"}), {"id": 1, "custom_fields": {HASH: "x"}}))
    later = Answer(BY_NAME["deal"], BEGAN + 1, "sweep")

    folded = fold(record, change_of(later, {"id": 1, "custom_fields": {HASH: None}}))

    assert [(diff.cell, diff.old, diff.new) for diff in folded.diffs] == [(HASH, "x", None)]
    assert HASH not in record.cells
    assert record.version_of(HASH) == record.versions[FLOOR] == of_read(None, BEGAN + 1)


def test_an_older_reading_may_list_as_empty_what_a_newer_one_does_not_list() -> None:
    """As one of a lead, which leaves out what is empty: it says so only of the fields that were known then."""
    known, older, newer = (Answer(BY_NAME["deal"], BEGAN + number, "sweep") for number in range(3))
    record = Record()
    fold(record, change_of(known, {"id": 1, "custom_fields": {HASH: "x"}}))
    fold(record, change_of(newer, {"id": 1, "custom_fields": {OTHER: None}}))

    fold(record, change_of(older, {"id": 1, "custom_fields": {HASH: None}}))

    assert HASH not in record.cells
    assert record.version_of(HASH) == of_read(None, BEGAN + 2)


def test_the_list_of_a_parents_children_says_whose_they_are() -> None:
    found = Answer(FOLLOWER, BEGAN, "backfill", listing=FOLLOWERS, parent=7)
    [row] = completed(found, [{"user_id": 3, "add_time": "x"}])
    change = change_of(found, row)
    assert change.id == (7, 3)
    assert "deal_id" not in change.cells
    assert "user_id" not in change.cells


def test_what_a_list_says_of_all_its_rows_is_said_of_each() -> None:
    archived = Listing("/v1/leads/archived", cost=40, paging=Paging.OFFSET, says={"is_archived": True})
    found = Answer(BY_NAME["lead"], BEGAN, "backfill", listing=archived)
    [row] = completed(found, [{"id": LEAD_ID}])
    assert change_of(found, row).cells["is_archived"] is True


def test_an_object_of_names_is_a_row_for_each_that_is_set() -> None:
    listing = Listing("/v1/userConnections", cost=20, paging=Paging.WHOLE, mine="user_id", spread=("provider", "of"))
    found = Answer(FOLLOWER, BEGAN, "backfill", listing=listing, mine=7)
    assert list(completed(found, [{"google": "x", "other": None, "third": False}])) == [
        {"user_id": 7, "provider": "google", "of": "x"}
    ]


def test_entries_of_a_log_are_told_apart_by_what_they_say_and_by_how_often() -> None:
    found = Answer(ENTRY, BEGAN, "backfill", listing=FOLLOWERS, parent=7)
    entries = [{"field_key": "title"}, {"field_key": "title"}, {"field_key": "value"}]
    ids = [row["id"] for row in completed(found, entries)]
    assert len(set(ids)) == 3
    assert ids == [row["id"] for row in completed(found, entries)]
    of_another = Answer(ENTRY, BEGAN, "backfill", listing=FOLLOWERS, parent=8)
    assert set(ids).isdisjoint(row["id"] for row in completed(of_another, entries))


@pytest.mark.parametrize("row", [{}, {"id": None}, {"id": "none"}, {"id": [1]}])
def test_a_row_without_a_key_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(BadId):
        change_of(answer(), row)
    with pytest.raises(BadId):
        read_id(answer().entity, row)


@pytest.mark.parametrize("key", ["", "USD\0", "x" * 256])
def test_a_key_that_names_nothing_or_that_no_index_takes_is_refused(key: str) -> None:
    with pytest.raises(BadId):
        read_id(BY_NAME["deal_field"], {"field_code": key})
    assert read_id(BY_NAME["deal_field"], {"field_code": "x" * 255}) == "x" * 255


def test_a_value_that_its_column_cannot_hold_is_named() -> None:
    for read in (change_of, partial(fresh, now=NOW)):
        with pytest.raises(BadValue, match="deal 1: field `stage_id`"):
            read(answer(), {"id": 1, "stage_id": "none"})


def test_absence_deletes_what_was_known_and_yields_to_what_is_told_later() -> None:
    record = Record()
    fold(record, change_of(answer(), {"id": 1, "title": "t", "update_time": "2026-01-02T03:04:05Z"}))

    fold(record, absent(Answer(BY_NAME["deal"], BEGAN + 1, "reconcile"), 1, record.versions[DELETED_AT]))
    assert record.cells[DELETED_AT] == instant(BEGAN + 1)
    assert record.cells["title"] == "t"

    restored = {"id": 1, "title": "t", "update_time": "2026-01-02T03:04:06Z"}
    fold(record, change_of(Answer(BY_NAME["deal"], BEGAN + 2, "sweep"), restored))
    assert record.cells[DELETED_AT] is None


def test_absence_stands_against_what_was_before_though_nobody_knew_of_it() -> None:
    """The record was changed and deleted before it was asked for, and of both the mirror hears later."""
    known, changed, deleted = (
        event_of("2026-01-02T03:04:05Z", at=0, title="a"),
        event_of("2026-01-02T04:04:05Z", at=3600, title="b"),
        event_of(None, at=7200),
    )
    gone = absent(Answer(BY_NAME["deal"], BEGAN, "reconcile"), 1, known.version)
    for order in permutations([known, changed, deleted, gone]):
        record = Record()
        for change in order:
            fold(record, change)
        assert record.cells[DELETED_AT] == deleted.cells[DELETED_AT], "the event knows when"
        assert (record.cells["title"], record.version_of(DELETED_AT)) == ("b", gone.version)


@pytest.mark.parametrize(
    ("entity", "row"),
    [
        pytest.param("organization", {"address": "Street 1", "address_country": "Estonia"}, id="a flat address"),
        pytest.param("deal", {"custom_fields": None}, id="custom fields that are not told"),
        pytest.param("deal", {"label_ids": None, "title": None}, id="nulls"),
        pytest.param("deal", {"owner_id": 1, "user_id": 2}, id="a column by two names"),
    ],
)
def test_rows_that_are_not_plain_are_read_as_well(entity: str, row: dict[str, Any]) -> None:
    found = {"id": 1} | row
    assert fresh(answer(entity), found, NOW) == _folded(answer(entity), found, NOW)
