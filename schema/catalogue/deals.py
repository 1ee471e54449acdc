"""Deals, and what hangs on each: products, installments, discounts, participants and followers."""

from typing import Final

from schema.catalogue.followers import followers_of
from schema.columns import BIGINT, BIGINTS, BOOLEAN, DATE, INTEGER, JSON, NUMERIC, SMALLINT, TEXT, TIMESTAMP, UUID
from schema.entity import WEEK, Entity, event, key, rest, v1
from schema.listing import BY_ID, Delta, Get, Listing, Paging, Parent

SCOPES: Final = ("deals:read", "deals:full")
_EVERY: Final = {
    "status": "open,won,lost,deleted",
    "include_fields": "next_activity_id,last_activity_id,first_won_time,products_count,files_count,notes_count,"
    "followers_count,email_messages_count,activities_count,done_activities_count,undone_activities_count,"
    "participants_count,last_incoming_mail_time,last_outgoing_mail_time,smart_bcc_email,source_lead_id",
}
_DELTA: Final = Delta(until="updated_until")

DEAL: Final = Entity(
    "deal",
    plural="deals",
    custom_fields="deal",
    listings=(
        Listing("/api/v2/deals", cost=10, params=_EVERY, order=BY_ID, scopes=SCOPES, delta=_DELTA, ids=100),
        Listing(
            "/api/v2/deals/archived",
            cost=20,
            params=_EVERY,
            order=BY_ID,
            scopes=SCOPES,
            says={"is_archived": True},
            delta=_DELTA,
            ids=100,
        ),
    ),
    get=Get("/api/v2/deals/{id}", 1),
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
)

DEAL_PRODUCT: Final = Entity(
    "deal_product",
    plural="deal_products",
    listings=(
        Listing(
            "/api/v2/deals/products",
            cost=10,
            order=BY_ID,
            scopes=("products:read", "products:full", *SCOPES),
            parent=Parent("deal", param="deal_ids", batch=100, column="deal_id", counter="products_count"),
        ),
    ),
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
)

DEAL_INSTALLMENT: Final = Entity(
    "deal_installment",
    plural="deal_installments",
    listings=(
        Listing(
            "/api/v2/deals/installments",
            cost=10,
            order=BY_ID,
            scopes=SCOPES,
            # Only a deal that has a product can have installments.
            parent=Parent("deal", param="deal_ids", batch=100, column="deal_id", counter="products_count"),
        ),
    ),
    columns=(
        event("amount", NUMERIC),
        event("billing_date", DATE),
        event("description", TEXT),
        event("deal_id", BIGINT, ref="deal"),
    ),
)

DEAL_DISCOUNT: Final = Entity(
    "deal_discount",
    plural="deal_discounts",
    key=key(id=TEXT),
    webhook=False,
    updated="updated_at",
    created="created_at",
    listings=(
        Listing(
            "/api/v2/deals/{parent}/discounts",
            cost=10,
            paging=Paging.WHOLE,
            scopes=SCOPES,
            parent=Parent("deal", column="deal_id"),
            opt_in=True,
        ),
    ),
    cadence=WEEK,
    columns=(
        event("type", TEXT),
        event("amount", NUMERIC),
        event("description", TEXT),
        event("deal_id", BIGINT, ref="deal"),
        event("created_at", TIMESTAMP),
        event("created_by", BIGINT, ref="user"),
        event("updated_at", TIMESTAMP),
        event("updated_by", BIGINT, ref="user"),
    ),
)

DEAL_PARTICIPANT: Final = Entity(
    "deal_participant",
    plural="deal_participants",
    webhook=False,
    deleted_columns={"active_flag": False},
    left_out={"person": "a copy of the whole person as it was then; `persons` has it"},
    listings=(
        Listing(
            "/v1/deals/{parent}/participants",
            cost=10,
            paging=Paging.OFFSET,
            scopes=SCOPES,
            parent=Parent("deal", column="deal_id", counter="participants_count"),
            opt_in=True,
        ),
    ),
    cadence=WEEK,
    columns=(
        event("deal_id", BIGINT, ref="deal"),
        event("person_id", BIGINT, ref="person"),
        event("add_time", TIMESTAMP),
        event("active_flag", BOOLEAN),
        event("related_item_data", JSON),
        event("added_by_user_id", BIGINT, ref="user"),
        event("related_item_type", TEXT),
        event("related_item_id", BIGINT),
    ),
)

DEAL_FOLLOWER: Final = followers_of("deal", SCOPES)
