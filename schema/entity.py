"""What an entity is: the words in which `schema.entities` declares each of them.

Columns are grouped by who carries them:

    event(...)  every source: webhooks v2, webhooks v1, REST
    v1(...)     webhooks v1 and REST
    rest(...)   REST only

Further names behind the type are what events call the column. `ref` is the entity the id points to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from schema.columns import BIGINT, Type

EVENT: Final = "event"
V1: Final = "v1"
REST: Final = "rest"
GROUPS: Final = (EVENT, V1, REST)

DELETED_AT: Final = "_deleted_at"
MERGED_INTO: Final = "_merged_into"


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: Type
    group: str
    aliases: tuple[str, ...] = ()
    ref: str | None = None


def event(name: str, type_: Type, *aliases: str, ref: str | None = None) -> Column:
    return Column(name, type_, EVENT, aliases, ref)


def v1(name: str, type_: Type, *aliases: str, ref: str | None = None) -> Column:
    return Column(name, type_, V1, aliases, ref)


def rest(name: str, type_: Type, *aliases: str, ref: str | None = None) -> Column:
    return Column(name, type_, REST, aliases, ref)


_IS_DELETED: Final = MappingProxyType({"is_deleted": True})
DELETED_WHEN: Final = MappingProxyType({"is_deleted": True, "deleted": True, "active_flag": False, "status": "deleted"})


@dataclass(frozen=True, slots=True, eq=False)
class Entity:
    """One kind of record.

    name             in the singular, as in the catalogue; events may write it in camelCase
    plural           its table
    custom_fields    the entity whose custom field definitions it uses; None if it has no custom fields
    updated, created the columns that say when Pipedrive changed and made the record
    deleted_when     keys and values of a body that mean "this record is deleted", whatever the action says
    deleted_columns  columns that only repeat whether the record is deleted, and their value when it is
    """

    name: str
    plural: str
    columns: tuple[Column, ...]
    id_type: Type = BIGINT
    custom_fields: str | None = None
    updated: str = "update_time"
    created: str = "add_time"
    deleted_when: Mapping[str, Any] = field(default_factory=lambda: DELETED_WHEN)
    deleted_columns: Mapping[str, bool] = field(default_factory=lambda: _IS_DELETED)

    def column(self, name: str) -> Column:
        return _by_name(self)[name]

    def group(self, name: str) -> tuple[str, ...]:
        """The columns of a group, the two system columns that say whether the record exists among the first."""
        return _by_group(self)[name]

    def has(self, name: str) -> bool:
        return name in _by_name(self)


@cache
def _by_name(entity: Entity) -> dict[str, Column]:
    return {column.name: column for column in entity.columns}


@cache
def _by_group(entity: Entity) -> dict[str, tuple[str, ...]]:
    own = {group: tuple(column.name for column in entity.columns if column.group == group) for group in GROUPS}
    return own | {EVENT: (DELETED_AT, MERGED_INTO, *own[EVENT])}
