"""Which columns events tell, in the names of the REST API: what a mirror fed by events alone can know.

A column is left out where both sides tell it in shapes that cannot be turned into each other without loss.
"""

from collections.abc import Collection, Mapping
from typing import Final

from sandbox import v2
from sandbox.events import V1_ENTITIES, Version
from sandbox.records import SHAPES

V2_LOSSY: Final[Mapping[str, frozenset[str]]] = {
    "organization": frozenset(("address",)),  # its line only
    "activity": frozenset(("location",)),  # its line only
    "user": frozenset(("lang", "access")),  # a locale instead of an id; always null
}
"""Told by v2 events, but in a shape that cannot be turned into that of the lists."""

_V2_RENAMED: Final[Mapping[str, Mapping[str, str]]] = {
    "person": {"label": "label_ids"},
    "organization": {"label": "label_ids"},
    "activity": {"busy_flag": "busy", "active_flag": "is_deleted"},
    "product": {"selectable": "is_linkable"},
    "pipeline": {"active_flag": "is_deleted", "deal_probability": "is_deal_probability_enabled"},
    "stage": {"active_flag": "is_deleted", "rotten_days": "days_to_rotten", "rotten_flag": "is_deal_rot_enabled"},
}
_V1_LOSSY: Final[Mapping[str, frozenset[str]]] = {
    # What counts others, or names one of them, moves without an event.
    "deal": frozenset(("source_lead_id", "products_count", "participants_count", "followers_count")),
    "person": frozenset(("followers_count", "picture_id")),
    "organization": frozenset(
        ("website", "linkedin", "industry", "annual_revenue", "employee_count", "followers_count")
    ),
    "activity": frozenset(("priority",)),
    "product": frozenset(("prices",)),  # without notes, with an overhead cost
    "user": frozenset(("lang",)),  # an id here, a locale's code in v2
}


def carried(entity: str, versions: Collection[Version]) -> frozenset[str]:
    """Columns told whichever of these versions an event comes in; empty where none of them tells of the entity."""
    telling = [_told_by_v2(entity) if version == "v2" else _told_by_v1(entity) for version in versions]
    telling = [columns for columns in telling if columns]
    if not telling:
        return frozenset()
    # v1 tells custom fields without their types: a reader needs v2, or the definitions, to understand them.
    custom = {"custom_fields"} if "v2" in versions and "custom_fields" in _told_by_v2(entity) else set()
    return frozenset.intersection(*telling) | custom


def _columns(entity: str) -> frozenset[str]:
    shape = SHAPES[entity]
    return frozenset({"id", *shape.columns, *filter(None, (shape.created, shape.updated))})


def _told_by_v1(entity: str) -> frozenset[str]:
    return _columns(entity) - _V1_LOSSY.get(entity, frozenset()) if entity in V1_ENTITIES else frozenset()


def _told_by_v2(entity: str) -> frozenset[str]:
    names, keys = _V2_RENAMED.get(entity, {}), v2.KEYS.get(entity, {})
    known = _columns(entity) | ({"custom_fields"} if entity != "activity" else set())
    return frozenset(names.get(key, key) for key in keys) & known - V2_LOSSY.get(entity, frozenset())
