"""Field definitions as records: those of v2 by their `field_code`, those of leads and notes by their `key`."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sandbox.fields import Field
from sandbox.shape import Shape, constant
from sandbox.shelf import Record

_VISIBILITY: Final = {"add_visible_flag": True, "details_visible_flag": True}
_WANTED: Final = {"enabled": False, "stage_ids": []}


_ASKED_FOR: Final = frozenset(("ui_visibility", "important_fields", "required_fields"))


def _of_v2(*, described: bool = False, wanted: bool = False, always: bool = False) -> Shape:
    """`wanted`: says where it is important or required; `always`: not only to who asks."""
    columns = {
        **dict.fromkeys(("field_code", "field_name", "field_type", "options", "subfields"), constant(None)),
        **dict.fromkeys(("is_custom_field", "is_optional_response_field"), constant(False)),
        **({"description": constant(None)} if described else {}),
        "ui_visibility": constant(_VISIBILITY),
        **(dict.fromkeys(("important_fields", "required_fields"), constant(_WANTED)) if wanted else {}),
    }
    return Shape(
        columns=columns,
        edited=(),
        created=None,
        updated=None,
        asked_for=frozenset(() if always else columns.keys() & _ASKED_FOR),
        key=("field_code",),
        made_of="columns",
    )


_LEAD_FLAGS: Final = (
    *("active_flag", "edit_flag", "index_visible_flag", "details_visible_flag", "add_visible_flag", "important_flag"),
    *("bulk_edit_allowed", "searchable_flag", "filtering_allowed", "sortable_flag", "mandatory_flag"),
)
_NOTE_FLAGS: Final = ("active_flag", "edit_flag", "bulk_edit_allowed", "mandatory_flag")
_V1: Final = ("id", "key", "name", "field_type", "options")
_LEAD: Final = (
    *(*_V1, *_LEAD_FLAGS, "order_nr", "last_updated_by_user_id", "created_by_user_id"),
    *("options_deleted", "is_subfield", "subfields"),
)


def _of_v1(columns: tuple[str, ...], *, times: bool) -> Shape:
    return Shape(
        columns=dict.fromkeys(columns, constant(None)),
        edited=(),
        created="add_time" if times else None,
        updated="update_time" if times else None,
        key=("key",),
        made_of="columns",
    )


SHAPES: Final = {
    "deal_field": _of_v2(described=True, wanted=True),
    "person_field": _of_v2(described=True, wanted=True),
    "organization_field": _of_v2(wanted=True),
    "product_field": _of_v2(),
    "activity_field": _of_v2(described=True),
    "project_field": _of_v2(wanted=True, always=True),
    "lead_field": _of_v1(_LEAD, times=True),
    "note_field": _of_v1((*_V1, *_NOTE_FLAGS), times=False),
}

_SUBFIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "monetary": {"currency": "varchar"},
    "daterange": {"until": "date"},
    "time": {"timezone_id": "int"},
    "timerange": {"until": "time", "timezone_id": "int"},
    "address": dict.fromkeys(("street_number", "route", "locality", "country", "formatted_address"), "varchar"),
}
_TYPES: Final = (
    ("_time", "date"),
    ("_date", "date"),
    ("_count", "int"),
    ("owner_id", "user"),
    ("user_id", "user"),
    ("org_id", "org"),
    ("person_id", "people"),
    ("label_ids", "set"),
    ("value", "monetary"),
    ("status", "enum"),
)
_COLORS: Final = ("green", "blue", "red", "yellow", None)


def option(number: int, label: str, now: str) -> Record:
    """An option of a v2 definition."""
    return {"id": number, "label": label, "color": _COLORS[number % len(_COLORS)], "add_time": now, "update_time": now}


def custom(field: Field, name: str, now: str) -> Record:
    """A custom field as v2 defines it."""
    parts = _SUBFIELDS.get(field.type)
    return {
        "field_code": field.code,
        "field_name": name,
        "field_type": field.type,
        "options": [option(number, f"Option {number} ✓", now) for number in field.options] or None,
        "subfields": parts and [_part(field.code, part, kind) for part, kind in parts.items()],
        "is_custom_field": True,
        "is_optional_response_field": False,
    }


def built_in(
    columns: tuple[str, ...], labels: tuple[int, ...], asked_for: frozenset[str], now: str
) -> Iterator[Record]:
    """The fields that every account has: one per column."""
    for column in columns:
        yield {
            "field_code": column,
            "field_name": column.replace("_", " ").capitalize(),
            "field_type": _type(column),
            "options": [option(number, f"Label {number}", now) for number in labels] if column == "label_ids" else None,
            "subfields": None,
            "is_custom_field": False,
            "is_optional_response_field": column in asked_for,
        }


def as_of_leads(field: Record, number: int) -> Record:
    """A deal's custom field as `/leadFields` tells it."""
    options = field["options"] and [{"id": one["id"], "label": one["label"]} for one in field["options"]]
    return {
        **_v1(field["field_code"], field["field_name"], field["field_type"], number, _LEAD_FLAGS),
        "options": options,
    } | {
        "order_nr": number,
        "last_updated_by_user_id": 1,
        "created_by_user_id": 1,
        "options_deleted": None,
        "is_subfield": False,
        "subfields": None,
    }


def as_of_notes(column: str, number: int) -> Record:
    return {**_v1(column, column.replace("_", " ").capitalize(), _type(column), number, _NOTE_FLAGS), "options": None}


def _v1(key: str, name: str, kind: str, number: int, flags: tuple[str, ...]) -> Record:
    return {"id": number, "key": key, "name": name, "field_type": kind, **dict.fromkeys(flags, True)}


def _part(code: str, part: str, kind: str) -> dict[str, Any]:
    return {"field_code": f"{code}_{part}", "field_name": part.replace("_", " ").capitalize(), "field_type": kind}


def _type(column: str) -> str:
    return next((kind for end, kind in _TYPES if column.endswith(end)), "varchar")
