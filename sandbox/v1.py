"""What a v1 event says of a record: the whole REST v1 object, custom fields flat beside the other columns."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox.events import Account, Event
from sandbox.fields import ADDRESS_PARTS
from sandbox.shelf import Record

Names = Mapping[str, str | None]

_RENAMED: Final[Mapping[str, Mapping[str, str]]] = {
    "deal": {"owner_id": "user_id", "is_deleted": "deleted", "label_ids": "label"},
    "person": {"emails": "email", "phones": "phone"},
    "activity": {"owner_id": "user_id", "creator_user_id": "created_by_user_id", "busy": "busy_flag"},
    "product": {"is_linkable": "selectable"},
    "pipeline": {"is_deal_probability_enabled": "deal_probability"},
    "stage": {"days_to_rotten": "rotten_days", "is_deal_rot_enabled": "rotten_flag"},
}
"""REST v2 column -> v1 key; what is not named here is called the same."""

_FLAGGED: Final = frozenset(("is_deleted",))
_LEFT_OUT: Final[Mapping[str, frozenset[str]]] = {
    "deal": frozenset(("source_lead_id",)),
    "person": _FLAGGED,
    "organization": _FLAGGED | {"website", "linkedin", "industry", "annual_revenue", "employee_count"},
    "activity": _FLAGGED | {"priority"},
    "product": _FLAGGED,
    "pipeline": _FLAGGED,
    "stage": _FLAGGED,
}
"""v1 has no such key; `is_deleted` is told as its opposite, `active_flag` (`active` of a pipeline)."""
_NEXT_ACTIVITY: Final = ("next_activity_date", "next_activity_time", "last_activity_date")
_UNUSED: Final[Mapping[str, tuple[str, ...]]] = {
    "deal": (
        *_NEXT_ACTIVITY,
        *("next_activity_subject", "next_activity_type", "next_activity_duration", "next_activity_note", "rotten_time"),
        *("last_activity", "next_activity"),
    ),
    "person": (*_NEXT_ACTIVITY, "delete_time"),
    "organization": (*_NEXT_ACTIVITY, "delete_time", "category_id"),
    "activity": (
        *("calendar_sync_include_context", "is_recurring", "last_notification_time", "last_notification_user_id"),
        *("lead", "lead_title", "notification_language_id", "original_start_time", "project_title", "rec_rule"),
        *(
            "rec_rule_extension",
            "rec_master_activity_id",
            "reference_id",
            "reference_type",
            "series",
            "source_timezone",
        ),
    ),
    "product": ("files_count",),
}
"""Keys of v1 that REST v2 has no column for, told as null: features that this company does not use."""

_TIMES: Final = frozenset(("created", "modified", "last_login"))
_CLOCKS: Final = frozenset(("due_time", "duration"))
_EMPTY_AS_TEXT: Final = frozenset(("due_time", "duration", "marked_as_done_time"))


def full(account: Account, event: Event, record: Record) -> Record:
    """`current` or `previous` of an event, without the array that wraps users."""
    entity = event.entity
    renamed, left_out = _RENAMED.get(entity, {}), _LEFT_OUT.get(entity, frozenset())
    told: Record = {"id": record["id"]}
    for column, value in record.items():
        if column not in left_out and column != "custom_fields":
            told[renamed.get(column, column)] = _value(column, value)
    told |= dict.fromkeys(_UNUSED.get(entity, ()))
    told |= _EXTRAS.get(entity, _nothing)(record, event.names)
    if entity in {"person", "organization", "activity"}:
        told["company_id"] = account.company_id
    for code, value in record.get("custom_fields", {}).items():
        told |= flat(code, account.field_types[code], value)
    return told


def _value(column: str, value: Any) -> Any:
    if column in _CLOCKS:
        return value[:5] if value else ""
    if column.endswith("_time") or column in _TIMES:
        return bare(value) or ("" if column in _EMPTY_AS_TEXT else None)
    return str(value) if column == "visible_to" else value


def bare(time: str | None) -> str | None:
    """Times are in UTC and come without a zone."""
    return time and time[:19].replace("T", " ")


def _nothing(_record: Record, _names: Names) -> Record:
    return {}


def _deal(record: Record, names: Names) -> Record:
    return {
        # Unlike v2, v1 was recorded with an update time on an added deal.
        "update_time": bare(record["update_time"] or record["add_time"]),
        "label": ",".join(map(str, record["label_ids"])) or None,
        "active": record["status"] == "open" and not record["is_deleted"],
        "cc_email": f"company+deal{record['id']}@pipedrivemail.example",
        "formatted_value": f"{record['currency']} {record['value']:,}",
        "weighted_value": record["value"],
        "weighted_value_currency": record["currency"],
        "formatted_weighted_value": f"{record['currency']} {record['value']:,}",
        "renewal_type": "one_time",
        **dict.fromkeys(("org_hidden", "person_hidden"), False),
        **{key: names.get(key) for key in ("owner_name", "person_name", "org_name")},
    }


def _person(record: Record, names: Names) -> Record:
    email = next((email["value"] for email in record["emails"] if email["primary"]), None)
    told = {"active_flag": not record["is_deleted"], "first_char": record["name"][:1].lower(), "primary_email": email}
    return {**told, **_label(record), **{key: names.get(key) for key in ("owner_name", "org_name")}}


def _label(record: Record) -> Record:
    return {"label": record["label_ids"][0] if record["label_ids"] else None}


def _parts(column: str, record: Record) -> Record:
    """An address as one line, and its parts under keys of their own."""
    address = record[column] or {}
    return {column: address.get("value"), **{f"{column}_{part}": address.get(part) for part in ADDRESS_PARTS}}


def _organization(record: Record, names: Names) -> Record:
    told = {"active_flag": not record["is_deleted"], "first_char": record["name"][:1].lower(), **_label(record)}
    country = "EE" if record["address"] else None
    told |= {"country_code": country, "picture_id": None, "owner_name": names.get("owner_name")}
    return told | _parts("address", record)


def _activity(record: Record, names: Names) -> Record:
    participants = [{"person_id": one["person_id"], "primary_flag": one["primary"]} for one in record["participants"]]
    return {
        "active_flag": not record["is_deleted"],
        "assigned_to_user_id": record["owner_id"],
        "update_user_id": None,
        "type_name": record["type"].capitalize(),
        "participants": participants,
        **_parts("location", record),
        **{key: names.get(key) for key in ("owner_name", "person_name", "org_name", "deal_title")},
    }


def _product(record: Record, _names: Names) -> Record:
    prices = [
        {"id": number, "product_id": record["id"], "overhead_cost": price["direct_cost"]}
        | {key: price[key] for key in ("price", "currency", "cost")}
        for number, price in enumerate(record["prices"], 1)
    ]
    return {"active_flag": not record["is_deleted"], "first_char": record["name"][:1].lower(), "prices": prices}


def _note(_record: Record, names: Names) -> Record:
    told = {"deal": ("deal_title", "title"), "person": ("person_name", "name"), "organization": ("org_name", "name")}
    linked = {key: names.get(name) and {title: names[name]} for key, (name, title) in told.items()}
    return {**linked, "user": {"name": names.get("owner_name"), "email": None, "icon_url": None, "is_you": False}}


def _pipeline(record: Record, _names: Names) -> Record:
    return {"active": not record["is_deleted"], "url_title": record["name"].replace(" ", "-"), "selected": False}


_EXTRAS: Final[Mapping[str, Callable[[Record, Names], Record]]] = {
    "deal": _deal,
    "person": _person,
    "organization": _organization,
    "activity": _activity,
    "product": _product,
    "note": _note,
    "pipeline": _pipeline,
    "stage": lambda record, _names: {"active_flag": not record["is_deleted"]},
}


def flat(code: str, kind: str, value: Any) -> Record:
    """A canonical custom-field value as v1 spreads it: the hash, and the hash with suffixes."""
    parts = value if isinstance(value, dict) else {}
    match kind:
        case "enum":
            return {code: None if value is None else str(value)}
        case "set":
            return {code: value and ",".join(map(str, value))}
        case "monetary":
            suffixes = {"_currency": "currency"}
        case "daterange":
            suffixes = {"_until": "until"}
        case "time":
            suffixes = {"_timezone_id": "timezone_id"}
        case "timerange":
            suffixes = {"_until": "until", "_timezone_id": "timezone_id"}
        case "address":
            suffixes = {f"_{part}": part for part in ADDRESS_PARTS}
        case _:
            return {code: value}
    return {code: parts.get("value"), **{code + suffix: parts.get(part) for suffix, part in suffixes.items()}}
