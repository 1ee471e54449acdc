"""Persons and organizations, and what connects them."""

from typing import Final

from schema.catalogue.followers import followers_of
from schema.columns import ADDRESS, BIGINT, BIGINTS, BOOLEAN, INTEGER, JSON, NUMERIC, SMALLINT, TEXT, TIMESTAMP
from schema.entity import WEEK, Entity, event, rest, v1
from schema.listing import BY_ID, Delta, Get, Listing, Paging, Parent

SCOPES: Final = ("contacts:read", "contacts:full")
_DELTA: Final = Delta(until="updated_until")

ORGANIZATION: Final = Entity(
    "organization",
    plural="organizations",
    custom_fields="organization",
    listings=(
        Listing(
            "/api/v2/organizations",
            cost=10,
            params={
                "include_fields": "next_activity_id,last_activity_id,open_deals_count,related_open_deals_count,"
                "closed_deals_count,related_closed_deals_count,email_messages_count,people_count,activities_count,"
                "done_activities_count,undone_activities_count,files_count,notes_count,followers_count,"
                "won_deals_count,related_won_deals_count,lost_deals_count,related_lost_deals_count,smart_bcc_email"
            },
            order=BY_ID,
            scopes=SCOPES,
            delta=_DELTA,
            ids=100,
        ),
    ),
    get=Get("/api/v2/organizations/{id}", 1),
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
)

PERSON: Final = Entity(
    "person",
    plural="persons",
    custom_fields="person",
    listings=(
        Listing(
            "/api/v2/persons",
            cost=10,
            params={
                "include_fields": "next_activity_id,last_activity_id,open_deals_count,related_open_deals_count,"
                "closed_deals_count,related_closed_deals_count,participant_open_deals_count,"
                "participant_closed_deals_count,email_messages_count,activities_count,done_activities_count,"
                "undone_activities_count,files_count,notes_count,followers_count,won_deals_count,"
                "related_won_deals_count,lost_deals_count,related_lost_deals_count,last_incoming_mail_time,"
                "last_outgoing_mail_time,marketing_status,doi_status,smart_bcc_email"
            },
            order=BY_ID,
            scopes=SCOPES,
            delta=_DELTA,
            ids=100,
        ),
    ),
    get=Get("/api/v2/persons/{id}", 1),
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
)

PERSON_PICTURE: Final = Entity(
    "person_picture",
    plural="person_pictures",
    webhook=False,
    deleted_columns={"active_flag": False},
    listings=(
        Listing(
            "/api/v2/persons/{parent}/picture",
            cost=1,
            paging=Paging.WHOLE,
            scopes=SCOPES,
            parent=Parent("person", column="item_id", counter="picture_id"),
            opt_in=True,
        ),
    ),
    cadence=WEEK,
    columns=(
        event("item_type", TEXT),
        event("item_id", BIGINT, ref="person"),
        event("added_by_user_id", BIGINT, ref="user"),
        event("active_flag", BOOLEAN),
        event("file_size", BIGINT),
        event("pictures", JSON),
    ),
)

PERSON_FOLLOWER: Final = followers_of("person", SCOPES)

ORGANIZATION_FOLLOWER: Final = followers_of("organization", SCOPES)

ORGANIZATION_RELATIONSHIP: Final = Entity(
    "organization_relationship",
    plural="organization_relationships",
    webhook=False,
    # A text, here alone.
    deleted_when={"active_flag": "false"},
    deleted_columns={"active_flag": False},
    left_out=dict.fromkeys(
        ("calculated_type", "calculated_related_org_id", "related_organization_name"),
        "told from the side of the organization that was asked about, so the same relationship reads differently "
        "from the other side; `type`, `rel_owner_org_id` and `rel_linked_org_id` say the same once",
    ),
    listings=(
        Listing(
            "/v1/organizationRelationships",
            cost=20,
            paging=Paging.WHOLE,
            scopes=SCOPES,
            parent=Parent("organization", param="org_id"),
            opt_in=True,
        ),
    ),
    get=Get("/v1/organizationRelationships/{id}", 2),
    cadence=WEEK,
    columns=(
        event("type", TEXT),
        event("rel_owner_org_id", BIGINT, ref="organization"),
        event("rel_linked_org_id", BIGINT, ref="organization"),
        event("add_time", TIMESTAMP),
        event("update_time", TIMESTAMP),
        event("active_flag", BOOLEAN),
    ),
)
