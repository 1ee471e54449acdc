"""Does a mirror hold what the company holds? Pure; equal means the same to a reader, not the same spelling."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sandbox.cloud import Truth
from sandbox.shelf import Record

Mirrored = Mapping[str, Mapping[Any, Record]]
"""entity -> id -> row as plain JSON values (`to_jsonb`), `_deleted_at` and `_merged_into` among them."""

_MOMENTS: Final = frozenset(("created", "modified", "last_login", "created_at", "updated_at", "time"))
_AS_MOMENTS: Final = ("_time", "_timestamp")
_CLOCKS: Final = frozenset(("due_time", "duration"))
_SETS: Final = frozenset(("label_ids", "deal_ids", "person_ids", "org_ids", "assignee_ids"))
_GONE: Final = frozenset(("is_deleted", "active_flag"))
"""Columns that events tell differently for a deleted record, and that its tombstone says anyway."""

_CLOCK = re.compile(r"(?:(\d+) days? ?)?(?:(\d+):(\d\d)(?::(\d\d)(?:\.0+)?)?)?")
_SHOWN: Final = 80


def table(entity: str) -> str:
    """The mirror's table of an entity: its plural."""
    return f"{entity[:-1]}ies" if entity.endswith("y") else f"{entity}s"


def differences(truth: Truth, mirrored: Mirrored) -> list[str]:
    """One line per difference, none if the mirror is right in everything that it was told."""
    told = (
        (entity, _of_entity(truth, entity, mirrored.get(entity, {})))
        for entity, columns in truth.carried.items()
        if columns
    )
    logged = (
        (log, _of_log(rows, truth.past.get(log, ()), mirrored.get(log, {}).values()))
        for log, rows in truth.logs.items()
    )
    return [f"{table(entity)} {line}" for entity, lines in (*told, *logged) for line in lines]


def _of_entity(truth: Truth, entity: str, mirrored: Mapping[Any, Record]) -> Iterator[str]:
    live, deleted = _by_text(truth.live[entity]), _by_text(truth.deleted[entity])
    merged, rows = _by_text(truth.merged.get(entity, {})), _by_text(mirrored)
    unsettled = {_text(record_id) for of, record_id in truth.unsettled if of == entity}
    for record_id in sorted(live.keys() | deleted.keys() | rows.keys(), key=lambda text: (len(text), text)):
        if record_id in unsettled:
            continue
        record, row = live.get(record_id, deleted.get(record_id)), rows.get(record_id)
        if record is None:
            yield f"{record_id}: in the mirror only"
        elif row is None:
            if record_id in live or not truth.listed:
                yield f"{record_id}: missing"
        else:
            alive, winner = record_id in live, merged.get(record_id)
            if truth.listed and row.get("_merged_into") is None:
                winner = None  # no list tells it
            yield from (f"{record_id}: {line}" for line in _fate(alive, winner, row))
            lines = _columns(_asked(truth, entity, alive), record, row, defined_only=truth.listed)
            yield from (f"{record_id}: {line}" for line in lines)


def _asked(truth: Truth, entity: str, alive: bool) -> list[str]:
    """The columns that must be right."""
    if alive:
        return sorted(truth.carried[entity])
    return [] if truth.listed else sorted(truth.carried[entity] - _GONE)


def _by_text(by_id: Mapping[Any, Any]) -> dict[str, Any]:
    return {_text(record_id): value for record_id, value in by_id.items()}


def _text(record_id: Any) -> str:
    return ":".join(map(str, record_id)) if isinstance(record_id, tuple) else str(record_id)


def _fate(alive: bool, winner: Any, row: Record) -> Iterator[str]:
    if alive and row.get("_deleted_at") is not None:
        yield "has a tombstone, but it lives"
    if not alive and row.get("_deleted_at") is None:
        yield "has no tombstone, but it was deleted"
    into = row.get("_merged_into")
    if (None if into is None else str(into)) != (None if winner is None or alive else str(winner)):
        yield f"merged into {into}, should be {winner}"


