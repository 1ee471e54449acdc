"""Rows of the REST API as changes: what a list, or a record that was asked for, asserts.

A row is ordered by its own update_time and by when the request for it began (see `schema.version`).
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from schema.change import Cells, Change, RecordId
from schema.columns import instant
from schema.custom_fields import Types
from schema.entity import Entity
from schema.errors import BadId, BadValue
from schema.listing import Listing
from schema.reading import existence, read_listed, says_deleted
from schema.version import Version, of_absence, of_read

_NONE = (None, False)

_LONGEST_KEY = 255
"""Characters. Two such, each of four bytes, are a key that can be indexed; Pipedrive's have forty."""

Row = Mapping[str, Any]
"""As Pipedrive writes it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the rows of one answer have in common.

    began    microseconds, on Pipedrive's clock, at which the request began, or earlier
    source   backfill, sweep, reconcile or hydrate
    types    of the entity's custom fields, as known
    listing  which list was asked; None where a record was
    parent   of whose children the list tells
    mine     id of the token's own user
    """

    entity: Entity
    began: int
    source: str
    types: Types = field(default_factory=dict)
    listing: Listing | None = None
    parent: RecordId | None = None
    mine: int | None = None


def completed(answer: Answer, rows: Iterable[Row]) -> Iterator[Row]:
    """The rows with what their list says of each without writing it."""
    added = _added(answer)
    seen: Counter[bytes] = Counter()
    for row in _spread(answer, rows):
        found = {**added, **row} if added else row
        if answer.entity.log:
            content = orjson.dumps(found, option=orjson.OPT_SORT_KEYS)
            # Twice the same entry is two entries.
            seen[content] += 1
            digest = hashlib.blake2b(b"%d %s" % (seen[content], content), digest_size=16).hexdigest()
            found = {**found, "id": digest}
        yield found


def _spread(answer: Answer, rows: Iterable[Row]) -> Iterable[Row]:
    """Of an object {name: value}, each pair that is set."""
    if answer.listing is None or answer.listing.spread is None:
        return rows
    name, value = answer.listing.spread
    return [{name: told, value: row[told]} for row in rows for told in row if row[told] not in _NONE]


def _added(answer: Answer) -> Row:
    listing = answer.listing
    if listing is None:
        return {}
    added = dict(listing.says)
    if listing.parent is not None and listing.parent.column is not None and answer.parent is not None:
        added[listing.parent.column] = answer.parent
    if listing.mine is not None:
        added[listing.mine] = answer.mine
    return added


def read_id(entity: Entity, row: Row) -> RecordId:
    """Raise BadId where the row names no record, or what cannot be one."""
    try:
        parts = [kind.of(row.get(name)) for name, kind in entity.key]
    except (ValueError, TypeError, OverflowError):
        parts = [None]
    if None in parts or any(isinstance(part, str) and not _is_key(part) for part in parts):
        raise BadId(f"a row of {entity.plural} without a key that can be read: expected {', '.join(entity.key_names)}")
    return parts[0] if len(parts) == 1 else tuple(parts)


def _is_key(part: str) -> bool:
    """Whether it names something, and an index takes it: no NUL, no entry of more than 2,704 bytes."""
    return 0 < len(part) <= _LONGEST_KEY and "\0" not in part


def change_of(answer: Answer, row: Row) -> Change:
    """Of a completed row. Raise BadId or BadValue where it cannot be read."""
    entity = answer.entity
    record_id = read_id(entity, row)
    try:
        reading = read_listed(entity, row, answer.types)
    except BadValue as problem:
        raise BadValue(f"{entity.name} {record_id}: {problem.reason}") from None
    cells = reading.cells
    version = version_of(answer, cells.get(entity.updated) or cells.get(entity.created))
    if says_deleted(entity, row):
        forget_state(entity, cells)
        cells |= existence(entity, deleted_at(entity, cells, answer.began))
    else:
        cells |= existence(entity, None)
    return Change(
        entity,
        record_id,
        version,
        cells,
        empty=reading.empty,
        types=reading.types,
        untyped=frozenset(reading.untyped),
        source=answer.source,
    )


def absent(answer: Answer, record_id: RecordId, known: Version) -> Change:
    """That a record is gone, verified by asking for it. `known`: the version of what says that it exists.

    It ranks above all that was read or happened before, and below whatever Pipedrive tells of it later.
    """
    cells = existence(answer.entity, instant(answer.began))
    return Change(answer.entity, record_id, of_absence(known, answer.began), cells, source=answer.source)


def version_of(answer: Answer, at: Any) -> Version:
    """`at`: when the record was changed last, or made; whatever is no time counts as not told."""
    return of_read(max(0, int(at.timestamp())) if isinstance(at, datetime) else None, answer.began)


def deleted_at(entity: Entity, cells: Cells, began: int) -> datetime:
    """Nobody says when. Of most entities the last update was the deletion; it was before we asked, at any rate."""
    found = cells.get(entity.updated)
    return found if isinstance(found, datetime) else instant(began)


def forget_state(entity: Entity, cells: Cells) -> None:
    """A `status` that only says "deleted" is no state: a deleted record keeps its last one."""
    if "status" in entity.deleted_when and cells.get("status") == entity.deleted_when["status"]:
        del cells["status"]
