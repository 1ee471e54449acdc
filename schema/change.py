"""A Change: what one source asserts about one record. Every path to a row makes Changes; nothing else is applied."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from schema.custom_fields import Types, canonical
from schema.entity import DELETED_AT, MERGED_INTO, Entity
from schema.version import Version

RecordId = Any
"""int, or uuid.UUID where the catalogue says so."""

Cells = dict[str, Any]
"""Cell name -> value. A name is a column, the 40-hex hash of a custom field, or a key that no column holds (`_extra`).

Column values are typed as the catalogue says; the others are plain JSON. Hashes never clash with the rest, and a key
that becomes a column one day keeps its version."""


@dataclass(frozen=True, slots=True)
class Change:
    """One record's new state, as far as the source carries it. A cell that is missing is not asserted; None clears it.

    version   of every cell in `cells`
    cells     carried values; `_deleted_at` (None: it exists) always, `_merged_into` where the source tells
    empty     custom fields that the source lists as empty, where it tells of all there are; else None
    previous  reads what the source says the values were before: believed only where the mirror knows nothing
    types     custom field hash -> type, as this source teaches
    untyped   custom fields whose type is unknown, kept as received
    source    webhook, backfill, sweep, reconcile or replay
    user_id   who made the change in Pipedrive, if told
    """

    entity: Entity
    id: RecordId
    version: Version
    cells: Cells
    empty: frozenset[str] | None = None
    previous: Callable[[], Cells] = dict
    types: dict[str, str] = field(default_factory=dict)
    untyped: frozenset[str] = frozenset()
    source: str = "webhook"
    user_id: int | None = None

    @property
    def deleted(self) -> bool:
        return self.cells[DELETED_AT] is not None

    @property
    def merged_into(self) -> RecordId | None:
        return self.cells.get(MERGED_INTO)


def by_types(change: Change, types: Types) -> Change:
    """The change as if it had been read by these types of custom fields."""
    known = change.untyped & types.keys()
    if not known:
        return change
    cells = change.cells | _canonical({cell: change.cells[cell] for cell in known}, types)
    previous = partial(_previous_by_types, change.previous, types)
    return replace(change, cells=cells, previous=previous, untyped=change.untyped - known)


def _previous_by_types(previous: Callable[[], Cells], types: Types) -> Cells:
    return _canonical(previous(), types)


def _canonical(cells: Cells, types: Types) -> Cells:
    return {cell: canonical(types[cell], value) if cell in types else value for cell, value in cells.items()}
