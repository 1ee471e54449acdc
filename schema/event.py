"""An envelope, read: either an Event with the Changes it makes, or a Refusal that says why it can never be applied."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from schema import notice as notices
from schema import version as versions
from schema.change import Cells, Change, RecordId
from schema.columns import microseconds
from schema.credentials import parse_company
from schema.custom_fields import Types
from schema.entities import HEARD
from schema.entity import Entity, id_text
from schema.envelope import Envelope
from schema.errors import BadContent, BadId, BadValue, CompanyMismatch, NoEventTime
from schema.notice import DELETE, MERGE, Notice
from schema.reading import Reading, custom_cell, existence, read_object, says_deleted
from schema.version import Version

MAX_KEY = 100
_RANKS = {"create": versions.CREATE, "change": versions.CHANGE, "merge": versions.CHANGE, "delete": versions.DELETE}

TypesOf = Callable[[str], Types]
"""The types of an entity's custom fields, as learnt so far for the company."""


@dataclass(frozen=True, slots=True)
class Event:
    """One webhook that is understood, whether or not it touches a table.

    key          identifies the event within its company, however often and by whichever way it is delivered
    entity       the catalogue's name; of an unknown entity, the name Pipedrive gives it
    entity_id    of the record, as text; other_ids are those of further records that the event changes
    occurred_at  from the body alone; None where it tells none that can be read
    version      that its changes carry; None if it makes none
    definition   a custom field definition changed: journal only, until definitions are read by REST
    """

    envelope: Envelope
    key: str
    entity: str
    entity_id: str | None
    other_ids: tuple[str, ...]
    action: str
    occurred_at: datetime | None
    version: Version | None
    changes: tuple[Change, ...]
    definition: bool = False

    @property
    def unknown(self) -> bool:
        """Whether no table exists for its entity."""
        return self.entity not in HEARD and not self.definition


@dataclass(frozen=True, slots=True)
class Refusal:
    """One webhook that can never be applied as it is. `about` holds what is known: entity, entity_id, action."""

    envelope: Envelope
    problem: BadContent
    about: dict[str, str | None]


Readable = Event | Refusal
"""An envelope that was read, whatever came of it."""


def read(envelope: Envelope, types_of: TypesOf) -> Readable:
    """Never raises for the content of an envelope, whatever it is."""
    body: dict[str, Any] = {}
    try:
        body = notices.parse(envelope.body)
        notices.refuse_nul(envelope.body, body)
        return _event(envelope, notices.read(body), types_of)
    except BadContent as problem:
        return Refusal(envelope, problem, notices.subject(body))
    except (RecursionError, orjson.JSONEncodeError):
        return Refusal(envelope, BadValue("the body is nested too deeply"), notices.subject(body))


def _event(envelope: Envelope, notice: Notice, types_of: TypesOf) -> Event:
    _check_company(envelope, notice)
    entity = HEARD.get(notice.entity)
    key = _key(notice)
    if entity is None:
        return Event(
            envelope, key, notice.entity, _id_text(notice.id), (), notice.action, notice.time, None, (),
            definition="field" in notice.entity,
        )  # fmt: skip
    changes = tuple(_Reader(entity, notice, key, types_of(entity.custom_fields or "")).changes())
    first = changes[0]
    others = tuple(dict.fromkeys(id_text(change.id) for change in changes[1:] if change.id != first.id))
    return Event(
        envelope, key, entity.name, id_text(first.id), others, notice.action, notice.time, first.version, changes
    )  # fmt: skip


def _check_company(envelope: Envelope, notice: Notice) -> None:
    told = notice.company_id
    if told is not None and parse_company(str(told)) != envelope.company_id:
        raise CompanyMismatch(f"the body names company {str(told)[:25]!r}, the address company {envelope.company_id}")


def _key(notice: Notice) -> str:
    """v2 events have an id, but those of users have borne the user's id: these, and v1's, are told by content."""
    told = notice.event_id
    if isinstance(told, str) and 0 < len(told) <= MAX_KEY and notice.entity != "user":
        return told
    content = orjson.dumps([notice.objects, notice.previous], option=orjson.OPT_SORT_KEYS)
    digest = hashlib.blake2b(content, digest_size=12).hexdigest()
    return f"{notice.entity[:40]}:{str(notice.id)[:40]}:{notice.action}:{str(notice.raw_time)[:40]}:{digest}"


def _id_text(value: Any) -> str | None:
    return str(value)[:MAX_KEY] if isinstance(value, (str, int)) else None


