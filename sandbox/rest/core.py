"""The lists and gets of what sends webhooks."""

from typing import Any, Final

from sandbox.rest.listing import Listing, Parent, Shows, Single

_DEAL_FILTERS: Final = {column: column for column in ("owner_id", "person_id", "org_id", "pipeline_id", "stage_id")}
_LEAD_FILTERS: Final = {column: column for column in ("owner_id", "person_id", "organization_id")}
_NOTE_FILTERS: Final = {
    column: column for column in ("user_id", "lead_id", "deal_id", "person_id", "org_id", "project_id", "task_id")
}
_PROJECT_FILTERS: Final = {
    "phase_id": "phase_id",
    "deal_id": "deal_ids",
    "person_id": "person_ids",
    "org_id": "org_ids",
}
_TASK_FILTERS: Final = {
    **{column: column for column in ("is_done", "is_milestone", "project_id", "parent_task_id")},
    "assignee_id": "assignee_ids",
}
_TIMES: Final = ("id", "update_time", "add_time")
_DEAL_STATUSES: Final = ("open", "won", "lost", "deleted")
_NO_DELTA: Final = ("updated_since", "updated_until")


def _is(column: str) -> Shows:
    return lambda record: bool(record[column])


def _is_not(column: str) -> Shows:
    return lambda record: not record[column]


def _delta(path: str, entity: str, cost: int = 10, **more: Any) -> Listing:
    return Listing(path, entity, cost, **{"sorts": _TIMES, "since": True, "until": True, **more})


def _projects(path: str, shows: Shows) -> Listing:
    statuses = ("open", "completed", "canceled", "deleted")
    return Listing(path, "project", 10, statuses=statuses, filters=_PROJECT_FILTERS, shows=shows)


LISTINGS: Final = (
    _delta("/deals", "deal", filters=_DEAL_FILTERS, ids=True, statuses=_DEAL_STATUSES, shows=_is_not("is_archived")),
    _delta("/deals/archived", "deal", 20, filters=_DEAL_FILTERS, statuses=_DEAL_STATUSES, shows=_is("is_archived")),
    _delta("/persons", "person", filters={"owner_id": "owner_id", "org_id": "org_id"}, ids=True),
    _delta("/organizations", "organization", filters={"owner_id": "owner_id"}, ids=True),
    _delta(
        "/activities", "activity", ids=True, sorts=(*_TIMES, "due_date"), refuses=("type",),
        filters={c: c for c in ("owner_id", "deal_id", "lead_id", "person_id", "org_id", "done")},
    ),
    _delta("/products", "product", filters={"owner_id": "owner_id"}, ids=True, until=False, sorts=(*_TIMES, "name")),
    Listing(
        "/deals/products", "deal_product", 10, sorts=(*_TIMES, "deal_id", "order_nr"),
        parent=Parent("deal", "deal_id", "deal_ids", 100),
    ),
    Listing("/deals/{parent}/products", "deal_product", 10, sorts=_TIMES, parent=Parent("deal", "deal_id")),
    Listing(
        "/deals/installments", "deal_installment", 10, sorts=("id", "billing_date", "deal_id"),
        parent=Parent("deal", "deal_id", "deal_ids", 100),
    ),
    Listing("/pipelines", "pipeline", 5, sorts=_TIMES, refuses=_NO_DELTA),
    Listing(
        "/stages", "stage", 5, sorts=(*_TIMES, "order_nr"), refuses=_NO_DELTA, filters={"pipeline_id": "pipeline_id"}
    ),
    _projects("/projects", _is_not("archive_time")),
    _projects("/projects/archived", _is("archive_time")),
    Listing("/tasks", "task", 10, filters=_TASK_FILTERS),
    Listing("/boards", "board", 10, paging="whole"),
    Listing("/phases", "phase", 10, paging="whole", parent=Parent("board", "board_id", "board_id")),
    Listing(
        "/leads", "lead", 20, v=1, bare=True, paging="flat", order="add_time", since=True, filters=_LEAD_FILTERS,
        sorts=("id", "title", "owner_id", "creator_id", "was_seen", "expected_close_date", "add_time", "update_time"),
        shows=_is_not("is_archived"),
    ),
    Listing(
        "/leads/archived", "lead", 40, v=1, bare=True, paging="flat", order="add_time", filters=_LEAD_FILTERS,
        sorts=("id", "title", "owner_id", "creator_id", "was_seen", "expected_close_date", "add_time", "update_time"),
        shows=_is("is_archived"),
    ),
    Listing(
        "/notes", "note", 20, v=1, paging="pagination", since=True, filters=_NOTE_FILTERS,
        sorts=("id", "user_id", "deal_id", "person_id", "org_id", "content", "add_time", "update_time"),
    ),
    Listing("/users", "user", 20, v=1, paging="whole"),
    Listing("/activityTypes", "activity_type", 20, v=1, paging="whole"),
)  # fmt: skip

SINGLES: Final = (
    *(Single(f"/{entity}s/{{id}}", entity, 1) for entity in ("deal", "person", "organization", "product")),
    *(Single(f"/{entity}s/{{id}}", entity, 1) for entity in ("pipeline", "stage", "project", "task")),
    *(Single(f"/{entity}s/{{id}}", entity, 10) for entity in ("board", "phase")),
    Single("/activities/{id}", "activity", 1),
    Single("/leads/{id}", "lead", 2, v=1, bare=True),
    Single("/notes/{id}", "note", 2, v=1),
    Single("/users/{id}", "user", 2, v=1),
)
