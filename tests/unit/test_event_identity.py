"""An envelope, read: which event it is, when it happened, or why nothing can be made of it."""

from typing import Any

import pytest
from rig.bodies import AT, COMPANY, EVENT_ID, LEAD, RECEIVED, change, event, refused, v1, v2

from schema.envelope import Envelope
from schema.errors import (
    BadContent,
    BadId,
    BadValue,
    CompanyMismatch,
    NoEventTime,
    NotAnEvent,
    UnknownAction,
    UnreadableJson,
)
from schema.event import MAX_KEY, Refusal, read
from schema.version import newer

# The version


def version_of(body: bytes) -> list[str]:
    time, rank, _tie, updated = change(body).version.split(".")
    return [time, rank, updated]


@pytest.mark.parametrize(("action", "rank"), [("create", "0"), ("change", "1")])
def test_a_version_is_the_events_time_its_rank_and_the_records_update_time(action: str, rank: str) -> None:
    data = {"id": 8, "update_time": "2026-03-04T12:00:04Z", "add_time": "2026-01-01T00:00:00Z"}
    assert version_of(v2(action=action, data=data)) == ["01772625605426000", rank, "1772625604"]


def test_without_update_time_the_add_time_stands_in_for_it() -> None:
    """A v2 deal that was just created has none."""
    data = {"id": 8, "update_time": None, "add_time": "2026-03-04T12:00:05Z"}
    assert version_of(v2(action="create", data=data)) == ["01772625605426000", "0", "1772625605"]
    assert version_of(v2(action="create", data={"id": 8})) == ["01772625605426000", "0", ""]


def test_an_event_without_a_time_is_ordered_by_its_records() -> None:
    data = {"id": 8, "update_time": "2026-03-04T12:00:04Z"}
    assert version_of(v2(data=data, timestamp=None)) == ["01772625604000000", "1", "1772625604"]
    assert event(v2(data=data, timestamp=None)).occurred_at is None


def test_two_events_of_one_instant_have_an_order_that_every_worker_sees_alike() -> None:
    one, other = (change(v2(data={"id": 8}, id=told)).version for told in ("first", "second"))
    assert newer(one, other) != newer(other, one)
    assert change(v2(data={"id": 8}, id="first")).version == one


# The key


def key(body: bytes) -> str:
    return event(body).key


def test_the_id_of_a_v2_event_is_its_key() -> None:
    assert key(v2(data={"id": 8})) == EVENT_ID
    assert key(v2("spaceship", data={"id": 8})) == EVENT_ID


@pytest.mark.parametrize(
    "told", [None, 7, "", "x" * (MAX_KEY + 1), ["a"]], ids=["missing", "number", "empty", "overlong", "list"]
)
def test_without_a_usable_id_the_content_is_the_key(told: Any) -> None:
    found = key(v2(data={"id": 8, "title": "a"}, id=told))
    assert found.startswith("deal:8:change:2026-03-04T12:00:05.426Z:")
    assert found != key(v2(data={"id": 8, "title": "b"}, id=told))


def test_the_longest_id_is_still_a_key() -> None:
    assert key(v2(data={"id": 8}, id="x" * MAX_KEY)) == "x" * MAX_KEY


def test_the_id_of_a_user_event_is_the_users_and_no_key() -> None:
    one, other = (
        key(v2("user", data={"id": "8", "name": "A"}, id="8", timestamp=at)) for at in (1_669_304_542, 1_669_304_543)
    )
    assert one.startswith("user:8:change:1669304542:")
    assert one != other


def test_the_key_of_a_v1_event_is_its_content() -> None:
    assert key(v1("deal", current={"id": 8})).startswith("deal:8:change:1772625605426000:")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(v1("deal", "added", {"id": 8, "title": "a"}, {"id": 8}), id="action"),
        pytest.param(v1("person", current={"id": 8, "title": "a"}, previous={"id": 8}), id="entity"),
        pytest.param(v1("deal", current={"id": 8, "title": "b"}, previous={"id": 8}), id="state"),
        pytest.param(v1("deal", current={"id": 8, "title": "a"}, previous={"id": 8, "title": "c"}), id="previous"),
        pytest.param(
            v1("deal", current={"id": 8, "title": "a"}, previous={"id": 8}, timestamp_micro=1_772_625_605_426_001),
            id="time",
        ),
    ],
)
def test_another_event_has_another_key(other: bytes) -> None:
    assert key(other) != key(v1("deal", current={"id": 8, "title": "a"}, previous={"id": 8}))


