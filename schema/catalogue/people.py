"""Who works with the account, and what each of them may."""

from typing import Final

from schema.columns import BIGINT, BIGINTS, BOOLEAN, INTEGER, JSON, TEXT, TIMESTAMP
from schema.entity import Entity, event, key, rest
from schema.listing import Get, Listing, Paging, Parent

SCOPES: Final = ("users:read",)
_ADMIN: Final = ("admin",)

USER: Final = Entity(
    "user",
    plural="users",
    updated="modified",
    created="created",
    # Who left stays a user.
    deleted_when={},
    deleted_columns={},
    listings=(Listing("/v1/users", cost=20, paging=Paging.WHOLE, scopes=SCOPES),),
    get=Get("/v1/users/{id}", 2),
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
)

USER_FOLLOWER: Final = Entity(
    "user_follower",
    plural="user_followers",
    key=key(followed_user_id=BIGINT, user_id=BIGINT),
    webhook=False,
    listings=(
        Listing(
            "/api/v2/users/{parent}/followers",
            cost=10,
            scopes=SCOPES,
            parent=Parent("user", column="followed_user_id"),
        ),
    ),
    columns=(event("add_time", TIMESTAMP),),
)

USER_PERMISSION: Final = Entity(
    "user_permission",
    plural="user_permissions",
    key=key(user_id=BIGINT),
    webhook=False,
    listings=(
        Listing(
            "/v1/users/{parent}/permissions",
            cost=10,
            paging=Paging.WHOLE,
            scopes=SCOPES,
            parent=Parent("user", column="user_id"),
        ),
    ),
    columns=(
        event("can_add_custom_fields", BOOLEAN),
        event("can_add_products", BOOLEAN),
        event("can_add_prospects_as_leads", BOOLEAN),
        event("can_bulk_edit_items", BOOLEAN),
        event("can_change_visibility_of_items", BOOLEAN),
        event("can_convert_deals_to_leads", BOOLEAN),
        event("can_create_own_workflow", BOOLEAN),
        event("can_delete_activities", BOOLEAN),
        event("can_delete_custom_fields", BOOLEAN),
        event("can_delete_deals", BOOLEAN),
        event("can_edit_custom_fields", BOOLEAN),
        event("can_edit_deals_closed_date", BOOLEAN),
        event("can_edit_products", BOOLEAN),
        event("can_edit_shared_filters", BOOLEAN),
        event("can_export_data_from_lists", BOOLEAN),
        event("can_follow_other_users", BOOLEAN),
        event("can_merge_deals", BOOLEAN),
        event("can_merge_organizations", BOOLEAN),
        event("can_merge_people", BOOLEAN),
        event("can_modify_labels", BOOLEAN),
        event("can_see_company_wide_statistics", BOOLEAN),
        event("can_see_deals_list_summary", BOOLEAN),
        event("can_see_hidden_items_names", BOOLEAN),
        event("can_see_other_users", BOOLEAN),
        event("can_see_other_users_statistics", BOOLEAN),
        event("can_see_security_dashboard", BOOLEAN),
        event("can_share_filters", BOOLEAN),
        event("can_share_insights", BOOLEAN),
        event("can_use_api", BOOLEAN),
        event("can_use_email_tracking", BOOLEAN),
        event("can_use_import", BOOLEAN),
    ),
)

ROLE: Final = Entity(
    "role",
    plural="roles",
    webhook=False,
    # An inactive role is still listed, and others may name it as their parent.
    deleted_when={},
    listings=(Listing("/v1/roles", cost=20, paging=Paging.OFFSET, scopes=_ADMIN),),
    get=Get("/v1/roles/{id}", 2),
    columns=(
        event("parent_role_id", BIGINT, ref="role"),
        event("name", TEXT),
        event("active_flag", BOOLEAN),
        event("assignment_count", INTEGER),
        event("sub_role_count", INTEGER),
        event("level", INTEGER),
    ),
)

ROLE_ASSIGNMENT: Final = Entity(
    "role_assignment",
    plural="role_assignments",
    key=key(role_id=BIGINT, user_id=BIGINT),
    webhook=False,
    # Its `active_flag` is that of the role.
    deleted_when={},
    listings=(
        Listing(
            "/v1/roles/{parent}/assignments",
            cost=10,
            paging=Paging.OFFSET,
            scopes=_ADMIN,
            parent=Parent("role", column="role_id"),
        ),
    ),
    columns=(
        event("parent_role_id", BIGINT, ref="role"),
        event("name", TEXT),
        event("active_flag", BOOLEAN),
        event("type", TEXT),
    ),
)

PERMISSION_SET: Final = Entity(
    "permission_set",
    plural="permission_sets",
    key=key(id=TEXT),
    webhook=False,
    listings=(Listing("/v1/permissionSets", cost=20, paging=Paging.WHOLE, scopes=_ADMIN),),
    get=Get("/v1/permissionSets/{id}", 2),
    columns=(
        event("name", TEXT),
        event("description", TEXT),
        event("app", TEXT),
        event("type", TEXT),
        event("assignment_count", INTEGER),
    ),
)

PERMISSION_SET_ASSIGNMENT: Final = Entity(
    "permission_set_assignment",
    plural="permission_set_assignments",
    key=key(permission_set_id=TEXT, user_id=BIGINT),
    webhook=False,
    listings=(
        Listing(
            "/v1/permissionSets/{parent}/assignments",
            cost=20,
            paging=Paging.OFFSET,
            scopes=_ADMIN,
            parent=Parent("permission_set", column="permission_set_id"),
        ),
    ),
    columns=(event("name", TEXT),),
)

TEAM: Final = Entity(
    "team",
    plural="teams",
    webhook=False,
    deleted_when={"deleted_flag": True},
    deleted_columns={"deleted_flag": True},
    listings=(Listing("/v1/legacyTeams", cost=20, paging=Paging.WHOLE, scopes=SCOPES),),
    get=Get("/v1/legacyTeams/{id}", 2),
    columns=(
        event("name", TEXT),
        event("description", TEXT),
        event("manager_id", BIGINT, ref="user"),
        event("users", BIGINTS, ref="user"),
        event("active_flag", BOOLEAN),
        event("deleted_flag", BOOLEAN),
        event("add_time", TIMESTAMP),
        event("created_by_user_id", BIGINT, ref="user"),
    ),
)
