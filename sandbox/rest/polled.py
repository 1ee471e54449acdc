"""The lists and gets of what sends no webhooks."""

from collections.abc import Iterator
from typing import Any, Final

from sandbox.rest.listing import Listing, Parent, Single
from sandbox.shelf import Record


def _v1(path: str, entity: str, cost: int = 20, **more: Any) -> Listing:
    """v1 without pages, unless it is said that it has them."""
    return Listing(path, entity, cost, **{"v": 1, "paging": "whole", **more})


def _one(rows: list[Record]) -> Record | None:
    return rows[0] if rows else None


def _goals(rows: list[Record]) -> dict[str, list[Record]]:
    return {"goals": rows}


def _child(
    path: str, entity: str, parent: str, column: str, cost: int = 20, *, told: bool = True, **more: Any
) -> Listing:
    """Likewise, of a parent that stands in the path."""
    return _v1(path, entity, cost, parent=Parent(parent, column, told=told), **more)


def _followers(entity: str, column: str) -> Listing:
    parent = Parent(entity, column, told=False)
    return Listing(f"/{entity}s/{{parent}}/followers", f"{entity}_follower", 10, order="user_id", parent=parent)


def _log(path: str, entity: str, parent: str, cost: int, *, v: Any = 1, kind: str | None = None) -> Listing:
    """Newest first, by cursor though it may be v1."""

    def shows(record: Record) -> bool:
        return kind is None or bool(record["_kind"] == kind)

    return Listing(path, entity, cost, v, order="_n", descending=True, parent=Parent(parent, "_of"), shows=shows)


def _logs() -> Iterator[Listing]:
    for entity in ("deal", "person", "organization"):
        yield _log(f"/{entity}s/{{parent}}/changelog", f"{entity}_change", entity, 20)
    yield _log("/projects/{parent}/changelog", "project_change", "project", 10, v=2)
    yield _log("/deals/{parent}/participantsChangelog", "participant_change", "deal", 10)
    for entity in ("deal", "person", "organization", "product"):
        path = f"/{entity}s/{{parent}}/followers/changelog"
        yield _log(path, "follower_change", entity, 10, v=2, kind=entity)


def _definitions() -> Iterator[Listing]:
    for entity in ("deal", "person", "organization", "product", "project", "activity"):
        yield Listing(f"/{entity}Fields", f"{entity}_field", 10, order="field_code")
    yield _v1("/leadFields", "lead_field", paging="flat")
    yield _v1("/noteFields", "note_field")


_EVERYONES: Final = ("type.name", "assignee.id", "assignee.type", "expected_outcome.tracking_metric")
"""Whoever asks by one of these is told of all goals, else only of their own."""

_SETUP: Final = (
    _v1("/currencies", "currency"),
    _v1("/leadLabels", "lead_label", 10, bare=True),
    _v1("/leadSources", "lead_source", 2, bare=True, order="name"),
    _v1("/filters", "filter", filters={"type": "type"}, omits=("conditions",)),
    _v1(
        "/goals/find", "goal", bare=True, wrapped=_goals, otherwise={"is_active": "true"},
        filters={"is_active": "is_active", **{name: name for name in _EVERYONES}},
        own=("owner_id", _EVERYONES),
    ),
    Listing("/projectTemplates", "project_template", 10),
    _v1("/billing/subscriptions/addons", "billing_addon", order="code"),
)  # fmt: skip

_PEOPLE: Final = (
    _v1("/roles", "role", paging="pagination"),
    _child(
        "/roles/{parent}/assignments", "role_assignment", "role", "role_id", 10, paging="pagination", order="user_id"
    ),
    _v1("/permissionSets", "permission_set", filters={"app": "app"}),
    _child(
        "/permissionSets/{parent}/assignments", "permission_set_assignment", "permission_set", "permission_set_id",
        paging="pagination", order="user_id",
    ),
    _v1("/legacyTeams", "team"),
    _child(
        "/users/{parent}/permissions", "user_permission", "user", "user_id", 10,
        order="user_id", wrapped=_one, told=False,
    ),
    _child("/users/{parent}/followers", "user_follower", "user", "followed_user_id", 10,
        v=2, paging="cursor", order="user_id", told=False),
)  # fmt: skip

_CHILDREN: Final = (
    *(_followers(entity, f"{entity}_id") for entity in ("deal", "person", "organization", "product")),
    _child("/deals/{parent}/participants", "deal_participant", "deal", "related_item_id", 10, paging="pagination"),
    _child("/deals/{parent}/discounts", "deal_discount", "deal", "deal_id", 10, v=2),
    _child("/products/{parent}/variations", "product_variation", "product", "product_id", 10, v=2, paging="cursor"),
    _child("/products/{parent}/images", "product_image", "product", "product_id", 10, v=2, wrapped=_one),
    _child("/persons/{parent}/picture", "person_picture", "person", "item_id", 1, v=2, wrapped=_one),
    _child("/notes/{parent}/comments", "note_comment", "note", "object_id", paging="pagination", order="add_time"),
    _child("/projects/{parent}/groups", "project_group", "project", "project_id", told=False),
    _child("/projects/{parent}/plan", "project_plan_item", "project", "project_id", order="item_id", told=False),
    _v1(
        "/organizationRelationships", "organization_relationship",
        parent=Parent("organization", "rel_owner_org_id", "org_id", also="rel_linked_org_id"),
    ),
)  # fmt: skip

_MAIL: Final = (
    _v1("/files", "file", paging="pagination", most=100, sorts=("id", "update_time")),
    _v1("/callLogs", "call_log", paging="pagination", most=50, order="start_time"),
    _v1(
        "/mailbox/mailThreads", "mail_thread", bare=True, paging="pagination",
        filters={"folder": "folders"}, otherwise={"folder": "inbox"},
    ),
    _child(
        "/mailbox/mailThreads/{parent}/mailMessages", "mail_message", "mail_thread", "mail_thread_id", bare=True
    ),
)  # fmt: skip

LISTINGS: Final = (*_SETUP, *_PEOPLE, *_CHILDREN, *_MAIL, *_logs(), *_definitions())

SINGLES: Final = (
    Single("/filters/{id}", "filter", 2, v=1),
    Single("/roles/{id}", "role", 2, v=1),
    Single("/permissionSets/{id}", "permission_set", 2, v=1),
    Single("/legacyTeams/{id}", "team", 2, v=1),
    Single("/files/{id}", "file", 2, v=1),
    Single("/callLogs/{id}", "call_log", 2, v=1),
    Single("/mailbox/mailThreads/{id}", "mail_thread", 20, v=1, bare=True),
    Single("/mailbox/mailMessages/{id}", "mail_message", 2, v=1, bare=True),
    Single("/organizationRelationships/{id}", "organization_relationship", 2, v=1),
    Single("/projectTemplates/{id}", "project_template", 1),
    *(
        Single(f"/{entity}Fields/{{id}}", f"{entity}_field", 1)
        for entity in ("deal", "person", "organization", "product", "project", "activity")
    ),
)
