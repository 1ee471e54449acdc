"""What is written down about deals, leads and contacts: notes with their comments, and files."""

from typing import Final

from schema.catalogue import activities, contacts, deals
from schema.columns import BIGINT, BOOLEAN, JSON, TEXT, TIMESTAMP, UUID
from schema.entity import WEEK, Entity, event, key, rest
from schema.listing import Delta, Get, Listing, Paging, Parent

_SCOPES: Final = (*deals.SCOPES, *contacts.SCOPES)

NOTE: Final = Entity(
    "note",
    plural="notes",
    deleted_columns={"active_flag": False},
    listings=(
        Listing(
            "/v1/notes",
            cost=20,
            paging=Paging.OFFSET,
            order={"sort": "id ASC"},
            scopes=_SCOPES,
            delta=Delta(params={"sort": "update_time ASC"}),
        ),
    ),
    get=Get("/v1/notes/{id}", 2),
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
)

NOTE_COMMENT: Final = Entity(
    "note_comment",
    plural="note_comments",
    key=key(uuid=UUID),
    webhook=False,
    deleted_columns={"active_flag": False},
    listings=(
        Listing(
            "/v1/notes/{parent}/comments",
            cost=20,
            paging=Paging.OFFSET,
            scopes=_SCOPES,
            parent=Parent("note", column="object_id"),
            opt_in=True,
        ),
    ),
    cadence=WEEK,
    columns=(
        event("active_flag", BOOLEAN),
        event("add_time", TIMESTAMP),
        event("update_time", TIMESTAMP),
        event("content", TEXT),
        event("object_id", TEXT, ref="note"),
        event("object_type", TEXT),
        event("user_id", BIGINT, ref="user"),
        event("updater_id", BIGINT, ref="user"),
        event("company_id", BIGINT),
    ),
)

FILE: Final = Entity(
    "file",
    plural="files",
    webhook=False,
    deleted_columns={"active_flag": False},
    listings=(
        Listing(
            "/v1/files",
            cost=20,
            paging=Paging.OFFSET,
            limit=100,
            order={"sort": "id ASC"},
            scopes=(*deals.SCOPES, *activities.SCOPES, *contacts.SCOPES),
            delta=Delta(since=None, params={"sort": "update_time DESC"}),
        ),
    ),
    get=Get("/v1/files/{id}", 2),
    columns=(
        event("user_id", BIGINT, ref="user"),
        event("deal_id", BIGINT, ref="deal"),
        event("person_id", BIGINT, ref="person"),
        event("org_id", BIGINT, ref="organization"),
        event("product_id", BIGINT, ref="product"),
        event("activity_id", BIGINT, ref="activity"),
        event("lead_id", UUID, ref="lead"),
        event("project_id", BIGINT, ref="project"),
        event("add_time", TIMESTAMP),
        event("update_time", TIMESTAMP),
        event("file_name", TEXT),
        event("file_size", BIGINT),
        event("active_flag", BOOLEAN),
        event("inline_flag", BOOLEAN),
        event("remote_location", TEXT),
        event("remote_id", TEXT),
        event("cid", TEXT),
        event("s3_bucket", TEXT),
        event("mail_message_id", TEXT, ref="mail_message"),
        event("mail_template_id", TEXT),
        event("deal_name", TEXT),
        event("person_name", TEXT),
        event("org_name", TEXT),
        event("product_name", TEXT),
        event("lead_name", TEXT),
        event("project_name", TEXT),
        event("url", TEXT),
        event("name", TEXT),
        event("description", TEXT),
        event("log_id", JSON),
        event("file_type", TEXT),
    ),
)
