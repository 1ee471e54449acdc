"""What REST v1 writes in its own way reads like everything else."""

from datetime import UTC, datetime
from typing import Any

import pytest

from schema.entities import BY_NAME
from schema.entity import DELETED_AT
from schema.rest import Answer, change_of, completed

BEGAN = 1_780_000_000_000_000
NOON = datetime(2026, 3, 4, 12, 0, 5, tzinfo=UTC)


def cells(entity: str, row: dict[str, Any], listing: int = 0, **further: Any) -> dict[str, Any]:
    found = BY_NAME[entity]
    answer = Answer(found, BEGAN, "sweep", listing=found.listings[listing], **further)
    (whole,) = completed(answer, [row])
    return dict(change_of(answer, whole).cells)


@pytest.mark.parametrize(
    ("entity", "row", "expected"),
    [
        pytest.param(
            "deal_participant",
            {"id": 5, "person_id": {"name": "Ada", "value": 31}, "added_by_user_id": {"id": 9, "value": 9}},
            {"person_id": 31, "added_by_user_id": 9, "deal_id": 7},
            id="an object that stands for a record is its id",
        ),
        pytest.param(
            "organization_relationship",
            {"id": 5, "active_flag": "true", "rel_owner_org_id": {"value": 1}, "rel_linked_org_id": {"value": 2}},
            {"active_flag": True, "rel_owner_org_id": 1, "rel_linked_org_id": 2, DELETED_AT: None},
            id="a flag that is a text",
        ),
        pytest.param("call_log", {"id": "CAd9", "duration": "61"}, {"duration": 61}, id="seconds as text"),
        pytest.param(
            "mail_thread",
            {"id": 5, "read_flag": 1, "deleted_flag": 0, "folders": ["inbox", "sent"], "drafts_parties": []},
            {"read_flag": True, "deleted_flag": False, "folders": ["inbox", "sent"], DELETED_AT: None},
            id="flags as numbers",
        ),
        pytest.param("role", {"id": 2, "assignment_count": "1"}, {"assignment_count": 1}, id="a count as text"),
        pytest.param("filter", {"id": 2, "visible_to": "7"}, {"visible_to": 7}, id="visibility as text"),
        pytest.param(
            "product_image", {"id": 2, "add_time": "2026-03-04"}, {"add_time": datetime(2026, 3, 4, tzinfo=UTC)},
            id="a time that is a day",
        ),
        pytest.param("note_comment", {"uuid": "5b3fe4a0-1b7d-11ee-8f5c-5f1e2a3b4c5d", "object_id": "7"},
            {"object_id": "7"}, id="an id as text"),
        pytest.param("currency", {"id": 2, "active_flag": False}, {"active_flag": False, DELETED_AT: None},
            id="an inactive currency is a currency"),
        pytest.param("team", {"id": 2, "active_flag": 0, "deleted_flag": 0}, {"active_flag": False, DELETED_AT: None},
            id="so is an inactive team a team"),
    ],
)  # fmt: skip
def test_a_form_of_its_own_is_read(entity: str, row: dict[str, Any], expected: dict[str, Any]) -> None:
    found = cells(entity, row, parent=7, mine=9)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("entity", "row"),
    [
        ("file", {"id": 2, "active_flag": False}),
        ("filter", {"id": 2, "active_flag": False}),
        ("team", {"id": 2, "deleted_flag": 1}),
        ("mail_thread", {"id": 2, "deleted_flag": 1}),
        ("mail_message", {"id": 2, "deleted_flag": 1}),
        ("organization_relationship", {"id": 2, "active_flag": "false"}),
        ("lead_field", {"key": "title", "active_flag": False}),
        ("project", {"id": 2, "status": "deleted"}),
    ],
)
def test_what_is_marked_as_deleted_is_a_tombstone(entity: str, row: dict[str, Any]) -> None:
    at = {BY_NAME[entity].updated: "2026-03-04 12:00:05"} if BY_NAME[entity].has(BY_NAME[entity].updated) else {}
    deleted_at = cells(entity, row | at, parent=7, mine=9)[DELETED_AT]
    assert deleted_at == NOON if at else deleted_at is not None


def test_a_follower_change_says_whose_followers_changed() -> None:
    entry = {"action": "added", "follower_user_id": 3, "time": "2026-03-04T12:00:05Z"}
    told = [cells("follower_change", entry, listing=number, parent=7) for number in range(4)]
    assert [(found["item_type"], found["item_id"]) for found in told] == [
        ("deal", 7), ("person", 7), ("organization", 7), ("product", 7),
    ]  # fmt: skip


def test_nobody_learns_the_password_of_a_subscription() -> None:
    found = cells("webhook", {"id": 1, "http_auth_user": "u", "http_auth_password": "p", "is_active": 1})
    assert found["is_active"] is True
    assert "p" not in found.values()