def _columns(columns: list[str], record: Record, row: Record, *, defined_only: bool) -> Iterator[str]:
    for column in columns:
        if column not in row:
            yield f"{column} is no column"
        elif column == "custom_fields":
            found = row[column] or {}
            if defined_only:
                found = {code: value for code, value in found.items() if code in record[column]}
            yield from _custom_fields(record[column], found)
        elif not _equal(column, record[column], row[column]) and not _unchanged_deal(column, record, row):
            yield f"{column} is {_shown(row[column])}, should be {_shown(record[column])}"


def _unchanged_deal(column: str, record: Record, row: Record) -> bool:
    """A deal that nobody changed yet has no update time in v2, and that of its creation in v1."""
    return column == "update_time" and record[column] is None and _equal(column, record.get("add_time"), row[column])


def _custom_fields(truth: Record, mirrored: Record) -> Iterator[str]:
    """A hash that is missing says the same as null."""
    for code in sorted(truth.keys() | mirrored.keys()):
        should, found = (_plain_field(fields.get(code)) for fields in (truth, mirrored))
        if not _same(should, found):
            yield f"custom field {code} is {_shown(found)}, should be {_shown(should)}"


def _plain_field(value: Any) -> Any:
    """Without what events cannot tell: a zone's name, and whether an empty part is "" or null."""
    if isinstance(value, dict):
        return {key: part for key, part in value.items() if key != "timezone_name" and part not in (None, "")}
    return sorted(value, key=str) if isinstance(value, list) else value


def _equal(column: str, should: Any, found: Any) -> bool:
    if column == "id":
        return str(should) == str(found)
    if column == "lang":  # an id in REST, a locale in events: text that holds either
        return str(should) == str(found)
    if column in _CLOCKS and isinstance(should, str | None) and isinstance(found, str | None):
        return _seconds(should) == _seconds(found)
    if column in _MOMENTS or column.endswith(_AS_MOMENTS):
        return _moment(should) == _moment(found)
    if column in _SETS and isinstance(should, list | None) and isinstance(found, list | None):
        # Events tell "no label" of a person as `label: null`: null and empty say the same.
        return {str(one) for one in should or ()} == {str(one) for one in found or ()}
    return _same(should, found)


def _of_log(rows: Sequence[Record], past: Sequence[Record], mirrored: Iterable[Record]) -> Iterator[str]:
    """Rows without a key: by what they say. Those of the `past` may be there."""
    columns = sorted(rows[0]) if rows else sorted(past[0]) if past else []
    found = Counter(_said(row, columns) for row in mirrored if row.get("_deleted_at") is None)
    needed, known = (Counter(_said(row, columns) for row in some) for some in (rows, (*rows, *past)))
    yield from (f"missing: {_shown(row)}" for row in (needed - found).elements())
    yield from (f"in the mirror only: {_shown(row)}" for row in (found - known).elements())


def _said(row: Record, columns: list[str]) -> tuple[str, ...]:
    """One spelling for what is the same."""
    return tuple(
        str(_moment(row.get(column))) if column in _MOMENTS else json.dumps(row.get(column), sort_keys=True)
        for column in columns
    )


def _same(should: Any, found: Any) -> bool:
    if isinstance(found, dict) and "value" in found and not isinstance(should, dict):
        found = found["value"]  # v1 tells references as objects: a mirror may keep them so
    if isinstance(should, dict) and isinstance(found, dict):
        return should.keys() == found.keys() and all(_same(should[key], found[key]) for key in should)
    if isinstance(should, list) and isinstance(found, list):
        return len(should) == len(found) and all(map(_same, should, found))
    if _is_number(should) and _is_number(found):
        return Decimal(str(should)) == Decimal(str(found))
    return type(should) is type(found) and bool(should == found)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _moment(text: str | None) -> datetime | None:
    """A time without a zone is in UTC."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _seconds(text: str | None) -> timedelta | str | None:
    """'26:30:00', '26:30' and '1 day 02:30:00' are one duration; what is none stays text."""
    if not text:
        return None
    match = _CLOCK.fullmatch(text)
    if match is None:
        return text
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
