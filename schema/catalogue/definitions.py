"""What fields an account's records have: names, types and options, those of its custom fields among them."""

from typing import Final

from schema.catalogue import contacts, deals, leads, products, projects
from schema.columns import BIGINT, BOOLEAN, INTEGER, JSON, TEXT, TIMESTAMP
from schema.entity import Column, Entity, event, key
from schema.listing import Get, Listing, Paging

_FIELD: Final = (
    event("field_name", TEXT),
    event("field_type", TEXT),
    event("options", JSON),
    event("subfields", JSON),
    event("is_custom_field", BOOLEAN),
    event("is_optional_response_field", BOOLEAN),
    event("ui_visibility", JSON),
)
_DESCRIPTION: Final = event("description", TEXT)
_DEMANDS: Final = (event("important_fields", JSON), event("required_fields", JSON))


def _of(of: str, path: str, scopes: tuple[str, ...], include: str, *more: Column) -> Entity:
    """The fields of an entity, as REST v2 lists them."""
    params = {"include_fields": include} if include else {}
    return Entity(
        f"{of}_field",
        plural=f"{of}_fields",
        key=key(field_code=TEXT),
        webhook=False,
        definitions=of,
        listings=(Listing(path, cost=10, params=params, scopes=scopes),),
        get=Get(path + "/{id}", 1),
        columns=(*_FIELD, *more),
    )


_DEMANDED: Final = "ui_visibility,important_fields,required_fields"
_CONTACTS: Final = (*contacts.SCOPES, "admin", "contact-fields:full")

DEAL_FIELD: Final = _of(
    "deal", "/api/v2/dealFields", (*deals.SCOPES, "admin", "deal-fields:full"), _DEMANDED, _DESCRIPTION, *_DEMANDS
)
PERSON_FIELD: Final = _of("person", "/api/v2/personFields", _CONTACTS, _DEMANDED, *_DEMANDS, _DESCRIPTION)
ORGANIZATION_FIELD: Final = _of("organization", "/api/v2/organizationFields", _CONTACTS, _DEMANDED, *_DEMANDS)
PRODUCT_FIELD: Final = _of(
    "product", "/api/v2/productFields", (*products.SCOPES, "product-fields:full"), "ui_visibility"
)
ACTIVITY_FIELD: Final = _of("activity", "/api/v2/activityFields", ("admin",), "ui_visibility", _DESCRIPTION)
# This list takes no `include_fields`: it shows them unasked.
PROJECT_FIELD: Final = _of("project", "/api/v2/projectFields", (*projects.SCOPES, "project-fields:full"), "", *_DEMANDS)

LEAD_FIELD: Final = Entity(
    "lead_field",
    plural="lead_fields",
    key=key(key=TEXT),
    webhook=False,
    definitions="lead",
    deleted_columns={"active_flag": False},
    listings=(Listing("/v1/leadFields", cost=20, paging=Paging.OFFSET, scopes=(*leads.SCOPES, "admin")),),
    columns=(
        event("id", BIGINT),
        event("name", TEXT),
        event("order_nr", INTEGER),
        event("field_type", TEXT),
        event("add_time", TIMESTAMP),
        event("update_time", TIMESTAMP),
        event("last_updated_by_user_id", BIGINT, ref="user"),
        event("created_by_user_id", BIGINT, ref="user"),
        event("active_flag", BOOLEAN),
        event("edit_flag", BOOLEAN),
        event("index_visible_flag", BOOLEAN),
        event("details_visible_flag", BOOLEAN),
        event("add_visible_flag", BOOLEAN),
        event("important_flag", BOOLEAN),
        event("bulk_edit_allowed", BOOLEAN),
        event("searchable_flag", BOOLEAN),
        event("filtering_allowed", BOOLEAN),
        event("sortable_flag", BOOLEAN),
        event("mandatory_flag", BOOLEAN),
        event("options", JSON),
        event("options_deleted", JSON),
        event("is_subfield", BOOLEAN),
        event("subfields", JSON),
    ),
)

NOTE_FIELD: Final = Entity(
    "note_field",
    plural="note_fields",
    key=key(key=TEXT),
    webhook=False,
    definitions="note",
    deleted_columns={"active_flag": False},
    listings=(Listing("/v1/noteFields", cost=20, paging=Paging.WHOLE, scopes=(*deals.SCOPES, *contacts.SCOPES)),),
    columns=(
        event("id", BIGINT),
        event("name", TEXT),
        event("field_type", TEXT),
        event("active_flag", BOOLEAN),
        event("edit_flag", BOOLEAN),
        event("bulk_edit_allowed", BOOLEAN),
        event("mandatory_flag", BOOLEAN),
        event("options", JSON),
    ),
)
