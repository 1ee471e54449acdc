"""What a v2 event says of a record: fewer columns than REST, some under other names, custom fields with their type."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox.events import V2_DEFINITIONS
from sandbox.fields import ADDRESS_PARTS, CARRIERS
from sandbox.records import ALL
from sandbox.shelf import Record

Source = str | Callable[[Record], Any]

_UNDOCUMENTED: Final = ("deal_product", "deal_installment", "board", "phase", "project", "task")
"""Their event payload is documented nowhere; they are told in their REST v2 shape."""


def _same(*columns: str) -> dict[str, Source]:
    return {column: column for column in columns}


def _rest_shape(entity: str) -> dict[str, Source]:
    shape = ALL[entity]
    times = [column for column in (shape.created, shape.updated) if column]
    columns = (*shape.key, *shape.columns, *times, *(("custom_fields",) if entity in CARRIERS else ()))
    return _same(*(column for column in columns if column not in shape.asked_for))


def _label(record: Record) -> int | None:
    return record["label_ids"][0] if record["label_ids"] else None


def _line(column: str) -> Callable[[Record], str | None]:
    return lambda record: record[column] and record[column]["value"]


def _zoned(column: str) -> Callable[[Record], Record | None]:
    """Times travel with a zone; empty ones as an object with an empty text once the activity was saved again."""

    def told(record: Record) -> Record | None:
        if record[column] is not None:
            return {"timezone_id": None, "value": record[column]}
        saved_again = record["update_time"] != record["add_time"]
        return {"timezone_id": None, "value": ""} if saved_again else None

    return told


def _bare(column: str) -> Callable[[Record], str | None]:
    """User times come without a zone, in UTC."""
    return lambda record: record[column] and record[column].replace("T", " ").removesuffix("Z")


_VISIBLE: Final[dict[str, Source]] = {"visible_to": lambda record: str(record["visible_to"])}
_ACTIVE: Final[dict[str, Source]] = {"active_flag": lambda record: not record["is_deleted"]}
_STAMPS: Final = _same("add_time", "update_time")

KEYS: Final[Mapping[str, Mapping[str, Source]]] = {
    "deal": {
        **_same("add_time", "channel", "channel_id", "close_time", "creator_user_id", "currency", "custom_fields"),
        **_same("expected_close_date", "first_won_time", "id", "label_ids", "lost_reason", "lost_time", "org_id"),
        **_same("origin", "origin_id", "owner_id", "person_id", "pipeline_id", "probability", "stage_change_time"),
        **_same("stage_id", "status", "title", "update_time", "value", "won_time", "is_archived", "archive_time"),
        **_VISIBLE,
    },
    "lead": {
        **_same("add_time", "channel", "channel_id", "creator_id", "custom_fields", "expected_close_date", "id"),
        **_same("is_archived", "label_ids", "next_activity_id", "organization_id", "origin", "origin_id", "owner_id"),
        **_same("person_id", "source_name", "title", "update_time", "was_seen", "value"),
    },
    "person": {
        **_same("custom_fields", "emails", "first_name", "id", "last_name", "name", "org_id", "owner_id", "phones"),
        "label": _label,
        **_VISIBLE,
        **_STAMPS,
    },
    "organization": {
        **_same("custom_fields", "id", "name", "owner_id"),
        **_same("website", "linkedin", "industry", "annual_revenue", "employee_count"),
        "address": _line("address"),
        "country_code": lambda record: "EE" if record["address"] else None,
        "picture_id": lambda _record: None,
        "label": _label,
        **_VISIBLE,
        **_STAMPS,
    },
    "activity": {
        **_same("deal_id", "done", "due_date", "id", "lead_id", "org_id", "owner_id", "person_id"),
        **_same("public_description", "subject", "type"),
        "busy_flag": "busy",
        "due_time": _zoned("due_time"),
        "duration": _zoned("duration"),
        "location": _line("location"),
        "update_user_id": lambda _record: None,
        "custom_fields": lambda _record: {},
        **_ACTIVE,
        **_STAMPS,
    },
    "note": {
        **_same("id", "user_id", "deal_id", "person_id", "org_id", "lead_id", "project_id", "active_flag", "content"),
        **_same("pinned_to_deal_flag", "pinned_to_person_flag", "pinned_to_organization_flag"),
        **_STAMPS,
    },
    "product": {
        **_same("category", "code", "custom_fields", "description", "id", "name", "owner_id", "tax", "unit", "prices"),
        "selectable": "is_linkable",
        **_VISIBLE,
        **_STAMPS,
    },
    "pipeline": {
        **_same("id", "name", "order_nr"),
        "url_title": lambda record: record["name"].replace(" ", "-"),
        "deal_probability": "is_deal_probability_enabled",
        **_ACTIVE,
        **_STAMPS,
    },
    "stage": {
        **_same("id", "name", "order_nr", "deal_probability", "pipeline_id"),
        "rotten_days": "days_to_rotten",
        "rotten_flag": "is_deal_rot_enabled",
        **_ACTIVE,
        **_STAMPS,
    },
    "user": {
        **_same("default_currency", "name", "email", "phone", "locale", "active_flag", "timezone_name", "icon_url"),
        "id": lambda record: str(record["id"]),
        "lang": lambda record: "en-US" if record["lang"] == 1 else "en-GB",
        "access": lambda _record: None,
        **{column: _bare(column) for column in ("created", "modified", "last_login")},
    },
    **{entity: _rest_shape(entity) for entity in (*_UNDOCUMENTED, *V2_DEFINITIONS)},
}


def data(entity: str, record: Record, types: Mapping[str, str]) -> Record:
    """The `data` of an event. `types` maps a custom field's hash to its type."""
    told = {key: record[source] if isinstance(source, str) else source(record) for key, source in KEYS[entity].items()}
    if told.get("custom_fields"):
        told["custom_fields"] = {code: typed(types[code], value) for code, value in told["custom_fields"].items()}
    return told


def last_state(entity: str, told: Record) -> Record:
    """The `previous` of a delete: two entities are documented to differ from their last `data`."""
    if entity == "note":
        return {**told, "active_flag": False}
    if entity == "activity":
        return {key: value for key, value in told.items() if key != "update_user_id"}
    return told


def typed(kind: str, value: Any) -> Record | None:
    """A canonical custom-field value in the wrapper that only v2 events have."""
    return None if value is None else {"type": kind, **_WRAPPED.get(kind, _plain)(value)}


def _plain(value: Any) -> Record:
    return {"value": value}


def _id(value: Any) -> Record:
    return {"id": value}


def _from_until(value: Any) -> Record:
    zone = {"timezone_id": value["timezone_id"]} if "timezone_id" in value else {}
    return {"from": value["value"], "until": value["until"], **zone}


_WRAPPED: Final[Mapping[str, Callable[[Any], Record]]] = {
    **dict.fromkeys(("enum", "user", "org", "people"), _id),
    **dict.fromkeys(("daterange", "timerange"), _from_until),
    "set": lambda value: {"values": [{"id": option} for option in value]},
    "monetary": lambda value: {"value": value["value"], "currency": value["currency"]},
    "time": lambda value: {"value": value["value"], "timezone_id": value["timezone_id"]},
    "address": lambda value: {"value": value["value"], **{part: value[part] or "" for part in ADDRESS_PARTS}},
}
