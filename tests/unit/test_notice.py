"""A body of either version, read into one shape; and what is refused because no event can be made of it."""

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from schema import notice
from schema.errors import BadContent, BadValue, NotAnEvent, UnknownAction, UnknownVersion, UnreadableJson
from schema.notice import ACTIONS, Notice, parse, read, subject

V2_META = {
    "action": "change", "company_id": "7301984", "entity": "deal", "entity_id": "30417", "id": "0d6f", "user_id": "11",
    "timestamp": "2026-03-04T12:00:05.426Z", "version": "2.0",
}  # fmt: skip
V1_META = {
    "v": 1, "action": "updated", "object": "deal", "id": 30417, "company_id": 7301984, "user_id": 11,
    "timestamp": 1_772_625_605, "timestamp_micro": 1_772_625_605_426_123,
}  # fmt: skip


def v2(**meta: Any) -> dict[str, Any]:
    return {"data": {"id": 30417}, "previous": {"title": "a"}, "meta": V2_META | meta}


def v1(**meta: Any) -> dict[str, Any]:
    return {"v": 1, "current": {"id": 30417}, "previous": {"id": 30417}, "meta": V1_META | meta, "retry": 0}


def test_both_versions_come_to_the_same_shape() -> None:
    assert read(v2()) == Notice(
        version=2, action="change", entity="deal", id="30417", event_id="0d6f", company_id="7301984", user_id="11",
        time=datetime(2026, 3, 4, 12, 0, 5, 426_000, UTC), raw_time="2026-03-04T12:00:05.426Z",
        objects=({"id": 30417},), previous={"title": "a"},
    )  # fmt: skip
    assert read(v1()) == Notice(
        version=1, action="change", entity="deal", id=30417, event_id=None, company_id=7301984, user_id=11,
        time=datetime(2026, 3, 4, 12, 0, 5, 426_123, UTC), raw_time=1_772_625_605_426_123,
        objects=({"id": 30417},), previous={"id": 30417},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "version"),
    [
        pytest.param({"meta": {"version": "2.0"}, "data": {}}, 2, id="as Pipedrive writes it"),
        pytest.param({"meta": {"version": "2.7"}, "data": {}}, 2, id="a later minor version"),
        pytest.param({"meta": {"version": 2}, "data": {}}, 2, id="a number"),
        pytest.param({"meta": {"v": 1}, "current": {}}, 1, id="v1"),
        pytest.param({"v": 1, "meta": {}, "current": {}}, 1, id="v1 that says so only outside"),
        pytest.param({"meta": {"version": "1.0"}, "current": {}}, 1, id="v1 with the word of v2"),
        pytest.param({"meta": {}, "data": None}, 2, id="only its keys tell: v2"),
        pytest.param({"meta": {}, "current": None}, 1, id="only its keys tell: v1"),
    ],
)
def test_the_version_is_told_by_the_body(body: dict[str, Any], version: int) -> None:
    named = {"action": "change", "entity": "deal", "object": "deal"}
    assert read(body | {"meta": named | body["meta"]}).version == version


@pytest.mark.parametrize("told", ["3.0", "", "two", 0, [2]])
def test_another_version_is_refused(told: Any) -> None:
    with pytest.raises(UnknownVersion, match="known are"):
        read(v2(version=told))


def test_a_body_that_tells_no_version_in_any_way_is_refused() -> None:
    with pytest.raises(UnknownVersion, match="missing"):
        read({"meta": {"action": "change", "entity": "deal"}})


def test_the_actions_of_both_versions_are_the_same_four() -> None:
    assert ACTIONS == {
        "create": "create", "change": "change", "delete": "delete", "merge": "merge",
        "added": "create", "updated": "change", "deleted": "delete", "merged": "merge",
    }  # fmt: skip


@pytest.mark.parametrize("told", ["archive", "Change", "", None, 1, ["change"], {}])
def test_another_action_is_refused(told: Any) -> None:
    with pytest.raises(UnknownAction):
        read(v2(action=told))


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("deal", "deal"), ("activityType", "activity_type"), ("deal_product", "deal_product"),
        ("dealProduct", "deal_product"), ("dealField", "deal_field"), ("Deal", "deal"), ("x" * 300, "x" * 100),
    ],
)  # fmt: skip
def test_the_entity_is_spelt_as_in_the_catalogue(told: str, name: str) -> None:
    assert read(v2(entity=told)).entity == name
    assert read(v1(object=told)).entity == name


@pytest.mark.parametrize("told", [None, "", 7, ["deal"]])
def test_an_event_about_nothing_is_refused(told: Any) -> None:
    with pytest.raises(NotAnEvent, match="entity"):
        read(v2(entity=told))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param("2026-03-04T12:00:05.426Z", datetime(2026, 3, 4, 12, 0, 5, 426_000, UTC), id="ISO"),
        pytest.param(1_772_625_605, datetime(2026, 3, 4, 12, 0, 5, tzinfo=UTC), id="user events until June 2025"),
        pytest.param("1772625605", datetime(2026, 3, 4, 12, 0, 5, tzinfo=UTC), id="ten characters, as the table says"),
        pytest.param("2026-03-04 12:00:05", datetime(2026, 3, 4, 12, 0, 5, tzinfo=UTC), id="product events until 2026"),
        pytest.param(None, None, id="none"),
        pytest.param("", None, id="empty"),
        pytest.param("soon", None, id="unreadable"),
        pytest.param(True, None, id="no time at all"),
        pytest.param({"t": 1}, None, id="an object"),
        pytest.param(10**18, None, id="beyond the calendar"),
    ],
)
def test_the_time_is_read_in_its_three_formats_and_otherwise_missing(told: Any, expected: datetime | None) -> None:
    """A missing time is no refusal yet: the record may say one, and an unknown entity needs none."""
    found = read(v2(timestamp=told))
    assert (found.time, found.raw_time) == (expected, told)


