"""Projects, their tasks, and the boards and phases they go through."""

from typing import Final

from schema.columns import BIGINT, BIGINTS, BOOLEAN, DATE, INTEGER, TEXT, TIMESTAMP
from schema.entity import HOUR, WEEK, Entity, event, key
from schema.listing import Get, Listing, Paging, Parent

SCOPES: Final = ("projects:read", "projects:full")
# Unless they are asked for, the deleted are not told.
_EVERY: Final = {"status": "open,completed,canceled,deleted"}

BOARD: Final = Entity(
    "board",
    plural="boards",
    listings=(Listing("/api/v2/boards", cost=10, paging=Paging.WHOLE, scopes=SCOPES),),
    get=Get("/api/v2/boards/{id}", 10),
    columns=(
        event("name", TEXT),
        event("order_nr", INTEGER),
        event("add_time", TIMESTAMP),
        event("update_time", TIMESTAMP),
    ),
)

PHASE: Final = Entity(
    "phase",
    plural="phases",
    listings=(
        Listing(
            "/api/v2/phases",
            cost=10,
            paging=Paging.WHOLE,
            scopes=SCOPES,
            parent=Parent("board", param="board_id", column="board_id"),
        ),
    ),
    get=Get("/api/v2/phases/{id}", 10),
    columns=(
        event("name", TEXT),
        event("board_id", BIGINT, ref="board"),
        event("order_nr", INTEGER),
        event("add_time", TIMESTAMP),
        event("update_time", TIMESTAMP),
    ),
)

PROJECT_TEMPLATE: Final = Entity(
    "project_template",
    plural="project_templates",
    webhook=False,
    listings=(Listing("/api/v2/projectTemplates", cost=10, scopes=SCOPES),),
    get=Get("/api/v2/projectTemplates/{id}", 1),
    columns=(
        event("title", TEXT),
        event("description", TEXT),
        event("projects_board_id", BIGINT, ref="board"),
        event("owner_id", BIGINT, ref="user"),
        event("add_time", TIMESTAMP),
        event("update_time", TIMESTAMP),
    ),
)

PROJECT: Final = Entity(
    "project",
    plural="projects",
    custom_fields="project",
    listings=(
        Listing("/api/v2/projects", cost=10, params=_EVERY, scopes=SCOPES),
        Listing("/api/v2/projects/archived", cost=10, params=_EVERY, scopes=SCOPES),
    ),
    get=Get("/api/v2/projects/{id}", 1),
    cadence=4 * HOUR,
    columns=(
        event("title", TEXT),
        event("description", TEXT),
        event("status", TEXT),
        event("board_id", BIGINT, ref="board"),
        event("phase_id", BIGINT, ref="phase"),
        event("owner_id", BIGINT, ref="user"),
        event("start_date", DATE),
        event("end_date", DATE),
        event("deal_ids", BIGINTS, ref="deal"),
        event("person_ids", BIGINTS, ref="person"),
        event("org_ids", BIGINTS, ref="organization"),
        event("label_ids", BIGINTS),
        event("health_status", BIGINT),
        event("add_time", TIMESTAMP),
        event("update_time", TIMESTAMP),
        event("status_change_time", TIMESTAMP),
        event("archive_time", TIMESTAMP),
    ),
)

PROJECT_GROUP: Final = Entity(
    "project_group",
    plural="project_groups",
    webhook=False,
    listings=(
        Listing(
            "/v1/projects/{parent}/groups",
            cost=20,
            paging=Paging.WHOLE,
            scopes=SCOPES,
            parent=Parent("project", column="project_id"),
            opt_in=True,
        ),
    ),
    cadence=WEEK,
    columns=(
        event("project_id", BIGINT, ref="project"),
        event("name", TEXT),
        event("order_nr", BIGINT),
    ),
)

TASK: Final = Entity(
    "task",
    plural="tasks",
    listings=(Listing("/api/v2/tasks", cost=10, scopes=SCOPES),),
    get=Get("/api/v2/tasks/{id}", 1),
    cadence=4 * HOUR,
    columns=(
        event("title", TEXT),
        event("creator_id", BIGINT, ref="user"),
        event("description", TEXT),
        event("project_id", BIGINT, ref="project"),
        event("is_done", BOOLEAN),
        event("is_milestone", BOOLEAN),
        event("due_date", DATE),
        event("start_date", DATE),
        event("parent_task_id", BIGINT, ref="task"),
        event("assignee_ids", BIGINTS, ref="user"),
        event("priority", INTEGER),
        event("add_time", TIMESTAMP),
        event("update_time", TIMESTAMP),
        event("marked_as_done_time", TIMESTAMP),
    ),
)

PROJECT_PLAN_ITEM: Final = Entity(
    "project_plan_item",
    plural="project_plan_items",
    key=key(project_id=BIGINT, item_type=TEXT, item_id=BIGINT),
    webhook=False,
    listings=(
        Listing(
            "/v1/projects/{parent}/plan",
            cost=20,
            paging=Paging.WHOLE,
            scopes=SCOPES,
            parent=Parent("project", column="project_id"),
            opt_in=True,
        ),
    ),
    cadence=WEEK,
    columns=(
        event("phase_id", BIGINT, ref="phase"),
        event("group_id", BIGINT, ref="project_group"),
    ),
)
