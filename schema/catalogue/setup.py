"""How the account is set up, from pipelines to goals; and what the token's own user has set."""

from typing import Final

from schema.catalogue import activities, contacts, deals
from schema.columns import BIGINT, BOOLEAN, INTEGER, JSON, NUMERIC, SMALLINT, TEXT, TEXTS, TIMESTAMP
from schema.entity import DELETED_WHEN, Entity, event, key
from schema.listing import BY_ID, Get, Listing, Paging, Parent

_BASE: Final = ("base",)
_PIPELINES: Final = (*deals.SCOPES, "admin")

PIPELINE: Final = Entity(
    "pipeline",
    plural="pipelines",
    # v1's word for it; of a deal `active` means that it is open.
    deleted_when=DELETED_WHEN | {"active": False},
    # `updated_since` is answered by 400 here.
    listings=(Listing("/api/v2/pipelines", cost=5, order=BY_ID, scopes=_PIPELINES),),
    get=Get("/api/v2/pipelines/{id}", 1),
    columns=(
        event("name", TEXT),
        event("order_nr", INTEGER),
        event("is_deleted", BOOLEAN),
        event("is_deal_probability_enabled", BOOLEAN, "deal_probability"),
        event("add_time", TIMESTAMP),
        event("update_time", TIMESTAMP),
    ),
)

STAGE: Final = Entity(
    "stage",
    plural="stages",
    listings=(Listing("/api/v2/stages", cost=5, order=BY_ID, scopes=_PIPELINES),),
    get=Get("/api/v2/stages/{id}", 1),
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
)

CURRENCY: Final = Entity(
    "currency",
    plural="currencies",
    webhook=False,
    # One that is not offered any more is still that of old deals.
    deleted_when={},
    listings=(Listing("/v1/currencies", cost=20, paging=Paging.WHOLE, scopes=_BASE),),
    columns=(
        event("code", TEXT),
        event("name", TEXT),
        event("decimal_points", INTEGER),
        event("symbol", TEXT),
        event("active_flag", BOOLEAN),
        event("is_custom_flag", BOOLEAN),
    ),
)

_FILTERS: Final = (*deals.SCOPES, *activities.SCOPES, *contacts.SCOPES)

FILTER: Final = Entity(
    "filter",
    plural="filters",
    webhook=False,
    deleted_columns={"active_flag": False},
    listings=(
        Listing("/v1/filters", cost=20, paging=Paging.WHOLE, scopes=_FILTERS),
        # The conditions of a filter are shown one filter at a time.
        Listing(
            "/v1/filters/{parent}",
            cost=2,
            paging=Paging.WHOLE,
            params={"include_field_code": "true"},
            scopes=_FILTERS,
            parent=Parent("filter"),
            opt_in=True,
        ),
    ),
    get=Get("/v1/filters/{id}", 2),
    columns=(
        event("name", TEXT),
        event("filter_code", TEXT),
        event("is_editable", BOOLEAN),
        event("active_flag", BOOLEAN),
        event("type", TEXT),
        event("temporary_flag", BOOLEAN),
        event("user_id", BIGINT, ref="user"),
        event("add_time", TIMESTAMP),
        event("update_time", TIMESTAMP),
        event("visible_to", SMALLINT),
        event("last_used_time", TIMESTAMP),
        event("custom_view_id", BIGINT),
        event("conditions", JSON),
    ),
)

_GOALS: Final = tuple(
    # Without a tracking metric only the token's own user's goals are told, and each has one of the two.
    Listing(
        "/v1/goals/find",
        cost=20,
        paging=Paging.WHOLE,
        rows=("data", "goals"),
        params={"is_active": is_active, "expected_outcome.tracking_metric": metric},
        scopes=("goals:read", "goals:full"),
        name=f"{metric} {'active' if is_active == 'true' else 'past'}",
    )
    for is_active in ("true", "false")
    for metric in ("quantity", "sum")
)

GOAL: Final = Entity(
    "goal",
    plural="goals",
    key=key(id=TEXT),
    webhook=False,
    listings=_GOALS,
    columns=(
        event("owner_id", BIGINT, ref="user"),
        event("title", TEXT),
        event("type", JSON),
        event("assignee", JSON),
        event("interval", TEXT),
        event("duration", JSON),
        event("expected_outcome", JSON),
        event("is_active", BOOLEAN),
        event("report_ids", TEXTS),
    ),
)

WEBHOOK: Final = Entity(
    "webhook",
    plural="webhooks",
    webhook=False,
    left_out={"http_auth_password": "a secret: who reads the tables must not learn it"},
    listings=(Listing("/v1/webhooks", cost=10, paging=Paging.WHOLE, scopes=("admin",)),),
    columns=(
        event("company_id", BIGINT),
        event("owner_id", BIGINT, ref="user"),
        event("user_id", BIGINT, ref="user"),
        event("event_action", TEXT),
        event("event_object", TEXT),
        event("subscription_url", TEXT),
        event("version", TEXT),
        event("is_active", BOOLEAN),
        event("add_time", TIMESTAMP),
        event("remove_time", TIMESTAMP),
        event("type", TEXT),
        event("http_auth_user", TEXT),
        event("remove_reason", TEXT),
        event("last_delivery_time", TIMESTAMP),
        event("last_http_status", BIGINT),
        event("admin_id", BIGINT, ref="user"),
        event("name", TEXT),
    ),
)

BILLING_ADDON: Final = Entity(
    "billing_addon",
    plural="billing_addons",
    key=key(code=TEXT),
    webhook=False,
    listings=(Listing("/v1/billing/subscriptions/addons", cost=20, paging=Paging.WHOLE, scopes=("users:read",)),),
    columns=(),
)

USER_SETTING: Final = Entity(
    "user_setting",
    plural="user_settings",
    key=key(user_id=BIGINT),
    webhook=False,
    listings=(Listing("/v1/userSettings", cost=2, paging=Paging.WHOLE, scopes=_BASE, mine="user_id"),),
    columns=(
        event("marketplace_team", BOOLEAN),
        event("list_limit", NUMERIC),
        event("beta_app", BOOLEAN),
        event("prevent_salesphone_callto_override", BOOLEAN),
        event("file_upload_destination", TEXT),
        event("callto_link_syntax", TEXT),
        event("autofill_deal_expected_close_date", BOOLEAN),
        event("person_duplicate_condition", TEXT),
    ),
)

USER_CONNECTION: Final = Entity(
    "user_connection",
    plural="user_connections",
    key=key(user_id=BIGINT, provider=TEXT),
    webhook=False,
    left_out={"google": "no column: each provider is a row of its own, with its name in `provider`"},
    listings=(
        Listing(
            "/v1/userConnections",
            cost=20,
            paging=Paging.WHOLE,
            scopes=_BASE,
            spread=("provider", "third_party_id"),
            mine="user_id",
        ),
    ),
    columns=(event("third_party_id", TEXT),),
)