def test_v1_without_microseconds_falls_back_to_seconds() -> None:
    meta = {name: value for name, value in V1_META.items() if name != "timestamp_micro"}
    found = read(v1() | {"meta": meta})
    assert (found.time, found.raw_time) == (datetime(2026, 3, 4, 12, 0, 5, tzinfo=UTC), 1_772_625_605)


@pytest.mark.parametrize(
    ("told", "objects"),
    [
        ({"id": 1}, ({"id": 1},)),
        ([{"id": 1}], ({"id": 1},)),
        ([{"id": 1}, {"id": 2}], ({"id": 1}, {"id": 2})),
        ([None, "odd", {"id": 1}], ({"id": 1},)),
        ([], ()),
        (None, ()),
        ("odd", ()),
    ],
)
def test_the_state_is_one_object_several_or_none(told: Any, objects: tuple[Any, ...]) -> None:
    """v1 user events carry lists."""
    assert read(v1() | {"current": told}).objects == objects
    assert read(v2() | {"data": told}).objects == objects


def test_previous_is_the_first_of_a_list_too() -> None:
    assert read(v1() | {"previous": [{"id": 1}]}).previous == {"id": 1}
    assert read(v2() | {"previous": []}).previous is None


def test_v2_tells_a_merge_in_two_events() -> None:
    assert read(v2(action="delete", merged_to_id="9")).merged_to == "9"
    assert read(v2(merged_from_id="8")).merged_from == "8"


@pytest.mark.parametrize(
    ("current", "previous", "merged_from"),
    [
        ({"id": 9, "merge_what_id": 8}, {"id": 8}, 8),
        ({"id": 9}, {"id": 8}, 8),
        ({"id": 9, "merge_what_id": 8}, None, 8),
        ({"id": 9}, None, None),
    ],
)
def test_v1_tells_a_merge_by_the_survivor_and_the_absorbed_record(
    current: Any, previous: Any, merged_from: int | None
) -> None:
    found = read(v1(action="merged") | {"current": current, "previous": previous})
    assert (found.action, found.merged_from) == ("merge", merged_from)


def test_a_v1_change_has_absorbed_nobody() -> None:
    assert read(v1() | {"current": {"id": 9, "merge_what_id": 8}}).merged_from is None


def storable(body: bytes) -> dict[str, Any]:
    parsed = parse(body)
    notice.refuse_nul(body, parsed)
    return parsed


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", UnreadableJson), (b"{", UnreadableJson), (b"\xff\xfe", UnreadableJson),
        (b'{"a": "\\ud800"}', UnreadableJson),
        (b"[]", NotAnEvent), (b'"deal"', NotAnEvent), (b"null", NotAnEvent), (b"7", NotAnEvent),
        (b'{"a": "x\\u0000y"}', BadValue), (b'{"a": [{"b": "\\u0000"}]}', BadValue), (b'{"a\\u0000": 1}', BadValue),
    ],
)  # fmt: skip
def test_a_body_that_no_event_can_be_made_of_is_refused(body: bytes, problem: type[BadContent]) -> None:
    with pytest.raises(problem):
        storable(body)


def test_the_place_of_a_nul_character_is_named_and_not_its_text() -> None:
    with pytest.raises(BadValue, match=r"`data\.phones\[1\]\.value`") as refused:
        storable(b'{"data": {"phones": [{"value": "1"}, {"value": "Kari\\u0000"}]}}')
    assert "Kari" not in str(refused.value)


def test_an_escaped_backslash_before_u0000_is_no_nul_character() -> None:
    assert storable(b'{"a": "\\\\u0000"}') == {"a": "\\u0000"}


@pytest.mark.parametrize("meta", [None, [], "deal"])
def test_a_body_without_meta_is_no_event(meta: object) -> None:
    with pytest.raises(NotAnEvent, match="meta"):
        read({"data": {}, "meta": meta})


def test_a_compressed_body_is_read() -> None:
    assert parse(gzip.compress(json.dumps(v2()).encode())) == v2()


@pytest.mark.parametrize("body", [b"\x1f\x8b", b"\x1f\x8bnonsense", gzip.compress(b"{")])
def test_a_damaged_compressed_body_is_refused(body: bytes) -> None:
    with pytest.raises(UnreadableJson):
        parse(body)


def test_a_compressed_body_that_inflates_beyond_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notice, "MAX_INFLATED", 1000)
    assert parse(gzip.compress(b"{}" + b" " * 998)) == {}
    with pytest.raises(UnreadableJson, match="inflates to more than 1000 bytes"):
        parse(gzip.compress(b"{}" + b" " * 999))


@pytest.mark.parametrize(
    ("body", "about"),
    [
        (v2(), {"entity": "deal", "entity_id": "30417", "action": "change"}),
        (v1(), {"entity": "deal", "entity_id": "30417", "action": "updated"}),
        ({}, {}),
        ({"meta": []}, {}),
        ({"meta": {"entity": {"x": 1}, "action": None}}, {}),
        ({"meta": {"entity": "a\x00b" * 99}}, {"entity": ("a\x00b" * 99)[:100].replace("\x00", "")}),
    ],
)
def test_a_dead_letter_says_what_can_be_known_of_its_body(body: dict[str, Any], about: dict[str, str]) -> None:
    assert subject(body) == about


def test_a_nul_character_in_a_compressed_body_is_found_too() -> None:
    with pytest.raises(BadValue):
        storable(gzip.compress(b'{"a": "\\u0000"}'))