@pytest.mark.parametrize(
    "meta",
    [
        {"attempt": 2}, {"retry": 3}, {"webhook_id": "2"}, {"permitted_user_ids": ["*"]}, {"prepublish_timestamp": 1},
        {"change_source": "api"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("version", ["v1", "v2 user", "v2 without id"])
def test_the_same_event_delivered_otherwise_has_the_same_key(version: str, meta: dict[str, Any]) -> None:
    """Repeated, or sent to another webhook of the company."""

    def told(**more: Any) -> bytes:
        if version == "v1":
            return v1("deal", current={"id": 8}, **more)
        return v2("user" if version == "v2 user" else "deal", data={"id": 8}, id=None, **more)

    assert key(told(**meta)) == key(told())


def test_the_order_of_keys_in_a_body_does_not_matter_to_its_key() -> None:
    assert key(v1("deal", current={"id": 8, "title": "a"})) == key(v1("deal", current={"title": "a", "id": 8}))


# What touches no table


@pytest.mark.parametrize("entity", ["dealField", "deal_field", "personFields", "customField"])
def test_a_change_of_a_field_definition_is_only_journaled(entity: str) -> None:
    found = event(v2(entity, data={"id": 8}))
    assert (found.definition, found.unknown, found.changes, found.version) == (True, False, (), None)


def test_an_unknown_entity_is_an_event_without_changes() -> None:
    found = event(v2("spaceShip", data={"id": 8}))
    assert (found.unknown, found.definition, found.changes) == (True, False, ())
    assert (found.entity, found.entity_id, found.occurred_at) == ("space_ship", "8", AT)
    assert event(v2("spaceship", entity_id={"odd": 1}, timestamp=None)).entity_id is None


# Refusals


@pytest.mark.parametrize("told", [7301985, "7301985", "", "x", 7301984.5, True, [COMPANY]])
def test_a_body_of_another_company_is_refused(told: Any) -> None:
    assert isinstance(refused(v2(data={"id": 8}, company_id=told)).problem, CompanyMismatch)


@pytest.mark.parametrize("told", [COMPANY, str(COMPANY), None])
def test_a_body_of_the_company_or_of_none_is_taken(told: Any) -> None:
    assert event(v2(data={"id": 8}, company_id=told)).changes


@pytest.mark.parametrize(
    ("entity", "entity_id", "data_id", "expected"),
    [
        ("deal", "8", 8, 8), ("deal", 8, "8", 8), ("deal", None, 8, 8), ("deal", "8", None, 8), ("user", "8", "8", 8),
        ("lead", LEAD, LEAD.upper(), LEAD),
    ],
)  # fmt: skip
def test_the_record_is_named_by_meta_or_body_as_number_or_text(
    entity: str, entity_id: Any, data_id: Any, expected: Any
) -> None:
    found = event(v2(entity, data={"id": data_id}, entity_id=entity_id))
    assert (str(found.changes[0].id), found.entity_id) == (str(expected), str(expected))


@pytest.mark.parametrize(
    ("entity", "entity_id", "data_id"),
    [
        ("deal", "8", 9), ("deal", None, None), ("deal", "", None), ("deal", "eight", 8), ("deal", True, None),
        ("deal", 2**63, None), ("deal", [8], None), ("lead", "8", None), ("lead", 8, None), ("deal", LEAD, None),
    ],
)  # fmt: skip
def test_an_event_that_names_no_one_record_is_refused(entity: str, entity_id: Any, data_id: Any) -> None:
    assert isinstance(refused(v2(entity, data={"id": data_id}, entity_id=entity_id)).problem, BadId)


def test_a_delete_that_names_no_record_is_refused() -> None:
    assert isinstance(refused(v2(action="delete", entity_id=None)).problem, BadId)


@pytest.mark.parametrize(
    ("body", "problem", "reason"),
    [
        (b"", UnreadableJson, "empty body"),
        (b"[]", NotAnEvent, "a JSON list"),
        (v2(action="explode"), UnknownAction, "`explode`"),
        (v2(data=None), BadValue, "without the record's state"),
        (v2(data={"id": 8, "stage_id": "first"}), BadValue, "deal 8: field `stage_id`"),
        (v2("person", data={"id": 8, "visible_to": 99999}), BadValue, "field `visible_to`: 99999 is out of range"),
        (v2(data={"id": 8}, timestamp=None), NoEventTime, "neither the event nor the record"),
        (v2(data={"id": 8}, timestamp=-5), NoEventTime, "before 1970"),
        (v2(action="delete", previous={"add_time": "1969-01-01"}, timestamp=None), NoEventTime, "before 1970"),
        (v2(data={"id": 8}, timestamp="9999-01-01T00:00:00Z"), NoEventTime, "any calendar"),
    ],
)  # fmt: skip
def test_what_can_never_be_written_is_refused_with_its_reason(
    body: bytes, problem: type[BadContent], reason: str
) -> None:
    found = refused(body)
    assert isinstance(found.problem, problem)
    assert reason in found.problem.reason


@pytest.mark.parametrize("depth", [260, 900])
@pytest.mark.parametrize("place", ["state of v1", "reference", "beside a NUL character"])
def test_a_body_nested_beyond_reason_is_refused_and_raises_nothing(place: str, depth: int) -> None:
    nested = '{"value":' * depth + "1" + "}" * depth
    body = {
        "state of v1": v1("deal", current={"id": 8, "x": "HERE"}),
        "reference": v2(data={"id": 8, "person_id": "HERE"}),
        "beside a NUL character": v2(data={"id": 8, "x": "HERE", "y": "\x00"}),
    }[place].replace(b'"HERE"', nested.encode())
    found = read(Envelope(COMPANY, RECEIVED, body), lambda _: {})
    if isinstance(found, Refusal):
        assert isinstance(found.problem, BadValue)
    else:
        assert (place, found.changes[0].cells["person_id"]) == ("reference", 1)


def test_a_refusal_tells_what_is_known_of_the_event() -> None:
    found = refused(v2(data={"id": 8, "stage_id": "first"}))
    assert found.about == {"entity": "deal", "entity_id": "8", "action": "change"}
    assert found.envelope.company_id == COMPANY
    assert refused(b"nonsense").about == {}
