"""Leads, their labels and where they come from: REST v1, it has no other."""

from typing import Final

from schema.columns import BIGINT, BOOLEAN, DATE, JSON, SMALLINT, TEXT, TIMESTAMP, UUID, UUIDS
from schema.entity import Entity, event, key, rest
from schema.listing import Delta, Get, Listing, Paging

SCOPES: Final = ("leads:read", "leads:full")
# Their ids are no numbers that grow.
_OLDEST_FIRST: Final = {"sort": "add_time ASC"}

LEAD_LABEL: Final = Entity(
    "lead_label",
    plural="lead_labels",
    key=key(id=UUID),
    webhook=False,
    listings=(Listing("/v1/leadLabels", cost=10, paging=Paging.WHOLE, scopes=SCOPES),),
    columns=(
        event("name", TEXT),
        event("color", TEXT),
        event("add_time", TIMESTAMP),
        event("update_time", TIMESTAMP),
    ),
)

LEAD_SOURCE: Final = Entity(
    "lead_source",
    plural="lead_sources",
    key=key(name=TEXT),
    webhook=False,
    listings=(Listing("/v1/leadSources", cost=2, paging=Paging.WHOLE, scopes=SCOPES),),
    columns=(),
)

LEAD: Final = Entity(
    "lead",
    plural="leads",
    key=key(id=UUID),
    custom_fields="deal",
    flat_fields=True,
    listings=(
        Listing(
            "/v1/leads",
            cost=20,
            paging=Paging.OFFSET,
            order=_OLDEST_FIRST,
            scopes=SCOPES,
            delta=Delta(params={"sort": "update_time ASC"}),
        ),
        Listing(
            "/v1/leads/archived",
            cost=40,
            paging=Paging.OFFSET,
            order=_OLDEST_FIRST,
            scopes=SCOPES,
            says={"is_archived": True},
            delta=Delta(since=None, params={"sort": "update_time DESC"}),
        ),
    ),
    get=Get("/v1/leads/{id}", 2),
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
)
