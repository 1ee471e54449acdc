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
from functools import lru_cache
from typing import Any, Final

from schema.columns import ADDRESS_PARTS

HASH_LENGTH: Final = 40
_HASH: Final = re.compile(r"[0-9a-f]{40}", re.ASCII)
_FLAT: Final = re.compile(r"([0-9a-f]{40})(?:_(\w+))?", re.ASCII)

_TEXTS: Final = frozenset({"varchar", "varchar_auto", "text", "phone"})
_IDS: Final = frozenset({"enum", "user", "org", "people"})

_LINE: Final = frozenset({"value"})
_ADDRESS: Final = frozenset(ADDRESS_PARTS)

CANONICAL_PARTS: Final = frozenset({"", "currency", "until", "timezone_id", "timezone_name", *ADDRESS_PARTS})
"""Sub-keys of a v1 value that the canonical shapes have a place for; "" is the value itself."""

Types = Mapping[str, str]
"""Field hash -> type, as learnt so far for one entity of one company."""


def read_typed(value: Any) -> tuple[str | None, Any]:
    """(type, canonical value) of a v2 webhook's value; the type is None where none is given."""
    if not isinstance(value, dict) or not isinstance(kind := value.get("type"), str):
        return None, value
    shape = _SHAPES.get(kind)
    try:
        if shape is not None:
            return kind, shape(value)
    except (TypeError, ValueError, KeyError):
        pass
    parts = {key: part for key, part in value.items() if key != "type"}
    # A type of tomorrow: REST would write its one part bare.
    return kind, next(iter(parts.values())) if shape is None and len(parts) == 1 else parts


@lru_cache(4096)
def is_hash(text: str) -> bool:
    """Whether these HASH_LENGTH characters name a custom field. The same few are asked for over and over."""
    return _HASH.fullmatch(text) is not None


def is_custom(cell: str) -> bool:
    """Whether a cell is a custom field."""
    return len(cell) == HASH_LENGTH and is_hash(cell)


def is_flat(key: str) -> bool:
    """Whether a key of a v1 object is a custom field or a part of one."""
    return len(key) >= HASH_LENGTH and _FLAT.fullmatch(key) is not None


def split_flat(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The custom fields of a v1 object: {hash: {"": value, "currency": ..., "until": ...}}."""
    found: dict[str, dict[str, Any]] = {}
    if max(map(len, data), default=0) < HASH_LENGTH:
        return found
    for key in data:
        match = _FLAT.fullmatch(key)
        if match is not None:
            found.setdefault(match[1], {})[match[2] or ""] = data[key]
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


def fuller(value: Any, known: Any) -> Any:
    """`value` with what `known` tells beyond it, where both say the same: the name of a time zone, parts of an address.

    REST alone tells a zone's name, and events v2 write an address as one line. What leaves them out means the same.
    """
    if not (isinstance(value, dict) and isinstance(known, dict)):
        return value
    if value.keys() == _LINE:
        return known if known.keys() <= _ADDRESS and known.get("value") == value["value"] else value
    if value.get("timezone_name", known) is not None:
        return value
    name, zone = known.get("timezone_name"), value.get("timezone_id")
    same = name is not None and zone is not None and zone == known.get("timezone_id")
    return {**value, "timezone_name": name} if same else value


def _shape(kind: str, value: Any) -> Any:
    shape = _SHAPES.get(kind)
    return _blank(value) if shape is None or value is None or value == "" else shape(value)


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
    """Of two texts for one number, 10 and 10.0, the table has the first."""
    if value in (None, "") or (isinstance(value, int) and not isinstance(value, bool)):
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


def _text(value: Any) -> Any:
    return _blank(_bare(value))


def _double(value: Any) -> Any:
    return _number(_bare(value))


def _date(value: Any) -> Any:
    return _day(_bare(value))


def _address(value: Any) -> dict[str, Any] | None:
    get = _parts(value).get
    shaped = {part: None if (told := get(part)) == "" else told for part in ADDRESS_PARTS}
    return None if list(shaped.values()).count(None) == len(shaped) else shaped


def _monetary(value: Any) -> dict[str, Any] | None:
    parts = _parts(value)
    amount = _number(_start(parts))
    # v1 sends a currency, or a zone, beside an empty field: alone it is no value.
    return None if amount is None else {"value": amount, "currency": _blank(parts.get("currency"))}


def _daterange(value: Any) -> dict[str, Any] | None:
    parts = _parts(value)
    start, until = _day(_start(parts)), _day(parts.get("until"))
    return None if start is None and until is None else {"value": start, "until": until}


def _time(value: Any) -> dict[str, Any] | None:
    parts = _parts(value)
    start, zone = _start(parts), _zone(parts)
    return None if start is None else {"value": start, **zone}


def _timerange(value: Any) -> dict[str, Any] | None:
    parts = _parts(value)
    start, until, zone = _start(parts), _blank(parts.get("until")), _zone(parts)
    return None if start is None and until is None else {"value": start, "until": until, **zone}


def _parts(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {"value": value}


def _start(parts: Mapping[str, Any]) -> Any:
    """Webhooks v2 call the start of a range `from`, REST calls it `value`."""
    return _blank(parts.get("value", parts.get("from")))


def _zone(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {"timezone_id": _id(parts.get("timezone_id")), "timezone_name": _blank(parts.get("timezone_name"))}


_SHAPES: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(_TEXTS, _text),
    **dict.fromkeys(_IDS, _id),
    "double": _double,
    "monetary": _monetary,
    "set": _set,
    "date": _date,
    "daterange": _daterange,
    "time": _time,
    "timerange": _timerange,
    "address": _address,
}
"""Reads a value of each type, given bare or as the wrapper it came in; raises TypeError, ValueError or KeyError."""

TYPES: Final = frozenset(_SHAPES)
