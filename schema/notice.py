"""A webhook body of either version, read into one shape. Nothing here knows an entity's columns.

v1 and v2 are told apart by the body itself: v2 has `data` and `meta.version` "2...", v1 has `v` 1 and `current`.
"""

import re
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from schema.columns import parse_time
from schema.errors import BadValue, NotAnEvent, UnknownAction, UnknownVersion, UnreadableJson

CREATE: Final = "create"
CHANGE: Final = "change"
DELETE: Final = "delete"
MERGE: Final = "merge"
ACTIONS: Final = {
    "create": CREATE, "added": CREATE, "change": CHANGE, "updated": CHANGE,
    "delete": DELETE, "deleted": DELETE, "merge": MERGE, "merged": MERGE,
}  # fmt: skip
"""v2 and v1 names of the same thing. `merge` is v1's: the record absorbed another one."""

MAX_INFLATED: Final = 64 * 1024 * 1024
_GZIP: Final = b"\x1f\x8b"
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Notice:
    """What Pipedrive tells, under one set of names.

    objects     the new state: one object, or several (v1 user events); empty when there is none
    previous    the object before, or the part of it that changed; v1 merges: the absorbed record
    merged_to   of a deleted record: the id it lives on under
    merged_from of a surviving record: the id it absorbed
    """

    version: int
    action: str
    entity: str
    id: Any
    event_id: Any
    company_id: Any
    user_id: Any
    time: datetime | None
    raw_time: Any
    objects: tuple[dict[str, Any], ...]
    previous: dict[str, Any] | None
    merged_to: Any = None
    merged_from: Any = None


def parse(body: bytes) -> dict[str, Any]:
    """The body as an object."""
    body = _inflated(body)
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnreadableJson(f"{error.msg} (at byte {error.pos} of {len(body)})" if body else "empty body") from None
    if not isinstance(parsed, dict):
        raise NotAnEvent(f"the body is a JSON {type(parsed).__name__}, an event is an object")
    return parsed


def refuse_nul(body: bytes, parsed: dict[str, Any]) -> None:
    """Raise BadValue, naming the place: Postgres can hold no NUL character in text or jsonb."""
    # Only an escape can make one; where there is none in the bytes, nobody need look at every string.
    suspicious = b"\\u0000" in body or body.startswith(_GZIP)
    if suspicious and (place := _nul(parsed, "")):
        raise BadValue(f"`{place.lstrip('.')}` holds a NUL character, which Postgres cannot store")


def read(body: dict[str, Any]) -> Notice:
    meta = body.get("meta")
    if not isinstance(meta, dict):
        raise NotAnEvent("the body has no `meta` object")
    version = _version(body, meta)
    action = meta.get("action")
    known = ACTIONS.get(action) if isinstance(action, str) else None
    if known is None:
        raise UnknownAction(f"`meta.action` is {_named(action)}")
    return (_read_v2 if version == 2 else _read_v1)(body, meta, known)  # noqa: PLR2004


def subject(body: dict[str, Any]) -> dict[str, str | None]:
    """What a dead letter can say of a body that is otherwise not understood: entity, entity_id, action."""
    meta = body.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    entity = meta.get("entity", meta.get("object"))
    found = {"entity": entity, "entity_id": meta.get("entity_id", meta.get("id")), "action": meta.get("action")}
    return {
        name: str(value)[:100].replace("\x00", "") for name, value in found.items() if isinstance(value, (str, int))
    }


def _inflated(body: bytes) -> bytes:
    """The receiver keeps a body as it came; no JSON begins like gzip."""
    if not body.startswith(_GZIP):
        return body
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        inflated = inflater.decompress(body, MAX_INFLATED)
    except zlib.error as error:
        raise UnreadableJson(f"damaged gzip body: {error}") from None
    if inflater.unconsumed_tail:
        raise UnreadableJson(f"the gzip body inflates to more than {MAX_INFLATED} bytes")
    return inflated


def _version(body: dict[str, Any], meta: dict[str, Any]) -> int:
    told = meta.get("version", meta.get("v", body.get("v")))
    if told is None:
        told = "2" if "data" in body else "1" if "current" in body else None
    major = str(told).partition(".")[0]
    if major not in {"1", "2"}:
        raise UnknownVersion(f"the webhook version is {_named(told)}, known are 1.0 and 2.0")
    return int(major)


def _read_v2(body: dict[str, Any], meta: dict[str, Any], action: str) -> Notice:
    data = body.get("data")
    return Notice(
        version=2,
        action=action,
        entity=_entity(meta.get("entity")),
        id=meta.get("entity_id"),
        event_id=meta.get("id"),
        company_id=meta.get("company_id"),
        user_id=meta.get("user_id"),
        time=_time(meta.get("timestamp")),
        raw_time=meta.get("timestamp"),
        objects=_objects(data),
        previous=_one(body.get("previous")),
        merged_to=meta.get("merged_to_id"),
        merged_from=meta.get("merged_from_id"),
    )


def _read_v1(body: dict[str, Any], meta: dict[str, Any], action: str) -> Notice:
    current, previous = _objects(body.get("current")), _one(body.get("previous"))
    merged_from = None
    if action == MERGE:
        merged_from = (current[0] if current else {}).get("merge_what_id") or (previous or {}).get("id")
    return Notice(
        version=1,
        action=action,
        entity=_entity(meta.get("object")),
        id=meta.get("id"),
        event_id=None,
        company_id=meta.get("company_id"),
        user_id=meta.get("user_id"),
        time=_time(meta.get("timestamp_micro")) or _time(meta.get("timestamp")),
        raw_time=meta.get("timestamp_micro", meta.get("timestamp")),
        objects=current,
        previous=previous,
        merged_from=merged_from,
    )


def _entity(name: Any) -> str:
    """The catalogue's spelling: v1 says `activityType`, the newer v2 entities are documented as `deal_product`."""
    if not isinstance(name, str) or not name:
        raise NotAnEvent(f"the event's entity is {_named(name)}")
    return (name if name.islower() else _CAMEL.sub("_", name).lower())[:100]


def _objects(value: Any) -> tuple[dict[str, Any], ...]:
    if isinstance(value, dict):
        return (value,)
    items = value if isinstance(value, list) else [value]
    return tuple(item for item in items if isinstance(item, dict))


def _one(value: Any) -> dict[str, Any] | None:
    objects = _objects(value)
    return objects[0] if objects else None


def _time(value: Any) -> datetime | None:
    try:
        return None if value is None else parse_time(value)
    except (ValueError, OverflowError):
        return None


def _named(value: Any) -> str:
    return f"`{value[:40]}`" if isinstance(value, str) else "missing" if value is None else f"a {type(value).__name__}"


def _nul(value: Any, place: str) -> str | None:
    """The path of the first string with a NUL character in it, keys included."""
    if isinstance(value, str):
        return (place or "body") if "\x00" in value else None
    if isinstance(value, dict):
        for key, item in value.items():
            found = f"{place}.(a key)" if "\x00" in key else _nul(item, f"{place}.{key}")
            if found:
                return found
    if isinstance(value, list):
        return next((found for n, item in enumerate(value) if (found := _nul(item, f"{place}[{n}]"))), None)
    return None
