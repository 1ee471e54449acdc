"""Who may do what: roles, permission sets, teams, and who belongs to them."""

from typing import Final

from sandbox.draw import Draw
from sandbox.shape import Shape, between, constant, one_of, rarely, ref
from sandbox.shelf import Record

_PERMISSIONS: Final = (
    *("can_add_custom_fields", "can_add_products", "can_add_prospects_as_leads", "can_bulk_edit_items"),
    *("can_change_visibility_of_items", "can_convert_deals_to_leads", "can_create_own_workflow"),
    *("can_delete_activities", "can_delete_custom_fields", "can_delete_deals", "can_edit_custom_fields"),
    *("can_edit_deals_closed_date", "can_edit_products", "can_edit_shared_filters", "can_export_data_from_lists"),
    *("can_follow_other_users", "can_merge_deals", "can_merge_organizations", "can_merge_people"),
    *("can_modify_labels", "can_see_company_wide_statistics", "can_see_deals_list_summary"),
    *("can_see_hidden_items_names", "can_see_other_users", "can_see_other_users_statistics"),
    *("can_see_security_dashboard", "can_share_filters", "can_share_insights", "can_use_api"),
    *("can_use_email_tracking", "can_use_import"),
)

ROLE: Final = Shape(
    columns={
        "parent_role_id": rarely(ref("role")),
        "name": lambda draw: f"{draw.one_of(('Admins', 'Außendienst', '営業'))} {draw.number(1, 99)}",
        "active_flag": constant(True),
        "assignment_count": between(0, 9),
        "sub_role_count": between(0, 3),
        "level": between(1, 5),
    },
    edited=("name", "active_flag", "assignment_count"),
    created=None,
    updated=None,
)


def _named_after_role(draw: Draw, record: Record) -> Record:
    name, parent = (draw.column("role", record["role_id"], column) for column in ("name", "parent_role_id"))
    return {**record, "name": name, "parent_role_id": parent}


ROLE_ASSIGNMENT: Final = Shape(
    columns={
        "role_id": ref("role"),
        "user_id": ref("user"),
        "parent_role_id": constant(None),
        "name": constant(None),
        "active_flag": constant(True),
        "type": one_of("0", "1"),
    },
    edited=("type",),
    complete=_named_after_role,
    created=None,
    updated=None,
    key=("role_id", "user_id"),
    made_of="columns",
)

PERMISSION_SET: Final = Shape(
    columns={
        "name": lambda draw: f"{draw.one_of(('Deals admin', 'Global regular user'))} {draw.number(1, 99)}",
        "description": Draw.sentence,
        "app": one_of("sales", "projects", "campaigns", "global", "account_settings"),
        "type": one_of("admin", "regular", "custom"),
        "assignment_count": between(0, 9),
    },
    edited=("name", "description", "assignment_count"),
    created=None,
    updated=None,
    made_of="uuid",
)


def _named_after_set(draw: Draw, record: Record) -> Record:
    return {**record, "name": draw.column("permission_set", record["permission_set_id"], "name")}


PERMISSION_SET_ASSIGNMENT: Final = Shape(
    columns={"permission_set_id": ref("permission_set"), "user_id": ref("user"), "name": constant(None)},
    edited=(),
    complete=_named_after_set,
    created=None,
    updated=None,
    key=("permission_set_id", "user_id"),
    made_of="columns",
)

TEAM: Final = Shape(
    columns={
        "name": lambda draw: f"{draw.one_of(('Closers', 'Kaffee ☕'))} {draw.number(1, 99)}",
        "description": Draw.sentence,
        "manager_id": ref("user"),
        "users": lambda draw: draw.refs("user", 4),
        "active_flag": constant(True),
        "deleted_flag": constant(False),
        "created_by_user_id": ref("user"),
    },
    edited=("name", "description", "users", "active_flag"),
    updated=None,
)

USER_PERMISSION: Final = Shape(
    columns={"user_id": ref("user"), **dict.fromkeys(_PERMISSIONS, one_of(True, False))},
    edited=_PERMISSIONS,
    created=None,
    updated=None,
    key=("user_id",),
    made_of="columns",
)

SHAPES: Final = {
    "role": ROLE,
    "role_assignment": ROLE_ASSIGNMENT,
    "permission_set": PERMISSION_SET,
    "permission_set_assignment": PERMISSION_SET_ASSIGNMENT,
    "team": TEAM,
    "user_permission": USER_PERMISSION,
}
