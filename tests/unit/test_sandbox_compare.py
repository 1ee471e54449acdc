"""The comparison, and that bodies tell what the truth says they carry: read back by a mirror of few lines."""

import dataclasses
import random
from typing import Any

import pytest

from sandbox.cloud import Company, Truth
from sandbox.compare import differences, table
from sandbox.events import Version, versions
from sandbox.payloads import body
from sandbox.script import step

START = 1_795_000_000_000_000
ZONED = {"time", "timerange"}
V2_NAMES = {
    "activity": {"busy_flag": "busy"},
    "product": {"selectable": "is_linkable"},
    "pipeline": {"deal_probability": "is_deal_probability_enabled"},
    "stage": {"rotten_days": "days_to_rotten", "rotten_flag": "is_deal_rot_enabled"},
}
V1_NAMES = {
    "deal": {"user_id": "owner_id", "deleted": "is_deleted"},
    "person": {"email": "emails", "phone": "phones"},
    "activity": {"user_id": "owner_id", "created_by_user_id": "creator_user_id", "busy_flag": "busy"},
    **{entity: V2_NAMES[entity] for entity in ("product", "pipeline", "stage")},
}
NONE_GONE: dict[str, Any] = {"deleted": {"deal": {}}, "merged": {"deal": {}}}
PARTS = (
    *("street_number", "route", "sublocality", "locality", "subpremise"),
    *("admin_area_level_1", "admin_area_level_2", "country", "postal_code", "formatted_address"),
)


def untyped(field: dict[str, Any] | None) -> Any:
    if field is None:
        return None
    kind, parts = field["type"], {key: part for key, part in field.items() if key != "type"}
    if kind == "set":
        return [option["id"] for option in parts["values"]]
    if kind in {"monetary", "address", "time"}:
        return parts
    if kind in {"daterange", "timerange"}:
        return {"value": parts.pop("from"), **parts}
    return parts["id"] if "id" in parts else parts["value"]


def row_of_v2(entity: str, data: dict[str, Any]) -> dict[str, Any]:
    row = {V2_NAMES.get(entity, {}).get(key, key): value for key, value in data.items()}
    if "active_flag" in row and entity in {"activity", "pipeline", "stage"}:
        row["is_deleted"] = not row["active_flag"]
    if "visible_to" in row:
        row["visible_to"] = int(row["visible_to"])
    for clock in ("due_time", "duration"):
        if clock in row:
            row[clock] = (row[clock] or {}).get("value") or None
    if entity in {"person", "organization"}:
        row["label_ids"] = None if row["label"] is None else [row["label"]]
    row["custom_fields"] = {code: untyped(field) for code, field in row.get("custom_fields", {}).items()}
    return row


def row_of_v1(entity: str, current: Any) -> dict[str, Any]:
    state = current[0] if entity == "user" else current
    row = {V1_NAMES.get(entity, {}).get(key, key): value for key, value in state.items()}
    if entity in {"person", "organization", "activity", "product", "stage", "pipeline"}:
        row["is_deleted"] = not row["active" if entity == "pipeline" else "active_flag"]
    if "visible_to" in row:
        row["visible_to"] = int(row["visible_to"])
    if entity == "deal":
        row["label_ids"] = [int(label) for label in (row["label"] or "").split(",") if label]
    row |= {key: row[key] or None for key in ("due_time", "duration", "marked_as_done_time") if key in row}
    for column in {"organization": ("address",), "activity": ("location",)}.get(entity, ()):
        parts = {part: row[f"{column}_{part}"] for part in PARTS}
        row[column] = None if row[column] is None else {"value": row[column], **parts}
    for person in row.get("participants", ()):
        person["primary"] = person.pop("primary_flag")
    return row


