"""An envelope, read: what the event asserts about its record, and about the one it absorbed."""

from typing import Any

import pytest
from rig.bodies import AT, COMPANY, LEAD, RECEIVED, change, event, refused, v1, v2

from schema.envelope import Envelope
from schema.event import Event, read

HASH, OTHER = "a" * 40, "b" * 40
TYPES = {HASH: "enum"}


# What an event says of its record


def test_an_event_carries_only_what_its_body_names() -> None:
    found = change(v2(data={"id": 8, "title": "Ø", "user_id": 11, "value": None, "brand_new": [1]}))
    assert found.cells == {
        "title": "Ø", "owner_id": 11, "value": None, "brand_new": [1], "is_deleted": False, "_deleted_at": None,
        "_merged_into": None,
    }  # fmt: skip
    assert (found.id, found.user_id, found.source) == (8, 11, "webhook")


def test_unknown_keys_are_cells_of_their_own_beside_the_columns() -> None:
    """They go to `_extra`, and keep their version when they become columns one day."""
    cells = change(v2("organization", data={"id": 8, "country_code": "NO", "picture_id": None})).cells
    assert (cells["country_code"], cells["picture_id"]) == ("NO", None)


def test_a_status_that_is_no_column_is_kept_and_a_mere_flag_is_not() -> None:
    """`active_flag` says nothing but that the record exists; a status may say more."""
    cells = change(v2("task", data={"id": 8, "status": "open", "active_flag": True})).cells
    assert (cells["status"], "active_flag" in cells) == ("open", False)


def test_a_columns_own_name_counts_more_than_another_word_for_it() -> None:
    for data in ({"label": 5, "label_ids": [5, 9]}, {"label_ids": [5, 9], "label": 5}):
        assert change(v2("person", data={"id": 8} | data)).cells["label_ids"] == [5, 9]


def test_an_event_knows_what_the_values_were_before_as_far_as_it_is_told() -> None:
    found = change(v2(data={"id": 8, "value": 5}, previous={"value": 3.5, "visible_to": "3"}))
    assert found.previous() == {"value": 3.5, "visible_to": 3}


def test_previous_that_cannot_be_read_is_no_reason_to_refuse_the_event() -> None:
    assert change(v2(data={"id": 8, "value": 5}, previous={"value": "much"})).previous() == {}


@pytest.mark.parametrize(
    ("entity", "told", "column", "value"),
    [
        ("activity", {"location": "Kafé"}, "location", {"value": "Kafé"}),
        ("activity", {"location": {"value": "Kafé", "country": ""}}, "location", {"value": "Kafé", "country": None}),
        ("activity", {"location": None}, "location", None),
        ("organization", {"address": None, "address_locality": None, "address_country": None}, "address", None),
        ("organization", {"address": "", "address_locality": ""}, "address", None),
    ],
)
def test_an_address_is_read_in_any_form(entity: str, told: Any, column: str, value: Any) -> None:
    assert change(v2(entity, data={"id": 8} | told)).cells[column] == value


def test_the_flat_parts_of_a_v1_address_are_one_column_and_no_columns_of_their_own() -> None:
    told = {"address": "Bryggen 7", "address_locality": "Bergen", "address_postal_code": "", "address_lat": 60.4}
    cells = change(v1("organization", current={"id": 8} | told)).cells
    assert cells["address"] == {"value": "Bryggen 7", "locality": "Bergen", "postal_code": None}
    assert not cells.keys() & {"address_locality", "address_postal_code"}
    assert cells["address_lat"] == 60.4


# Custom fields


def test_a_v2_event_teaches_types_and_leaves_nothing_untyped() -> None:
    found = change(v2(data={"id": 8, "custom_fields": {HASH: {"type": "enum", "id": 17}, OTHER: None}}))
    assert (found.cells[HASH], found.cells[OTHER]) == (17, None)
    assert (found.types, found.untyped) == ({HASH: "enum"}, frozenset())


def test_a_v1_value_needs_its_type_from_elsewhere() -> None:
    body = v1("deal", current={"id": 8, HASH: "17", OTHER: None})
    unknown, known = change(body), change(body, TYPES)
    assert (unknown.cells[HASH], unknown.untyped, unknown.types) == ("17", frozenset({HASH}), {})
    assert (known.cells[HASH], known.untyped, known.types) == (17, frozenset(), {})
    assert unknown.cells[OTHER] is None


def test_the_custom_fields_of_a_lead_are_those_of_deals() -> None:
    asked: list[str] = []

    def types_of(entity: str) -> dict[str, str]:
        asked.append(entity)
        return TYPES

    found = read(Envelope(COMPANY, RECEIVED, v2("lead", data={"id": LEAD}, entity_id=LEAD)), types_of)
    assert isinstance(found, Event)
    assert asked == ["deal"]


