"""What an entity is: the words in which `schema.catalogue` declares each of them.

Columns are grouped by who carries them:

    event(...)  every source: webhooks v2, webhooks v1, REST
    v1(...)     webhooks v1 and REST
    rest(...)   REST only

Further names behind the type are what events call the column. `ref` is the entity the id points to. Of an entity that
sends no webhooks, REST is every source there is. How the REST API lists it is said in the words of `schema.listing`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Protocol

from schema.columns import BIGINT, TEXT, Type
from schema.listing import NOTHING, Get, Listing

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


Key = tuple[tuple[str, Type], ...]
"""The columns that tell one record of an entity from another."""

HOUR: Final = 3600
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY


class Row(Protocol):
    """A row by the names of its columns."""

    def __getitem__(self, name: str, /) -> Any: ...


def key(**parts: Type) -> Key:
    return tuple(parts.items())


_IS_DELETED: Final = MappingProxyType({"is_deleted": True})
DELETED_WHEN: Final = MappingProxyType({"is_deleted": True, "deleted": True, "active_flag": False, "status": "deleted"})


@dataclass(frozen=True, slots=True, eq=False)
class Entity:
    """One kind of record.

    name             in the singular, as Pipedrive calls it; events may write it in camelCase
    plural           its table
    key              its primary key
    webhook          whether events tell of it
    custom_fields    the entity whose custom field definitions it uses; None if it has no custom fields
    updated, created the columns that say when Pipedrive changed and made the record
    deleted_when     keys and values of a body that mean "this record is deleted", whatever the action says
    deleted_columns  columns that only repeat whether the record is deleted, and their value when it is
    listings         where the REST API lists it
    get              where it shows one of them
    cadence          seconds from one reading of a whole list to the next, where a list tells no changes
    flat_fields      whether REST spreads its custom fields over the record's own keys and leaves out the empty ones
    log              whether its records are entries without a key: their `id` is a digest of what they say
    definitions      of whose fields its records are the definitions
    left_out         keys of a body that are not kept -> why
    """

    name: str
    plural: str
    columns: tuple[Column, ...]
    key: Key = (("id", BIGINT),)
    webhook: bool = True
    custom_fields: str | None = None
    updated: str = "update_time"
    created: str = "add_time"
    deleted_when: Mapping[str, Any] = field(default_factory=lambda: DELETED_WHEN)
    deleted_columns: Mapping[str, bool] = field(default_factory=lambda: _IS_DELETED)
    listings: tuple[Listing, ...] = ()
    get: Get | None = None
    cadence: int = DAY
    flat_fields: bool = False
    log: bool = False
    definitions: str | None = None
    left_out: Mapping[str, str] = field(default_factory=lambda: NOTHING)

    @property
    def key_names(self) -> tuple[str, ...]:
        return _key_names(self)

    @property
    def id_type(self) -> Type:
        """Of the key, or of its text where it has several parts: so ids stand in columns of other tables."""
        return self.key[0][1] if len(self.key) == 1 else TEXT

    def id_of(self, row: Row) -> Any:
        """The key of a table's row: a value, or a tuple where the key has several parts."""
        names = _key_names(self)
        return row[names[0]] if len(names) == 1 else tuple(row[name] for name in names)

    def key_cells(self, record_id: Any) -> dict[str, Any]:
        """Column of the key -> its value."""
        return dict(zip(_key_names(self), (record_id,) if len(self.key) == 1 else record_id, strict=True))

    def column(self, name: str) -> Column:
        return _by_name(self)[name]

    def group(self, name: str) -> tuple[str, ...]:
        """The columns of a group, the two system columns that say whether the record exists among the first."""
        return _by_group(self)[name]

    def has(self, name: str) -> bool:
        return name in _by_name(self)


def id_text(record_id: Any) -> str:
    """A key as journal and history write it."""
    return ":".join(map(str, record_id)) if isinstance(record_id, tuple) else str(record_id)


@cache
def _key_names(entity: Entity) -> tuple[str, ...]:
    return tuple(name for name, _ in entity.key)


@cache
def _by_name(entity: Entity) -> dict[str, Column]:
    return {column.name: column for column in entity.columns}


@cache
def _by_group(entity: Entity) -> dict[str, tuple[str, ...]]:
    own = {group: tuple(column.name for column in entity.columns if column.group == group) for group in GROUPS}
    return own | {EVENT: (DELETED_AT, MERGED_INTO, *own[EVENT])}