class NaiveMirror:
    """The newest event of each record wins; nothing else is handled."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, dict[str, Any]]] = {}
        self._seen: dict[tuple[str, str], Any] = {}

    def read_v2(self, told: dict[str, Any]) -> None:
        meta = told["meta"]
        row = row_of_v2(meta["entity"], told["data"] or told["previous"])
        self._write(meta["entity"], meta["entity_id"], meta["timestamp"], row, gone=told["data"] is None)
        if "merged_to_id" in meta:
            self.rows[meta["entity"]][meta["entity_id"]]["_merged_into"] = meta["merged_to_id"]

    def read_v1(self, told: dict[str, Any]) -> None:
        meta = told["meta"]
        entity = {"activityType": "activity_type"}.get(meta["object"], meta["object"])
        row = row_of_v1(entity, told["current"] or told["previous"])
        self._write(entity, str(meta["id"]), meta["timestamp_micro"], row, gone=told["current"] is None)
        if meta["action"] == "merged":
            loser = str(told["current"]["merge_what_id"])
            self.rows[entity].setdefault(loser, {})["_merged_into"] = meta["id"]

    def _write(self, entity: str, record_id: str, at: Any, row: dict[str, Any], *, gone: bool) -> None:
        if self._seen.get((entity, record_id), at) <= at:
            self._seen[entity, record_id] = at
            kept = self.rows.setdefault(entity, {}).get(record_id, {}).get("_merged_into")
            row |= {"_deleted_at": at if gone else None, "_merged_into": kept}
            self.rows[entity][record_id] = row


def told_history(version: Version, steps: int, seed: int, **options: Any) -> tuple[NaiveMirror, Truth]:
    clock = iter(range(START, START + 10**12, 400_000))
    company = Company(random.Random(seed), 7, lambda: next(clock), **options)
    events = company.announce() + [event for _ in range(steps) for event in step(company)]
    mirror = NaiveMirror()
    for event in events:
        if version in versions(event.entity):
            told = body(company.account, event, version, 1)
            mirror.read_v2(told) if version == "v2" else mirror.read_v1(told)
    return mirror, company.snapshot({version})


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bodies_tell_every_column_that_is_said_to_be_carried(version: Version, seed: int) -> None:
    """A mirror that only reads bodies ends equal to the truth, deletes, merges and restores included."""
    mirror, truth = told_history(version, 600, seed)
    assert differences(truth, mirror.rows) == []


def test_events_of_one_instant_still_tell_the_truth() -> None:
    mirror, truth = told_history("v2", 400, 5, same_instant=1.0)
    assert differences(truth, mirror.rows) == []


@pytest.fixture(scope="module")
def history() -> tuple[NaiveMirror, Truth]:
    return told_history("v2", 300, 11)


@pytest.mark.parametrize(
    ("entity", "column", "wrong"),
    [
        ("deal", "title", "another"),
        ("deal", "value", 0.015),
        ("deal", "label_ids", [99]),
        ("deal", "stage_id", None),
        ("activity", "due_time", "23:59"),
        ("activity", "busy", 1),
        ("lead", "update_time", "2020-01-01T00:00:00+00:00"),
        ("person", "emails", [{"value": "x", "label": "work", "primary": True}]),
        ("user", "active_flag", None),
        ("project", "deal_ids", [1234]),
    ],
)
def test_each_wrong_value_is_seen(history: tuple[NaiveMirror, Truth], entity: str, column: str, wrong: Any) -> None:
    mirror, truth = history
    record_id = str(next(iter(truth.live[entity])))
    rows = {**mirror.rows, entity: {**mirror.rows[entity]}}
    rows[entity][record_id] = {**rows[entity][record_id], column: wrong}
    found = differences(truth, rows)
    assert len(found) == 1
    assert found[0].startswith(f"{table(entity)} {record_id}: {column} is {wrong!r}")


def test_missing_superfluous_and_undead_rows_are_seen(history: tuple[NaiveMirror, Truth]) -> None:
    mirror, truth = history
    (first, second, *_), gone = map(str, truth.live["deal"]), str(next(iter(truth.deleted["deal"])))
    deals = {**mirror.rows["deal"], "77777": {}}
    del deals[first]
    deals[second] = {**deals[second], "_deleted_at": "2026-01-01"}
    deals[gone] = {**deals[gone], "_deleted_at": None}
    lines = differences(truth, {**mirror.rows, "deal": deals})
    assert sorted(line.partition(": ")[2] for line in lines) == [
        "has a tombstone, but it lives",
        "has no tombstone, but it was deleted",
        "in the mirror only",
        "missing",
    ]


def test_a_forgotten_merge_is_seen(history: tuple[NaiveMirror, Truth]) -> None:
    mirror, truth = history
    entity = next(entity for entity, pairs in truth.merged.items() if pairs)
    loser, winner = next(iter(truth.merged[entity].items()))
    rows = {**mirror.rows[entity], str(loser): {**mirror.rows[entity][str(loser)], "_merged_into": None}}
    assert differences(truth, {**mirror.rows, entity: rows}) == [
        f"{table(entity)} {loser}: merged into None, should be {winner}"
    ]


def test_a_wrong_custom_field_is_seen(history: tuple[NaiveMirror, Truth]) -> None:
    mirror, truth = history
    record_id, deal = next((i, d) for i, d in truth.live["deal"].items() if any(d["custom_fields"].values()))
    code = next(code for code, value in deal["custom_fields"].items() if value is not None)
    row = mirror.rows["deal"][str(record_id)]
    rows = {**mirror.rows["deal"], str(record_id): {**row, "custom_fields": {**row["custom_fields"], code: None}}}
    (line,) = differences(truth, {**mirror.rows, "deal": rows})
    assert line.startswith(f"deals {record_id}: custom field {code} is None")


def test_records_whose_newest_event_was_lost_are_left_out(history: tuple[NaiveMirror, Truth]) -> None:
    mirror, truth = history
    lost = next(iter(truth.live["deal"]))
    rows = {key: row for key, row in mirror.rows["deal"].items() if key != str(lost)}
    forgiving = dataclasses.replace(truth, unsettled=frozenset({("deal", lost)}))
    assert differences(forgiving, {**mirror.rows, "deal": rows}) == []


@pytest.mark.parametrize(
    ("column", "should", "found", "equal"),
    [
        ("add_time", "2026-05-27T06:54:41Z", "2026-05-27T06:54:41+00:00", True),
        ("add_time", "2026-05-27T06:54:41Z", "2026-05-27T08:54:41+02:00", True),
        ("add_time", "2026-05-27T06:54:41Z", "2026-05-27 06:54:41", True),
        ("add_time", "2026-05-27T06:54:41Z", "2026-05-27T06:54:42+00:00", False),
        ("value", 100, 100.0, True),
        ("value", 1, True, False),
        ("value", 0, None, False),
        ("duration", "26:30:00", "1 day 02:30:00", True),
        ("due_time", "09:15:00", "09:15", True),
        ("due_time", "09:15:00", "09:16", False),
        ("label_ids", [2, 1], [1, 2], True),
        ("label_ids", [], None, True),
        ("label_ids", [7], None, False),
        ("emails", [{"value": "a"}, {"value": "b"}], [{"value": "b"}, {"value": "a"}], False),
        ("title", "09:15", "09:15:00", False),
    ],
)
def test_equal_means_the_same_to_a_reader(column: str, should: Any, found: Any, equal: bool) -> None:
    truth = Truth(live={"deal": {1: {column: should}}}, carried={"deal": frozenset({column})}, **NONE_GONE)
    assert (differences(truth, {"deal": {1: {column: found}}}) == []) is equal


def test_a_deal_nobody_changed_has_no_update_time_or_that_of_its_creation() -> None:
    deal = {"add_time": "2026-05-27T06:54:41Z", "update_time": None}
    truth = Truth(live={"deal": {1: deal}}, carried={"deal": frozenset({"update_time"})}, **NONE_GONE)
    assert differences(truth, {"deal": {1: {"update_time": None}}}) == []
    assert differences(truth, {"deal": {1: {"update_time": "2026-05-27T06:54:41+00:00"}}}) == []
    assert differences(truth, {"deal": {1: {"update_time": "2026-05-27T06:54:45+00:00"}}}) != []


def test_tables_are_called_the_plural_of_their_entity() -> None:
    assert [table(entity) for entity in ("deal", "activity", "deal_product", "activity_type", "task")] == [
        *("deals", "activities", "deal_products", "activity_types", "tasks")
    ]