def test_a_plain_value_where_a_wrapper_is_usual_is_typed_by_what_was_learnt() -> None:
    """Events of the newer entities are documented nowhere: they may carry values as REST does."""
    body = v2("project", data={"id": 8, "custom_fields": {HASH: "17", OTHER: {"value": 5, "currency": "EUR"}}})
    assert change(body, TYPES).cells[HASH] == 17
    assert change(body, TYPES).untyped == {OTHER}
    assert change(body, TYPES | {OTHER: "monetary"}).cells[OTHER] == {"value": 5, "currency": "EUR"}


def test_a_custom_field_that_only_previous_knows_was_cleared() -> None:
    before = {HASH: {"type": "enum", "id": 17}}
    assert change(v2(data={"id": 8, "custom_fields": {}}, previous={"custom_fields": before})).cells[HASH] is None


@pytest.mark.parametrize(
    ("data", "previous"),
    [
        pytest.param({"custom_fields": {}}, {}, id="previous names none"),
        pytest.param({"custom_fields": {}}, None, id="no previous"),
        pytest.param(
            {}, {"custom_fields": {HASH: {"type": "enum", "id": 17}}}, id="the new state has no custom fields at all"
        ),
    ],
)
def test_a_custom_field_that_is_merely_missing_keeps_its_value(data: Any, previous: Any) -> None:
    assert HASH not in change(v2(data={"id": 8} | data, previous=previous)).cells


def test_a_custom_field_without_a_hash_never_passes_for_a_column() -> None:
    """Contact sync makes fields with readable keys, which may be called like a column."""
    told = {"name": {"type": "varchar", "value": "Not the name"}}
    found = change(v2("person", data={"id": 8, "name": "Kari", "custom_fields": told}))
    assert (found.cells["name"], found.cells["custom_fields.name"]) == ("Kari", told["name"])
    cleared = change(
        v2("person", data={"id": 8, "name": "Kari", "custom_fields": {}}, previous={"custom_fields": told})
    )
    assert (cleared.cells["name"], cleared.cells["custom_fields.name"]) == ("Kari", None)


def test_a_key_that_only_begins_like_a_hash_is_an_unknown_key() -> None:
    cells = change(v1("deal", current={"id": 8, f"{HASH}0": 1, f"{HASH}-x": 2})).cells
    assert (cells[f"{HASH}0"], cells[f"{HASH}-x"]) == (1, 2)


def test_an_entity_without_custom_fields_keeps_such_keys_as_they_are() -> None:
    cells = change(v2("stage", data={"id": 8, "custom_fields": {HASH: 1}, HASH: 2})).cells
    assert (cells["custom_fields"], cells[HASH]) == ({HASH: 1}, 2)


# Deletes


