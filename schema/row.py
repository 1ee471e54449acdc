"""A record as a row of its table, and back.

A row has one version for each group of columns, and apart from it those of the cells that differ.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from schema.change import Cells
from schema.custom_fields import is_custom
from schema.entity import DELETED_AT, EVENT, GROUPS, REST, Entity
from schema.record import FLOOR, Record
from schema.version import Version

VERSION_COLUMNS = {"event": "_version", "v1": "_v1_version", "rest": "_rest_version"}
"""The version of a group's cells; cells of another version than their group's stand in `_versions`."""


@cache
def members(entity: Entity) -> dict[str, None]:
    """The cells that have a column, in the order of the groups."""
    return {name: None for group in GROUPS for name in entity.group(group)}


@cache
def _groups(entity: Entity) -> tuple[tuple[str, str, frozenset[str]], ...]:
    """Group, its version's column, its cells."""
    floor = {FLOOR} if entity.custom_fields is not None else set()
    return tuple(
        (group, VERSION_COLUMNS[group], frozenset(entity.group(group)) | (floor if group == REST else set()))
        for group in GROUPS
    )


def load(entity: Entity, row: Mapping[str, Any]) -> Record:
    """The record of a table's row, as any release may have left it: earlier and later ones work side by side."""
    cells: Cells = {name: row[name] for name in members(entity)}
    apart = row["_versions"] or {}
    custom = (row["custom_fields"] or {}) if entity.custom_fields is not None else {}
    extra = {
        cell: _as_column(entity, cell, value)
        for cell, value in (row["_extra"] or {}).items()
        # An earlier release knows nothing of the column, nor that a late event is older than what stands there.
        if cell not in apart or cells.get(cell) is None
    }
    cells |= custom | extra
    versions: dict[str, Version] = {}
    for _, column, names in _groups(entity):
        if row[column] is not None:
            versions |= dict.fromkeys(names, row[column])
    if row["_version"] is not None:
        versions |= dict.fromkeys(custom, row["_version"]) | dict.fromkeys(extra, row["_version"])
    for cell, version in apart.items():
        if version is None:
            versions.pop(cell, None)
        elif cell in cells or cell == FLOOR:  # else it is a column of a later release
            versions[cell] = Version(version)
    return Record(cells, versions, set(row["_untyped"] or ()), row["_source"], row["_revision"])


def _as_column(entity: Entity, cell: str, value: Any) -> Any:
    """A key of `_extra` may have become a column since: then it is typed, and null if it has not the form."""
    if not entity.has(cell):
        return value
    try:
        return entity.column(cell).type.of(value)
    except (ValueError, TypeError, OverflowError):
        return None


def row(entity: Entity, record: Record) -> dict[str, Any]:
    """The columns of a table's row, all but the key and `_synced_at`."""
    cells = record.cells
    columns = {name: cells.get(name) for name in members(entity)}
    others = cells.keys() - columns.keys()
    if entity.custom_fields is not None:
        custom = {cell: cells[cell] for cell in others if is_custom(cell)}
        columns["custom_fields"] = custom
        others -= custom.keys()
    columns |= version_columns(entity, record.versions)
    columns["_extra"] = {cell: cells[cell] for cell in others} or None
    columns["_untyped"] = sorted(record.untyped) or None
    columns["_source"] = record.source
    columns["_revision"] = record.revision + 1
    return columns


def version_columns(entity: Entity, versions: Mapping[str, Version]) -> dict[str, Any]:
    """One version per group, and apart from it only the cells that differ: the columns for them."""
    found: dict[str, Any] = {}
    apart: dict[str, Version | None] = {}
    all_one = len(set(versions.values())) == 1
    for group, column, own in _groups(entity):
        if all_one and own <= versions.keys():
            found[column] = versions[DELETED_AT]
            continue
        names = own | (versions.keys() - members(entity).keys() - {FLOOR}) if group == EVENT else own
        common = versions.get(DELETED_AT) if group == EVENT else _most_common(versions, names)
        found[column] = common
        if common is not None:
            apart |= {name: known for name in names if (known := versions.get(name)) != common}
    found["_versions"] = apart or None
    return found


def _most_common(versions: Mapping[str, Version], names: Iterable[str]) -> Version | None:
    told = [versions[name] for name in names if name in versions]
    return Counter(told).most_common(1)[0][0] if told else None
