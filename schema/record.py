"""A record as the mirror holds it, and the fold of a change into it.

`fold` is the heart: newest assertion wins, cell by cell. It does not matter in which order, how often or in which
portions changes are folded: the cells end the same. The database never decides what is newer; it only stores the result
of this function and refuses to store it over a row that moved meanwhile (`_revision`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from schema.change import Cells, Change
from schema.columns import instant
from schema.custom_fields import canonical, fuller, is_custom
from schema.entity import DELETED_AT
from schema.version import Version, asked, explains, is_read, newer, saw

FLOOR: Final = "custom_fields"
"""Has a version and no value: that of the newest reading of all custom fields. As of then, a field without a version of
its own is empty. A reading lists every field of the account, most of them empty: rows would be mostly that."""

MISSING: Any = object()


class Diff(NamedTuple):
    """One cell that a change turned from one value into another."""

    cell: str
    old: Any
    new: Any


@dataclass(slots=True)
class Record:
    """The newest known state of one record.

    cells     value of every cell ever asserted, but for custom fields that a reading found empty
    versions  cell -> version of the assertion that it shows; FLOOR -> that of all others of the custom fields
    untyped   custom fields stored as received, because their type is not known yet
    source    of the change that was folded in last
    revision  how often the row was written; 0 for a record that has no row yet
    """

    cells: Cells = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    untyped: set[str] = field(default_factory=set)
    source: str = ""
    revision: int = 0

    def version_of(self, cell: str) -> Version | None:
        """Of the assertion that the cell shows, be it by having no value; None: it was never asserted."""
        known = self.versions.get(cell)
        return self.versions.get(FLOOR) if known is None and is_custom(cell) else known


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
    plain = not _tells_same_deletion(record, change) and _beats_all(change.version, record.versions)
    folded = _overwrite(record, change) if plain else _fold_cells(record, change)
    if change.empty is not None:
        _fold_empty(record, change, change.empty, folded)
    return folded


def _beats_all(version: Version, versions: Mapping[str, Version]) -> bool:
    """Whether it is newer than all that is known, and nothing has to be weighed: nearly every one is.

    Where an event and a read meet, either may have told already what the other tells.
    """
    told = set(versions.values())
    if is_read(version):
        return all(is_read(known) and newer(version, known) for known in told)
    # Of text, a read is greater than any event.
    return version > max(told, default="") or all(
        newer(version, known) and not (is_read(known) and explains(version, known)) for known in told
    )


def _overwrite(record: Record, change: Change) -> Folded:
    """What `_fold_cells` does where each cell of the change wins, at little more than half its cost."""
    cells = before = record.cells
    unknown = change.cells.keys() - record.versions.keys()
    if unknown:
        hints = dict.fromkeys(filter(is_custom, unknown)) if FLOOR in record.versions else {}
        if hints.keys() != unknown:
            hints = change.previous() | hints
        before = cells | {cell: hints.get(cell, change.cells[cell]) for cell in unknown}
    moved = [(cell, before[cell], value) for cell, value in change.cells.items() if before[cell] != value]
    cells.update(change.cells)
    cells.update({cell: fuller(value, old) for cell, old, value in moved if isinstance(value, dict)})
    diffs = [Diff(cell, old, cells[cell]) for cell, old, _ in moved if differ(old, cells[cell])]
    record.versions.update(dict.fromkeys(change.cells, change.version))
    record.untyped = (record.untyped - change.cells.keys()) | change.untyped
    record.source = change.source
    return Folded(diffs, changed=bool(change.cells), disturbs=False)


def _fold_cells(record: Record, change: Change) -> Folded:
    version, versions, cells = change.version, record.versions, record.cells
    folded = Folded([], changed=False, disturbs=False)
    won: set[str] = set()
    hints: Cells | None = None
    told = change.cells
    if _tells_same_deletion(record, change):
        told = told.copy()
        _fold_deletion(record, version, told.pop(DELETED_AT), folded)
    for cell, value in told.items():
        known = versions.get(cell)
        if known is None:
            known = record.version_of(cell)
        if not newer(version, known):
            folded.disturbs |= version != known and not is_read(version)
            if isinstance(value, dict) and (named := fuller(cells.get(cell), value)) != cells.get(cell):
                cells[cell], folded.changed = named, True
            continue
        won.add(cell)
        if known is None:
            # The mirror knows nothing of this cell: what the source says it was is all there is.
            hints = change.previous() if hints is None else hints
            old = hints.get(cell, MISSING)
        else:
            old = cells.get(cell)
            folded.disturbs |= is_read(known) and not is_read(version) and explains(version, known)
        cells[cell], versions[cell] = fuller(value, old), version
        if old is not MISSING and differ(old, cells[cell]):
            folded.diffs.append(Diff(cell, old, cells[cell]))
    if won:
        folded.changed = True
        record.untyped = (record.untyped - won) | (change.untyped & won)
        record.source = change.source
    return folded


def differ(old: Any, new: Any) -> bool:
    """Whether they say different things; that one knows a zone's name, or an address's parts, too, is no difference."""
    return bool(old != new) and bool(fuller(old, new) != fuller(new, old))


def _tells_same_deletion(record: Record, change: Change) -> bool:
    """Whether a read is the later witness of a deletion that is known, or the known one of this. It knows not when."""
    if change.cells.get(DELETED_AT) is None or record.cells.get(DELETED_AT) is None:
        return False
    known, version = record.versions[DELETED_AT], change.version
    return saw(version, known) or saw(known, version)


def _fold_deletion(record: Record, version: Version, deleted_at: Any, folded: Folded) -> None:
    """The read dates the assertion, an event the deletion: the last one, where there were several."""
    known, shown = record.versions[DELETED_AT], record.cells[DELETED_AT]
    guessed = is_read(known) and shown == instant(asked(known))
    if newer(version, known):
        record.versions[DELETED_AT] = version
        record.cells[DELETED_AT] = deleted_at if guessed else shown
        folded.changed = True
    elif not is_read(version):
        record.cells[DELETED_AT] = deleted_at if guessed else max(shown, deleted_at)
        folded.changed = folded.disturbs = True


def _fold_empty(record: Record, change: Change, empty: frozenset[str], folded: Folded) -> None:
    """What a reading of all custom fields says by listing some of them as empty."""
    version, versions = change.version, record.versions
    emptied = [cell for cell in empty & versions.keys() if newer(version, versions[cell])]
    for cell in emptied:
        old = record.cells.pop(cell)
        del versions[cell]
        record.untyped.discard(cell)
        if old is not None:
            folded.diffs.append(Diff(cell, old, None))
    # A newer reading need not have listed all that this one does.
    lifts = newer(version, versions.get(FLOOR))
    if lifts:
        versions[FLOOR] = version
    if lifts or emptied:
        folded.changed = True
        record.source = change.source


def mend(record: Record, types: Mapping[str, str]) -> None:
    """A value kept as received takes its canonical shape as soon as its type is known; that is no change of it."""
    for cell in record.untyped & types.keys():
        record.cells[cell] = canonical(types[cell], record.cells[cell])
        record.untyped.discard(cell)
