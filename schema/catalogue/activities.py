"""What is done about deals, leads and contacts: activities of every type, and calls."""

from typing import Final

from schema.columns import (
    ADDRESS,
    BIGINT,
    BOOLEAN,
    DATE,
    DURATION,
    INTEGER,
    JSON,
    TEXT,
    TIME_OF_DAY,
    TIMESTAMP,
    UUID,
    renamed_items,
)
from schema.entity import Entity, event, key, rest, v1
from schema.listing import BY_ID, Delta, Get, Listing, Paging

PARTICIPANTS: Final = renamed_items({"primary_flag": "primary"})

SCOPES: Final = ("activities:read", "activities:full")

ACTIVITY_TYPE: Final = Entity(
    "activity_type",
    plural="activity_types",
    deleted_columns={"active_flag": False},
    listings=(Listing("/v1/activityTypes", cost=20, paging=Paging.WHOLE, scopes=(*SCOPES, "admin")),),
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
)

ACTIVITY: Final = Entity(
    "activity",
    plural="activities",
    custom_fields="activity",
    listings=(
        Listing(
            "/api/v2/activities",
            cost=10,
            params={"include_fields": "attendees"},
            order=BY_ID,
            scopes=SCOPES,
            delta=Delta(until="updated_until"),
            ids=100,
        ),
    ),
    get=Get("/api/v2/activities/{id}", 1),
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
)

CALL_LOG: Final = Entity(
    "call_log",
    plural="call_logs",
    key=key(id=TEXT),
    webhook=False,
    created="start_time",
    listings=(
        Listing(
            "/v1/callLogs",
            cost=20,
            paging=Paging.OFFSET,
            limit=50,
            scopes=("phone-integration",),
            mine="user_id",
        ),
    ),
    get=Get("/v1/callLogs/{id}", 2),
    columns=(
        event("user_id", BIGINT, ref="user"),
        event("activity_id", BIGINT, ref="activity"),
        event("subject", TEXT),
        event("duration", INTEGER),
        event("outcome", TEXT),
        event("from_phone_number", TEXT),
        event("to_phone_number", TEXT),
        event("start_time", TIMESTAMP),
        event("end_time", TIMESTAMP),
        event("person_id", BIGINT, ref="person"),
        event("org_id", BIGINT, ref="organization"),
        event("deal_id", BIGINT, ref="deal"),
        event("lead_id", UUID, ref="lead"),
        event("note", TEXT),
        event("has_recording", BOOLEAN),
        event("company_id", BIGINT),
    ),
)
