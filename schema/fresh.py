"""Rows of the REST API straight as rows of tables, for records that have none yet.

The same as folding a row's change into an empty record and storing that, at a fifth of the cost: rows that name the
same keys, as those of one list do, are read by one plan. A whole account is loaded this way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

from schema import dml
from schema.change import Cells
from schema.custom_fields import is_custom, is_flat
from schema.entity import Entity
from schema.reading import Reading, existence, flat_addresses, handled_apart, read_set_fields, says_deleted, targets
from schema.record import FLOOR, Record, fold
from schema.rest import Answer, Row, change_of, version_of
from schema.row import VERSION_COLUMNS, row, version_columns
from schema.version import Version

_PLANS: Final = 4_096
_ANY: Final = Version("")

Values = tuple[Any, ...]
"""A row of a table, in the order of `dml.copied`."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How rows that name the same keys are read.

    values    of a row of which every column is null
    told      of the keys that columns hold, their values
    columns   of each of these: its place among the values, how it is read
    times     places of the times that order the row
    fields    whether they tell of custom fields
    extra     keys that no column holds
    versions  whether each group is told
    apart     cells of a told group that the rows do not tell
    """

    values: tuple[Any, ...]
    told: Callable[[Row], tuple[Any, ...]]
    columns: tuple[tuple[int, Callable[[Any], Any]], ...]
    times: tuple[int, ...]
    fields: bool
    extra: tuple[str, ...]
    versions: tuple[bool, ...]
    apart: Mapping[str, None] | None


def fresh(answer: Answer, found: Row, now: datetime) -> Values:
    """Of a completed row whose key can be read, written `now`. Raise BadValue as `change_of` does."""
    plan = None if says_deleted(answer.entity, found) else _plan(answer.entity, tuple(found))
    quickly = None if plan is None else _by_plan(answer, plan, found, now)
    return quickly or _folded(answer, found, now)


def _folded(answer: Answer, found: Row, now: datetime) -> Values:
    entity, change, record = answer.entity, change_of(answer, found), Record()
    fold(record, change)
    columns = entity.key_cells(change.id) | row(entity, record)
    return (*(columns[name] for name in dml.written(entity)), now)


def _by_plan(answer: Answer, plan: _Plan, found: Row, now: datetime) -> Values | None:
    """None where the row is none of the plain ones: a value that cannot be read, a custom field that is no hash."""
    values = list(plan.values)
    try:
        for (place, read), value in zip(plan.columns, plan.told(found), strict=True):
            if value is not None:
                values[place] = read(value)
    except (ValueError, TypeError, OverflowError):
        return None
    reading = Reading()
    if answer.entity.custom_fields is not None:
        blank = read_set_fields(answer.entity, found, answer.types, reading)
        if (blank is not None) != plan.fields or not all(map(is_custom, reading.cells)):
            return None
        values.append(reading.cells)
    version = version_of(answer, next((values[place] for place in plan.times if values[place]), None))
    values += (
        {key: found[key] for key in plan.extra} or None,
        *(version if told else None for told in plan.versions),
        plan.apart,
        sorted(reading.untyped) or None,
        1,
        answer.source,
        None,
        None,
        now,
    )
    return tuple(values)


@lru_cache(_PLANS)
def _plan(entity: Entity, keys: tuple[str, ...]) -> _Plan | None:
    """None where keys are not told one to one by columns: v1's flat addresses, a name and its alias at once."""
    known, apart = targets(entity), handled_apart(entity)
    columns = {known[key].name: key for key in keys if key in known}
    flat = {part for parts in flat_addresses(entity).values() for part in parts}
    if len(columns) < sum(key in known for key in keys) or flat & set(keys):
        return None
    custom = entity.custom_fields is not None
    extra = tuple(key for key in keys if key not in known and key not in apart and not (custom and is_flat(key)))
    exists = existence(entity, None)
    fields = custom and ("custom_fields" in keys or entity.flat_fields)
    told = dict.fromkeys([*columns, *extra, *exists, *([FLOOR] if fields else ())], _ANY)
    stored = version_columns(entity, told)
    read = _read(entity, columns, exists)
    return _Plan(
        values=_nulls(entity, columns, exists),
        told=_getter(list(read)),
        columns=tuple(read.values()),
        times=_times(entity),
        fields=fields,
        extra=extra,
        versions=tuple(stored[name] is not None for name in VERSION_COLUMNS.values()),
        apart=stored["_versions"],
    )


def _read(entity: Entity, columns: Mapping[str, str], exists: Cells) -> dict[str, tuple[int, Callable[[Any], Any]]]:
    """Key of a row -> place of its column, how it is read; the record's own key first."""
    own = {
        columns[column.name]: (place, column.type.read)
        for place, column in enumerate(entity.columns, len(entity.key))
        if column.name in columns and column.name not in exists
    }
    return {name: (place, kind.read) for place, (name, kind) in enumerate(entity.key)} | own


def _nulls(entity: Entity, columns: Mapping[str, str], exists: Cells) -> tuple[Any, ...]:
    """A list that is told is never null; what repeats whether the record exists needs not be told."""
    own = (
        exists.get(column.name, [] if column.type.is_list and column.name in columns else None)
        for column in entity.columns
    )
    return (*(None for _ in entity.key), *own)


def _getter(keys: list[str]) -> Callable[[Row], tuple[Any, ...]]:
    """`itemgetter` of one key alone would give the bare value."""
    return itemgetter(*keys) if len(keys) > 1 else lambda found: (found[keys[0]],)


def _times(entity: Entity) -> tuple[int, ...]:
    """Where among the values the times stand that order the row, the best first."""
    names = dml.written(entity)
    return tuple(names.index(name) for name in (entity.updated, entity.created) if entity.has(name))