class _Reader:
    """Turns one notice about a known entity into its changes."""

    def __init__(self, entity: Entity, notice: Notice, key: str, types: Types) -> None:
        self.entity, self.notice, self.types = entity, notice, types
        self.tie = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()

    def changes(self) -> list[Change]:
        notice = self.notice
        if notice.action == DELETE:
            last_state = notice.previous or (notice.objects[0] if notice.objects else {})
            return [self._delete(notice.id, last_state, notice.merged_to)]
        if not notice.objects:
            raise BadValue(f"a {notice.action} without the record's state")
        survivors = [self._upsert(found) for found in notice.objects]
        if notice.merged_from is None or self._id(notice.merged_from) == survivors[0].id:
            return survivors
        # v1 shows the absorbed record as `previous`; in v2 that is the survivor's own past.
        absorbed = notice.previous if notice.action == MERGE else None
        return [*survivors, self._delete(notice.merged_from, absorbed or {}, survivors[0].id)]

    def _upsert(self, found: dict[str, Any]) -> Change:
        record_id = self._id(self.notice.id if len(self.notice.objects) == 1 else None, found)
        if says_deleted(self.entity, found):
            return self._delete(record_id, found, None)
        reading = self._read(found)
        reading.cells |= existence(self.entity, None)
        if self.notice.action == MERGE:
            return self._change(record_id, reading, _RANKS[MERGE], dict)
        self._clear_vanished(found, reading.cells)
        return self._change(record_id, reading, _RANKS[self.notice.action], self._previous)

    def _delete(self, raw_id: Any, last_state: dict[str, Any], merged_into: Any) -> Change:
        record_id = self._id(raw_id, last_state)
        reading = self._read(last_state)
        winner = None if merged_into is None else self._id(merged_into)
        reading.cells |= existence(self.entity, self._time(reading.cells), winner)
        return self._change(record_id, reading, _RANKS[DELETE], dict)

    def _change(self, record_id: RecordId, reading: Reading, rank: int, previous: Callable[[], Cells]) -> Change:
        at = microseconds(self._time(reading.cells))
        if not 0 <= at <= versions.LATEST:
            raise NoEventTime("the event's time is before 1970 or beyond any calendar")
        return Change(
            self.entity,
            record_id,
            versions.of_event(at, rank, self.tie, self._updated(reading.cells)),
            reading.cells,
            previous=previous,
            types=reading.types,
            untyped=frozenset(reading.untyped),
            user_id=self._user(),
        )

    def _time(self, cells: Cells) -> datetime:
        """The event's time; failing that the record's own, which orders it below every event that has seen more."""
        found = self.notice.time or cells.get(self.entity.updated) or cells.get(self.entity.created)
        if not isinstance(found, datetime):
            raise NoEventTime("neither the event nor the record in it says a time that can be read")
        return found

    def _updated(self, cells: Cells) -> int | None:
        found = cells.get(self.entity.updated) or cells.get(self.entity.created)
        seconds = int(found.timestamp()) if isinstance(found, datetime) else 0
        return seconds if seconds > 0 else None

    def _user(self) -> int | None:
        told = self.notice.user_id
        text = str(told)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None  # noqa: PLR2004

    def _read(self, found: dict[str, Any]) -> Reading:
        try:
            return read_object(self.entity, found, self.types)
        except BadValue as problem:
            raise BadValue(f"{self.entity.name} {str(self.notice.id)[:40]}: {problem.reason}") from None

    def _clear_vanished(self, found: dict[str, Any], cells: Cells) -> None:
        """A custom field that `previous` names and the new state does not was cleared; other absences say nothing."""
        before = (self.notice.previous or {}).get("custom_fields")
        if before and self.entity.custom_fields is not None and isinstance(before, dict) and "custom_fields" in found:
            cells.update(dict.fromkeys(set(map(custom_cell, before)) - cells.keys()))

    def _previous(self) -> Cells:
        try:
            return read_object(self.entity, self.notice.previous or {}, self.types).cells
        except BadValue:
            return {}

    def _id(self, told: Any, found: dict[str, Any] | None = None) -> RecordId:
        """The record's id as the catalogue types it; meta and body must not name two different records."""
        own = None if found is None else found.get("id")
        read = self.entity.id_type.read
        try:
            ids = {read(value) for value in (told, own) if value is not None} - {None}
        except (ValueError, TypeError):
            raise BadId(f"the id is no {self.entity.id_type.sql}") from None
        if len(ids) != 1:
            raise BadId("the event names no record" if not ids else f"the event names {len(ids)} different records")
        return ids.pop()
