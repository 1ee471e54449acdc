"""The entity catalogue: every entity that sends webhooks, each declared once.

The declaration drives decoding, DDL, reading and writing of rows, comparison and docs. A new entity is one
declaration here and one sample in tests/samples. Columns are named in the REST v2 vocabulary (users, notes, leads and
activity types: REST v1, they have no other), in the order Pipedrive documents them, and grouped by who carries them:

    event(...)  every source: webhooks v2, webhooks v1, REST
    v1(...)     webhooks v1 and REST
    rest(...)   REST only

Further names behind the type are what events call the column. `ref` is the entity the id points to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from schema.columns import (
    ADDRESS,
    BIGINT,
    BIGINTS,
    BOOLEAN,
    DATE,
    DURATION,
    INTEGER,
    JSON,
    NUMERIC,
    SMALLINT,
    TEXT,
    TIME_OF_DAY,
    TIMESTAMP,
    UUID,
    UUIDS,
    Type,
    renamed_items,
)

EVENT: Final = "event"
V1: Final = "v1"
REST: Final = "rest"
GROUPS: Final = (EVENT, V1, REST)

DELETED_AT: Final = "_deleted_at"
MERGED_INTO: Final = "_merged_into"


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: Type
    group: str
    aliases: tuple[str, ...] = ()
    ref: str | None = None


def event(name: str, type_: Type, *aliases: str, ref: str | None = None) -> Column:
    return Column(name, type_, EVENT, aliases, ref)


def v1(name: str, type_: Type, *aliases: str, ref: str | None = None) -> Column:
    return Column(name, type_, V1, aliases, ref)


def rest(name: str, type_: Type, *aliases: str, ref: str | None = None) -> Column:
    return Column(name, type_, REST, aliases, ref)


_IS_DELETED: Final = MappingProxyType({"is_deleted": True})
_DELETED_WHEN: Final = MappingProxyType(
    {"is_deleted": True, "deleted": True, "active_flag": False, "status": "deleted"}
)


@dataclass(frozen=True, slots=True, eq=False)
class Entity:
    """One kind of record.

    name             in the singular, as in the catalogue; events may write it in camelCase
    plural           its table
    custom_fields    the entity whose custom field definitions it uses; None if it has no custom fields
    updated, created the columns that say when Pipedrive changed and made the record
    deleted_when     keys and values of a body that mean "this record is deleted", whatever the action says
    deleted_columns  columns that only repeat whether the record is deleted, and their value when it is
    """

    name: str
    plural: str
    columns: tuple[Column, ...]
    id_type: Type = BIGINT
    custom_fields: str | None = None
    updated: str = "update_time"
    created: str = "add_time"
    deleted_when: Mapping[str, Any] = field(default_factory=lambda: _DELETED_WHEN)
    deleted_columns: Mapping[str, bool] = field(default_factory=lambda: _IS_DELETED)

    def column(self, name: str) -> Column:
        return _by_name(self)[name]

    def group(self, name: str) -> tuple[str, ...]:
        """The columns of a group, the two system columns that say whether the record exists among the first."""
        return _by_group(self)[name]

    def has(self, name: str) -> bool:
        return name in _by_name(self)


@cache
def _by_name(entity: Entity) -> dict[str, Column]:
    return {column.name: column for column in entity.columns}


@cache
def _by_group(entity: Entity) -> dict[str, tuple[str, ...]]:
    own = {group: tuple(column.name for column in entity.columns if column.group == group) for group in GROUPS}
    return own | {EVENT: (DELETED_AT, MERGED_INTO, *own[EVENT])}


PARTICIPANTS = renamed_items({"primary_flag": "primary"})
PRICES = renamed_items({"overhead_cost": "direct_cost"})

ENTITIES: Final[tuple[Entity, ...]] = (
    Entity(
        "deal",
        plural="deals",
        custom_fields="deal",
        columns=(
            event("title", TEXT),
            event("owner_id", BIGINT, "user_id", ref="user"),
            event("person_id", BIGINT, ref="person"),
            event("org_id", BIGINT, ref="organization"),
            event("pipeline_id", BIGINT, ref="pipeline"),
            event("stage_id", BIGINT, ref="stage"),
            event("value", NUMERIC),
            event("currency", TEXT),
            event("add_time", TIMESTAMP),
            event("update_time", TIMESTAMP),
            event("stage_change_time", TIMESTAMP),
            event("is_deleted", BOOLEAN),
            event("is_archived", BOOLEAN),
            event("status", TEXT),
            event("probability", NUMERIC),
            event("lost_reason", TEXT),
            event("visible_to", SMALLINT),
            event("close_time", TIMESTAMP),
            event("won_time", TIMESTAMP),
            event("lost_time", TIMESTAMP),
            event("expected_close_date", DATE),
            event("label_ids", BIGINTS, "label"),
            event("origin", TEXT),
            event("origin_id", TEXT),
            event("channel", BIGINT),
            event("channel_id", TEXT),
            rest("source_lead_id", UUID, ref="lead"),
            v1("arr", NUMERIC),
            v1("mrr", NUMERIC),
            v1("acv", NUMERIC),
            event("creator_user_id", BIGINT, ref="user"),
            event("archive_time", TIMESTAMP),
            rest("local_won_date", DATE),
            rest("local_lost_date", DATE),
            rest("local_close_date", DATE),
            v1("next_activity_id", BIGINT, ref="activity"),
            v1("last_activity_id", BIGINT, ref="activity"),
            event("first_won_time", TIMESTAMP),
            v1("products_count", INTEGER),
            v1("files_count", INTEGER),
            v1("notes_count", INTEGER),
            v1("followers_count", INTEGER),
            v1("email_messages_count", INTEGER),
            v1("activities_count", INTEGER),
            v1("done_activities_count", INTEGER),
            v1("undone_activities_count", INTEGER),
            v1("participants_count", INTEGER),
            v1("last_incoming_mail_time", TIMESTAMP),
            v1("last_outgoing_mail_time", TIMESTAMP),
            v1("smart_bcc_email", TEXT, "cc_email"),
        ),
    ),
    Entity(
        "lead",
        plural="leads",
        id_type=UUID,
        custom_fields="deal",
        columns=(
            event("title", TEXT),
            event("owner_id", BIGINT, ref="user"),
            event("creator_id", BIGINT, ref="user"),
            event("label_ids", UUIDS, ref="lead_label"),
            event("person_id", BIGINT, ref="person"),
            event("organization_id", BIGINT, ref="organization"),
            event("source_name", TEXT),
            event("origin", TEXT),
            event("origin_id", TEXT),
            event("channel", BIGINT),
            event("channel_id", TEXT),
            rest("source_deal_id", BIGINT, ref="deal"),
            event("is_archived", BOOLEAN),
            event("was_seen", BOOLEAN),
            event("value", JSON),
            event("expected_close_date", DATE),
            event("next_activity_id", BIGINT, ref="activity"),
            event("add_time", TIMESTAMP),
            event("update_time", TIMESTAMP),
            rest("visible_to", SMALLINT),
            rest("cc_email", TEXT),
        ),
    ),
    Entity(
        "person",
        plural="persons",
        custom_fields="person",
        columns=(
            event("name", TEXT),
            event("first_name", TEXT),
            event("last_name", TEXT),
            event("owner_id", BIGINT, ref="user"),
            event("org_id", BIGINT, ref="organization"),
            event("add_time", TIMESTAMP),
            event("update_time", TIMESTAMP),
            event("emails", JSON, "email"),
            event("phones", JSON, "phone"),
            event("is_deleted", BOOLEAN),
            event("visible_to", SMALLINT),
            event("label_ids", BIGINTS, "label"),
            v1("picture_id", BIGINT, ref="person_picture"),
            rest("postal_address", ADDRESS),
            rest("notes", TEXT),
            rest("im", JSON),
            rest("birthday", TEXT),
            rest("job_title", TEXT),
            v1("next_activity_id", BIGINT, ref="activity"),
            v1("last_activity_id", BIGINT, ref="activity"),
            v1("open_deals_count", INTEGER),
            v1("related_open_deals_count", INTEGER),
            v1("closed_deals_count", INTEGER),
            v1("related_closed_deals_count", INTEGER),
            v1("participant_open_deals_count", INTEGER),
            v1("participant_closed_deals_count", INTEGER),
            v1("email_messages_count", INTEGER),
            v1("activities_count", INTEGER),
            v1("done_activities_count", INTEGER),
            v1("undone_activities_count", INTEGER),
            v1("files_count", INTEGER),
            v1("notes_count", INTEGER),
            v1("followers_count", INTEGER),
            v1("won_deals_count", INTEGER),
            v1("related_won_deals_count", INTEGER),
            v1("lost_deals_count", INTEGER),
            v1("related_lost_deals_count", INTEGER),
            v1("last_incoming_mail_time", TIMESTAMP),
            v1("last_outgoing_mail_time", TIMESTAMP),
            v1("marketing_status", TEXT),
            rest("doi_status", TEXT),
            v1("smart_bcc_email", TEXT, "cc_email"),
        ),
    ),
    Entity(
        "organization",
        plural="organizations",
        custom_fields="organization",
        columns=(
            event("name", TEXT),
            event("owner_id", BIGINT, ref="user"),
            event("add_time", TIMESTAMP),
            event("update_time", TIMESTAMP),
            event("is_deleted", BOOLEAN),
            event("visible_to", SMALLINT),
            event("address", ADDRESS),
            event("label_ids", BIGINTS, "label"),
            event("website", TEXT),
            event("linkedin", TEXT),
            event("industry", BIGINT),
            event("annual_revenue", NUMERIC),
            event("employee_count", INTEGER),
            rest("org_id", BIGINT),
            v1("next_activity_id", BIGINT, ref="activity"),
            v1("last_activity_id", BIGINT, ref="activity"),
            v1("open_deals_count", INTEGER),
            v1("related_open_deals_count", INTEGER),
            v1("closed_deals_count", INTEGER),
            v1("related_closed_deals_count", INTEGER),
            v1("email_messages_count", INTEGER),
            v1("people_count", INTEGER),
            v1("activities_count", INTEGER),
            v1("done_activities_count", INTEGER),
            v1("undone_activities_count", INTEGER),
            v1("files_count", INTEGER),
            v1("notes_count", INTEGER),
            v1("followers_count", INTEGER),
            v1("won_deals_count", INTEGER),
            v1("related_won_deals_count", INTEGER),
            v1("lost_deals_count", INTEGER),
            v1("related_lost_deals_count", INTEGER),
            v1("smart_bcc_email", TEXT, "cc_email"),
        ),
    ),
    Entity(
        "activity",
        plural="activities",
        custom_fields="activity",
        columns=(
            event("subject", TEXT),
            event("type", TEXT),
            event("owner_id", BIGINT, "user_id", ref="user"),
            v1("creator_user_id", BIGINT, "created_by_user_id", ref="user"),
            event("is_deleted", BOOLEAN),
            event("add_time", TIMESTAMP),
            event("update_time", TIMESTAMP),
            event("deal_id", BIGINT, ref="deal"),
            event("lead_id", TEXT, ref="lead"),
            event("person_id", BIGINT, ref="person"),
            event("org_id", BIGINT, ref="organization"),
            v1("project_id", BIGINT, ref="project"),
            event("due_date", DATE),
            event("due_time", TIME_OF_DAY),
            event("duration", DURATION),
            event("busy", BOOLEAN, "busy_flag"),
            event("done", BOOLEAN),
            v1("marked_as_done_time", TIMESTAMP),
            event("location", ADDRESS),
            v1("participants", PARTICIPANTS),
            v1("attendees", JSON),
            v1("conference_meeting_client", TEXT),
            v1("conference_meeting_url", TEXT),
            v1("conference_meeting_id", TEXT),
            event("public_description", TEXT),
            rest("priority", INTEGER),
            v1("note", TEXT),
        ),
    ),
    Entity(
        "product",
        plural="products",
        custom_fields="product",
        columns=(
            event("name", TEXT),
            event("code", TEXT),
            event("unit", TEXT),
            event("tax", NUMERIC),
            event("is_deleted", BOOLEAN),
            event("is_linkable", BOOLEAN, "selectable"),
            event("visible_to", SMALLINT),
            event("owner_id", BIGINT, ref="user"),
            event("add_time", TIMESTAMP),
            event("update_time", TIMESTAMP),
            event("description", TEXT),
            event("category", TEXT),
            v1("billing_frequency", TEXT),
            v1("billing_frequency_cycles", BIGINT),
            event("prices", PRICES),
        ),
    ),
    Entity(
        "note",
        plural="notes",
        deleted_columns={"active_flag": False},
        columns=(
            event("active_flag", BOOLEAN),
            event("add_time", TIMESTAMP),
            event("content", TEXT),
            rest("deal", JSON),
            event("lead_id", UUID, ref="lead"),
            event("deal_id", BIGINT, ref="deal"),
            rest("last_update_user_id", BIGINT, ref="user"),
            event("org_id", BIGINT, ref="organization"),
            rest("organization", JSON),
            rest("person", JSON),
            event("person_id", BIGINT, ref="person"),
            event("project_id", BIGINT, ref="project"),
            rest("project", JSON),
            rest("task_id", BIGINT, ref="task"),
            rest("task", JSON),
            event("pinned_to_deal_flag", BOOLEAN),
            event("pinned_to_organization_flag", BOOLEAN),
            event("pinned_to_person_flag", BOOLEAN),
            rest("pinned_to_project_flag", BOOLEAN),
            rest("pinned_to_task_flag", BOOLEAN),
            event("update_time", TIMESTAMP),
            rest("user", JSON),
            event("user_id", BIGINT, ref="user"),
            rest("pinned_to_lead_flag", BOOLEAN),
        ),
    ),
    Entity(
        "deal_product",
        plural="deal_products",
        columns=(
            event("sum", NUMERIC),
            event("tax", NUMERIC),
            event("deal_id", BIGINT, ref="deal"),
            event("name", TEXT),
            event("product_id", BIGINT, ref="product"),
            event("product_variation_id", BIGINT, ref="product_variation"),
            event("order_nr", INTEGER),
            event("add_time", TIMESTAMP),
            event("update_time", TIMESTAMP),
            event("comments", TEXT),
            event("currency", TEXT),
            event("discount", NUMERIC),
            event("discount_type", TEXT),
            event("quantity", NUMERIC),
            event("item_price", NUMERIC),
            event("tax_method", TEXT),
            event("is_enabled", BOOLEAN),
            event("billing_frequency", TEXT),
            event("billing_frequency_cycles", BIGINT),
            event("billing_start_date", DATE),
        ),
    ),
    Entity(
        "deal_installment",
        plural="deal_installments",
        columns=(
            event("amount", NUMERIC),
            event("billing_date", DATE),
            event("description", TEXT),
            event("deal_id", BIGINT, ref="deal"),
        ),
    ),
    Entity(
        "project",
        plural="projects",
        custom_fields="project",
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
    ),
    Entity(
        "task",
        plural="tasks",
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
    ),
    Entity(
        "board",
        plural="boards",
        columns=(
            event("name", TEXT),
            event("order_nr", INTEGER),
            event("add_time", TIMESTAMP),
            event("update_time", TIMESTAMP),
        ),
    ),
    Entity(
        "phase",
        plural="phases",
        columns=(
            event("name", TEXT),
            event("board_id", BIGINT, ref="board"),
            event("order_nr", INTEGER),
            event("add_time", TIMESTAMP),
            event("update_time", TIMESTAMP),
        ),
    ),
    Entity(
        "pipeline",
        plural="pipelines",
        # v1's word for it; of a deal `active` means that it is open.
        deleted_when=_DELETED_WHEN | {"active": False},
        columns=(
            event("name", TEXT),
            event("order_nr", INTEGER),
            event("is_deleted", BOOLEAN),
            event("is_deal_probability_enabled", BOOLEAN, "deal_probability"),
            event("add_time", TIMESTAMP),
            event("update_time", TIMESTAMP),
        ),
    ),
    Entity(
        "stage",
        plural="stages",
        columns=(
            event("order_nr", INTEGER),
            event("name", TEXT),
            event("is_deleted", BOOLEAN),
            event("deal_probability", INTEGER),
            event("pipeline_id", BIGINT, ref="pipeline"),
            event("is_deal_rot_enabled", BOOLEAN, "rotten_flag"),
            event("days_to_rotten", INTEGER, "rotten_days"),
            event("add_time", TIMESTAMP),
            event("update_time", TIMESTAMP),
        ),
    ),
    Entity(
        "user",
        plural="users",
        updated="modified",
        created="created",
        deleted_when={},
        deleted_columns={},
        columns=(
            event("name", TEXT),
            event("default_currency", TEXT),
            event("locale", TEXT),
            event("lang", TEXT),
            event("email", TEXT),
            event("phone", TEXT),
            rest("activated", BOOLEAN),
            event("last_login", TIMESTAMP),
            event("created", TIMESTAMP),
            event("modified", TIMESTAMP),
            rest("has_created_company", BOOLEAN),
            event("access", JSON),
            event("active_flag", BOOLEAN),
            event("timezone_name", TEXT),
            rest("timezone_offset", TEXT),
            rest("role_id", BIGINT, ref="role"),
            event("icon_url", TEXT),
            rest("is_you", BOOLEAN),
            rest("is_deleted", BOOLEAN),
        ),
    ),
    Entity(
        "activity_type",
        plural="activity_types",
        deleted_columns={"active_flag": False},
        columns=(
            event("name", TEXT),
            event("icon_key", TEXT),
            event("color", TEXT),
            event("order_nr", INTEGER),
            event("key_string", TEXT),
            event("active_flag", BOOLEAN),
            event("is_custom_flag", BOOLEAN),
            event("add_time", TIMESTAMP),
            event("update_time", TIMESTAMP),
        ),
    ),
)

BY_NAME: Final[Mapping[str, Entity]] = MappingProxyType({entity.name: entity for entity in ENTITIES})