@pytest.mark.parametrize(
    ("entity", "told"),
    [
        ("deal", {"deleted": True}), ("deal", {"status": "deleted"}), ("deal", {"is_deleted": True}),
        ("person", {"active_flag": False}), ("organization", {"active_flag": 0}), ("activity", {"active_flag": False}),
        ("product", {"active_flag": False}), ("note", {"active_flag": False}), ("stage", {"active_flag": False}),
        ("pipeline", {"active_flag": False}), ("pipeline", {"active": False}),
        ("activity_type", {"active_flag": False}),
        ("project", {"status": "deleted"}), ("board", {"is_deleted": True}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("tell", [v1, v2])
def test_a_change_whose_body_says_deleted_is_a_delete(tell: Any, entity: str, told: Any) -> None:
    state = {"id": 8, "name": "x"} | told
    body = v2(entity, data=state) if tell is v2 else v1(entity, current=state)
    found = change(body)
    assert found.deleted
    assert found.cells["_deleted_at"] == AT
    assert found.version.split(".")[1] == "2"


@pytest.mark.parametrize(
    ("entity", "told"),
    [
        ("user", {"active_flag": False}), ("user", {"is_deleted": True}), ("deal", {"active": False}),
        ("deal", {"status": "lost"}), ("deal", {"is_archived": True}), ("deal", {"deleted": False}),
        ("person", {"active_flag": True}), ("person", {"active_flag": None}),
    ],
)  # fmt: skip
def test_what_is_not_deleted_is_alive(entity: str, told: Any) -> None:
    """Above all a deactivated user is a row like any other, and a deal that is won is not active but exists."""
    assert not change(v2(entity, data={"id": 8} | told)).deleted


def test_a_deactivated_user_keeps_its_flag() -> None:
    assert (
        change(v2("user", data={"id": "8", "active_flag": False}, previous={"active_flag": True})).cells["active_flag"]
        is False
    )


@pytest.mark.parametrize(
    ("entity", "flag", "when_deleted"),
    [("deal", "is_deleted", True), ("note", "active_flag", False), ("activity_type", "active_flag", False)],
)
def test_the_flag_follows_whether_the_record_exists_not_what_the_body_says(
    entity: str, flag: str, when_deleted: bool
) -> None:
    """The last state before a delete says that the record exists, that of a note that it does not."""
    for told in (True, False):
        gone = change(v2(entity, "delete", previous={"id": 8, flag: told}))
        assert gone.cells[flag] is when_deleted
    assert change(v2(entity, data={"id": 8})).cells[flag] is not when_deleted


def test_a_delete_keeps_the_last_state_and_does_not_tell_about_merges() -> None:
    found = change(v2(action="delete", previous={"id": 8, "title": "Last"}))
    assert found.cells == {"title": "Last", "_deleted_at": AT, "is_deleted": True}


def test_a_delete_without_a_last_state_is_a_bare_tombstone() -> None:
    assert change(v2(action="delete")).cells == {"_deleted_at": AT, "is_deleted": True}
    assert change(v1("deal", "deleted")).cells == {"_deleted_at": AT, "is_deleted": True}


def test_the_newer_state_after_a_delete_says_that_the_record_is_back() -> None:
    cells = change(v2(data={"id": 8})).cells
    assert (cells["_deleted_at"], cells["_merged_into"]) == (None, None)


# Merges


def test_v2_deletes_the_loser_of_a_merge_and_names_its_winner() -> None:
    found = change(v2(action="delete", previous={"id": 8, "title": "Lost"}, merged_to_id="9"))
    assert (found.id, found.merged_into, found.cells["title"]) == (8, 9, "Lost")


def test_v2_changes_the_winner_of_a_merge_which_also_buries_the_loser() -> None:
    found = event(v2(data={"id": 9, "title": "Kept"}, previous={"title": "Old"}, entity_id="9", merged_from_id="8"))
    winner, loser = found.changes
    assert (winner.id, winner.cells["title"], winner.deleted) == (9, "Kept", False)
    assert (loser.id, loser.merged_into) == (8, 9)
    assert loser.cells == {"_deleted_at": AT, "_merged_into": 9, "is_deleted": True}
    assert (found.entity_id, found.other_ids, found.version) == ("9", ("8",), winner.version)


def test_v1_shows_the_loser_as_previous() -> None:
    body = v1("organization", "merged", {"id": 9, "name": "Kept", "merge_what_id": 8}, {"id": 8, "name": "Lost"}, id=9)
    winner, loser = event(body).changes
    assert (winner.id, winner.cells["name"], winner.cells["merge_what_id"]) == (9, "Kept", 8)
    assert winner.previous() == {}
    assert (loser.id, loser.cells["name"], loser.merged_into, loser.deleted) == (8, "Lost", 9, True)


def test_a_loser_stays_deleted_beside_a_change_of_the_same_instant() -> None:
    winner, loser = event(v2(data={"id": 9}, entity_id="9", merged_from_id="8")).changes
    assert (winner.version.split(".")[1], loser.version.split(".")[1]) == ("1", "2")


def test_a_record_that_absorbed_itself_merely_changed() -> None:
    assert len(event(v2(data={"id": 9}, entity_id="9", merged_from_id="9")).changes) == 1


def test_users_of_v1_come_in_lists_each_with_its_own_id() -> None:
    found = event(v1("user", current=[{"id": 8, "name": "A"}, {"id": 9, "name": "B"}]))
    assert [(one.id, one.cells["name"]) for one in found.changes] == [(8, "A"), (9, "B")]
    assert (found.entity_id, found.other_ids) == ("8", ("9",))


def test_parts_of_a_v1_custom_field_that_its_shape_has_no_place_for_are_kept_apart() -> None:
    body = v1("deal", current={"id": 8, HASH: "Bryggen 7", f"{HASH}_formatted_address": "x", f"{HASH}_lat": 60.4})
    cells = change(body).cells
    assert cells[HASH]["value"] == "Bryggen 7"
    assert cells[f"{HASH}_lat"] == 60.4


def test_a_delete_whose_last_state_is_of_another_record_names_two() -> None:
    assert refused(v2(action="delete", previous={"id": 9, "title": "x"})).problem.code == "bad_id"


def test_a_body_with_a_nul_character_still_says_what_it_is_about() -> None:
    assert refused(v2(data={"id": 8, "title": "nul \x00"})).about == {
        "entity": "deal",
        "entity_id": "8",
        "action": "change",
    }


def test_keys_named_like_our_own_columns_are_not_believed() -> None:
    deleted = change(v2(action="delete", previous={"id": 8, "_merged_into": 9, "_deleted_at": None}))
    assert "_merged_into" not in deleted.cells
    assert deleted.deleted
