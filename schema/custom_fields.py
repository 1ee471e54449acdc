"""Custom fields: every source's form of a value, read into the one canonical JSON shape.

    varchar, varchar_auto, text, phone   string
    double                               number
    monetary                             {value, currency}
    enum, user, org, people              id
    set                                  ids, sorted
    date                                 "YYYY-MM-DD"
    daterange                            {value, until}
    time                                 {value, timezone_id, timezone_name}
    timerange                            {value, until, timezone_id, timezone_name}
    address                              {value, street_number, route, ... formatted_address}

Webhooks v2 wrap each value with its type, and so teach the types. Webhooks v1 send flat values beside the standard
fields, with sub-keys (`<hash>_currency`), and no type: unless the sub-keys or what was learnt tell it, the value is
kept as received and named untyped. A value that does not have the form of its type is kept as received, too: it is
stored in jsonb, so nothing is lost. An empty string, a zero date and an empty set mean "not set" and become null.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from schema.columns import ADDRESS_PARTS

HASH_LENGTH: Final = 40
HASH: Final = re.compile(r"[0-9a-f]{40}", re.ASCII)
_FLAT: Final = re.compile(r"([0-9a-f]{40})(?:_(\w+))?", re.ASCII)

_TEXTS: Final = frozenset({"varchar", "varchar_auto", "text", "phone"})
_IDS: Final = frozenset({"enum", "user", "org", "people"})
TYPES: Final = _TEXTS | _IDS | {"double", "monetary", "set", "date", "daterange", "time", "timerange", "address"}

CANONICAL_PARTS: Final = frozenset({"", "currency", "until", "timezone_id", "timezone_name", *ADDRESS_PARTS})
"""Sub-keys of a v1 value that the canonical shapes have a place for; "" is the value itself."""

Types = Mapping[str, str]
"""Field hash -> type, as learnt so far for one entity of one company."""


def read_typed(value: Any) -> tuple[str | None, Any]:
    """(type, canonical value) of a v2 webhook's value; the type is None where none is given."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return None, value
    kind, parts = value["type"], {key: part for key, part in value.items() if key != "type"}
    if kind not in TYPES and len(parts) == 1:
        # A type of tomorrow: REST would write its one part bare.
        return kind, next(iter(parts.values()))
    return kind, canonical(kind, parts)


def is_flat(key: str) -> bool:
    """Whether a key of a v1 object is a custom field or a part of one."""
    return len(key) >= HASH_LENGTH and _FLAT.fullmatch(key) is not None


def split_flat(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The custom fields of a v1 object: {hash: {"": value, "currency": ..., "until": ...}}."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in data.items():
        match = _FLAT.fullmatch(key)
        if match is not None:
            found.setdefault(match[1], {})[match[2] or ""] = value
    return found


def read_flat(parts: Mapping[str, Any], kind: str | None) -> tuple[str | None, Any]:
    """(type, canonical value) of a v1 value with its sub-keys; the type is None where nothing tells it."""
    kind = kind or _guess(parts)
    if kind is None:
        return None, _blank(parts.get(""))
    named = {name or "value": part for name, part in parts.items()}
    return kind, canonical(kind, named if len(named) > 1 else parts.get(""))


def canonical(kind: str, value: Any) -> Any:
    """The canonical shape of `value`, given bare (REST, v1) or as the parts of a wrapper (webhooks v2)."""
    try:
        return _shape(kind, value)
    except (TypeError, ValueError, KeyError):
        return value


def _shape(kind: str, value: Any) -> Any:
    if value is None or value == "" or kind not in TYPES:
        return _blank(value)
    simple = _SIMPLE.get(kind)
    return simple(value) if simple else _compound(kind, value if isinstance(value, dict) else {"value": value})


def _compound(kind: str, parts: Mapping[str, Any]) -> dict[str, Any] | None:
    # Webhooks v2 call the start of a range `from`, REST calls it `value`.
    value = _blank(parts.get("value", parts.get("from")))
    if kind == "address":
        shaped: dict[str, Any] = {part: _blank(parts.get(part)) for part in ADDRESS_PARTS}
    elif kind == "monetary":
        shaped = {"value": None if value is None else _number(value), "currency": _blank(parts.get("currency"))}
    elif kind == "daterange":
        shaped = {"value": _day(value), "until": _day(parts.get("until"))}
    else:
        until = {"until": _blank(parts.get("until"))} if kind == "timerange" else {}
        zone = {"timezone_id": _id(parts.get("timezone_id")), "timezone_name": _blank(parts.get("timezone_name"))}
        shaped = {"value": value, **until, **zone}
    set_parts = {name for name, part in shaped.items() if part is not None}
    # A currency or a zone alone is no value: v1 sends them beside an empty field.
    return shaped if set_parts - {"currency", "timezone_id", "timezone_name"} else None


def _guess(parts: Mapping[str, Any]) -> str | None:
    if "currency" in parts:
        return "monetary"
    if "formatted_address" in parts:
        return "address"
    if "timezone_id" in parts:
        return "timerange" if "until" in parts else "time"
    return "daterange" if "until" in parts else None


def _bare(value: Any) -> Any:
    return value["value"] if isinstance(value, dict) else value


def _blank(value: Any) -> Any:
    return None if value == "" else value


def _day(value: Any) -> Any:
    return None if value in (None, "") or str(value).startswith("0000-00-00") else value


def _number(value: Any) -> Any:
    if value in (None, "") or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return _blank(value)
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("JSON holds no such number")
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _id(value: Any) -> int | None:
    if isinstance(value, dict):
        value = value["id"] if "id" in value else value["value"]
    if value is None or value == "":
        return None
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError("no id")
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError("no id, and no number that JSON can be written with")
    return number


def _set(value: Any) -> list[int] | None:
    items = value["values"] if isinstance(value, dict) else value
    items = items.split(",") if isinstance(items, str) else items
    ids = sorted(found for found in map(_id, items if isinstance(items, list) else [items]) if found is not None)
    return ids or None


_SIMPLE: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(_TEXTS, lambda value: _blank(_bare(value))),
    **dict.fromkeys(_IDS, _id),
    "double": lambda value: _number(_bare(value)),
    "set": _set,
    "date": lambda value: _day(_bare(value)),
}
"""Readers of the types that are one value; the others are objects of several parts."""
