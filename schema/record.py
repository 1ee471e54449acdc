"""A record as the mirror holds it, and the fold of a change into it.

`fold` is the heart: newest assertion wins, cell by cell. It does not matter in which order, how often or in which
portions changes are folded: the cells end the same. The database never decides what is newer; it only stores the result
of this function and refuses to store it over a row that moved meanwhile (`_revision`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from schema.change import Cells, Change
from schema.custom_fields import HASH_LENGTH, canonical, is_hash
from schema.entity import DELETED_AT, EVENT, GROUPS, Entity
from schema.version import Version, explains, is_read, newer

VERSION_COLUMNS = {"event": "_version", "v1": "_v1_version", "rest": "_rest_version"}
"""The version of a group's cells; cells of another version than their group's stand in `_versions`."""

MISSING: Any = object()


class Diff(NamedTuple):
    """One cell that a change turned from one value into another."""

    cell: str
    old: Any
    new: Any


@dataclass(slots=True)
class Record:
    """The newest known state of one record.

    cells     value of every cell ever asserted
    versions  cell -> version of the assertion that it shows
    untyped   custom fields stored as received, because their type is not known yet
    source    of the change that was folded in last
    revision  how often the row was written; 0 for a record that has no row yet
    """

    cells: Cells = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    untyped: set[str] = field(default_factory=set)
    source: str = ""
    revision: int = 0


@dataclass(slots=True)
class Folded:
    """What a fold did. `disturbs` says that the change belongs before something the history already tells,
    so that the record's history must be told anew around it.
    """

    diffs: list[Diff]
    changed: bool
    disturbs: bool


def fold(record: Record, change: Change) -> Folded:
    """Fold `change` into `record`."""
    mend(record, change.types)
    if _beats_all(change.version, record.versions):
        return _overwrite(record, change)
    return _fold_cells(record, change)


def _beats_all(version: Version, versions: Mapping[str, Version]) -> bool:
    """Whether this is an event newer than all that is known, and that only events told: nearly every change is."""
    # Of text, a read is greater than any event.
    return not is_read(version) and version > max(set(versions.values()), default="")


def _overwrite(record: Record, change: Change) -> Folded:
    """What `_fold_cells` does where each cell of the change wins, at little more than half its cost."""
    cells = before = record.cells
    unknown = change.cells.keys() - record.versions.keys()
    if unknown:
        hints = change.previous()
        before = cells | {cell: hints.get(cell, change.cells[cell]) for cell in unknown}
    diffs = [Diff(cell, before[cell], value) for cell, value in change.cells.items() if before[cell] != value]
    cells.update(change.cells)
    record.versions.update(dict.fromkeys(change.cells, change.version))
    record.untyped = (record.untyped - change.cells.keys()) | change.untyped
    record.source = change.source
    return Folded(diffs, changed=bool(change.cells), disturbs=False)


def _fold_cells(record: Record, change: Change) -> Folded:
    version, versions, cells = change.version, record.versions, record.cells
    folded = Folded([], changed=False, disturbs=False)
    won: set[str] = set()
    hints: Cells | None = None
    for cell, value in change.cells.items():
        known = versions.get(cell)
        if not newer(version, known):
            folded.disturbs |= version != known and not is_read(version)
            continue
        won.add(cell)
        if known is None:
            # The mirror knows nothing of this cell: what the source says it was is all there is.
            hints = change.previous() if hints is None else hints
            old = hints.get(cell, MISSING)
        else:
            old = cells[cell]
            folded.disturbs |= is_read(known) and not is_read(version) and explains(version, known)
        cells[cell], versions[cell] = value, version
        if old is not MISSING and old != value:
            folded.diffs.append(Diff(cell, old, value))
    if won:
        folded.changed = True
        record.untyped = (record.untyped - won) | (change.untyped & won)
        record.source = change.source
    return folded


def mend(record: Record, types: Mapping[str, str]) -> None:
    """A value kept as received takes its canonical shape as soon as its type is known; that is no change of it."""
    for cell in record.untyped & types.keys():
        record.cells[cell] = canonical(types[cell], record.cells[cell])
        record.untyped.discard(cell)


@cache
def members(entity: Entity) -> dict[str, None]:
    """The cells that have a column, in the order of the groups."""
    return {name: None for group in GROUPS for name in entity.group(group)}


@cache
def _groups(entity: Entity) -> tuple[tuple[str, str, frozenset[str]], ...]:
    """Group, its version's column, its cells."""
    return tuple((group, VERSION_COLUMNS[group], frozenset(entity.group(group))) for group in GROUPS)


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
        elif cell in cells:  # else it is a column of a later release
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
    """The columns of a table's row, all but `id` and `_synced_at`."""
    cells = record.cells
    columns = {name: cells.get(name) for name in members(entity)}
    others = cells.keys() - columns.keys()
    if entity.custom_fields is not None:
        custom = {cell: cells[cell] for cell in others if len(cell) == HASH_LENGTH and is_hash(cell)}
        columns["custom_fields"] = custom
        others -= custom.keys()
    columns |= _version_columns(entity, record.versions)
    columns["_extra"] = {cell: cells[cell] for cell in others} or None
    columns["_untyped"] = sorted(record.untyped) or None
    columns["_source"] = record.source
    columns["_revision"] = record.revision + 1
    return columns


def _version_columns(entity: Entity, versions: Mapping[str, Version]) -> dict[str, Any]:
    """One version per group, and apart from it only the cells that differ."""
    found: dict[str, Any] = {}
    apart: dict[str, Version | None] = {}
    all_one = len(set(versions.values())) == 1
    for group, column, own in _groups(entity):
        if all_one and own <= versions.keys():
            found[column] = versions[DELETED_AT]
            continue
        names = own | (versions.keys() - members(entity).keys()) if group == EVENT else own
        common = versions.get(DELETED_AT) if group == EVENT else _most_common(versions, names)
        found[column] = common
        if common is not None:
            apart |= {name: known for name in names if (known := versions.get(name)) != common}
    found["_versions"] = apart or None
    return found


def _most_common(versions: Mapping[str, Version], names: Iterable[str]) -> Version | None:
    told = [versions[name] for name in names if name in versions]
    return Counter(told).most_common(1)[0][0] if told else None
