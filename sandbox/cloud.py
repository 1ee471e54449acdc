"""A made-up company in Pipedrive: its records, and the events that each change of them sends."""

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from sandbox.carried import carried
from sandbox.draw import Draw
from sandbox.events import Account, Action, Event, Version
from sandbox.fields import define
from sandbox.instants import Instants
from sandbox.records import SHAPES, edit, make, stamp, touch
from sandbox.shelf import Id, Record, Shelf

_SHARES: Final[Mapping[str, float]] = {
    "organization": 0.3,
    "person": 0.5,
    "product": 0.1,
    "lead": 0.2,
    "deal_product": 0.3,
    "deal_installment": 0.1,
    "deal": 1.0,
    "activity": 1.0,
    "note": 0.4,
    "project": 0.1,
    "task": 0.2,
}
_FEWEST: Final[Mapping[str, int]] = {"user": 5, "pipeline": 2, "stage": 8, "activity_type": 3, "board": 2, "phase": 5}
_NAMES: Final = (
    ("owner_name", ("owner_id", "user_id"), "user", "name"),
    ("person_name", ("person_id",), "person", "name"),
    ("org_name", ("org_id",), "organization", "name"),
    ("deal_title", ("deal_id",), "deal", "title"),
)


@dataclass(frozen=True, slots=True)
class Truth:
    """What a mirror must hold: records by entity and id.

    deleted    last states
    merged     entity -> loser -> the record it was directly merged into
    carried    entity -> columns that events carry; an entity without any is not compared
    unsettled  (entity, id) whose newest event never arrived: only a reading through the REST API could know
    """

    live: Mapping[str, Mapping[Id, Record]]
    deleted: Mapping[str, Mapping[Id, Record]]
    merged: Mapping[str, Mapping[Id, Id]]
    carried: Mapping[str, frozenset[str]]
    unsettled: frozenset[tuple[str, Id]] = frozenset()


class Company:
    """State, and primitives that change it; `script` decides what happens.

    rng                 seeded; the same seed and the same clock make the same history
    now                 microseconds since 1970
    same_instant        share of creates followed, and of deletes preceded, by a change at the very same instant
    lists_empty_fields  whether v2 events name empty custom fields
    """

    def __init__(
        self,
        rng: random.Random,
        company_id: int,
        now: Callable[[], int],
        *,
        deals: int = 50,
        same_instant: float = 0.0,
        lists_empty_fields: bool = True,
    ) -> None:
        self.rng = rng
        self.live = {entity: Shelf() for entity in SHAPES}
        self.deleted = {entity: Shelf() for entity in SHAPES}
        self.merged: dict[str, dict[Id, Id]] = {entity: {} for entity in SHAPES}
        self.draw = Draw(self.rng, self.live)
        self.fields = define(self.draw)
        self.same_instant = same_instant
        self._instants = Instants(now, self.rng, whole_milliseconds=same_instant > 0)
        self._ids = dict.fromkeys(SHAPES, 0)
        types = {field.code: field.type for fields in self.fields.values() for field in fields}
        host = f"company{company_id}.pipedrive.com"
        self.account = Account(company_id, host, 174_632, 1, MappingProxyType(types), lists_empty_fields)
        self._unannounced = [event for entity in SHAPES for event in self._first(entity, deals)]

    def _first(self, entity: str, deals: int) -> list[Event]:
        count = max(_FEWEST.get(entity, 2), int(deals * _SHARES.get(entity, 0)))
        return [self.create(entity) for _ in range(count)]

    def announce(self) -> list[Event]:
        """The create events of all records there were at the start; once."""
        events, self._unannounced = self._unannounced, []
        return events

    def truth(self, entity: str) -> dict[Id, Record]:
        """The live records of an entity. A deactivated user is one of them."""
        return self.live[entity].copy()

    def snapshot(self, versions: Collection[Version], unsettled: Collection[tuple[str, Id]] = ()) -> Truth:
        """Everything at this moment, to compare with a mirror that was told in these versions."""
        return Truth(
            live={entity: shelf.copy() for entity, shelf in self.live.items()},
            deleted={entity: shelf.copy() for entity, shelf in self.deleted.items()},
            merged={entity: dict(pairs) for entity, pairs in self.merged.items()},
            carried={entity: carried(entity, versions) for entity in SHAPES},
            unsettled=frozenset(unsettled),
        )

    def create(self, entity: str, **columns: Any) -> Event:
        record_id = self._new_id(entity)
        at = self._instants.next((entity, record_id))
        record = make(entity, self.draw, self.fields, record_id, self._changed(entity, at))
        record |= columns
        self.live[entity].put(record)
        return self._event("create", entity, at, None, record)

    def edit(self, entity: str, record_id: Id, *, again: bool = False) -> Event | None:
        """A person's change; None where nothing changed. `again`: at the instant of the record's last event."""
        key = (entity, record_id)
        at = self._instants.again(key) if again else self._instants.next(key)
        before = self.live[entity][record_id]
        after = edit(entity, self.draw, self.fields, before, self._changed(entity, at))
        return None if after is None else self._changed_to(entity, at, before, after)

    def edit_all(self, entity: str, ids: Collection[Id], **columns: Any) -> list[Event]:
        """A bulk edit of the list view: all at one instant."""
        at, correlation = self._instants.next(*((entity, record_id) for record_id in ids)), self.draw.uuid()
        events = []
        for record_id in ids:
            before = self.live[entity][record_id]
            after = touch(entity, {**before, **columns}, self._changed(entity, at))
            events.append(self._changed_to(entity, at, before, after, correlation_id=correlation, is_bulk=True))
        return events

    def set(
        self, entity: str, record_id: Id, columns: Record, *, later_than: Collection[Id] = (), **told: Any
    ) -> Event:
        """Set columns, at a moment `later_than` the last events of these, too; `told` are further attributes."""
        at = self._instants.next(*((entity, known) for known in (record_id, *later_than)))
        before = self.live[entity][record_id]
        after = touch(entity, {**before, **columns}, self._changed(entity, at))
        return self._changed_to(entity, at, before, after, **told)

    def delete(self, entity: str, record_id: Id, *, again: bool = False, **told: Any) -> Event:
        """A delete does not move the record's update time."""
        key = (entity, record_id)
        at = self._instants.again(key) if again else self._instants.next(key)
        record = self.live[entity].take(record_id)
        self.deleted[entity].put(record)
        return self._event("delete", entity, at, record, None, **told)

    def restore(self, entity: str, record_id: Id) -> Event:
        """Told as a create or as a change: which of them is documented nowhere."""
        at = self._instants.next((entity, record_id))
        before = self.deleted[entity].take(record_id)
        record = touch(entity, before, self._changed(entity, at))
        self.live[entity].put(record)
        if self.draw.chance(0.5):
            return self._event("create", entity, at, None, record)
        return self._event("change", entity, at, before, record)

    def merge(self, entity: str, loser: Id, winner: Id) -> list[Event]:
        """The loser's delete and the winner's change, in either order."""
        correlation, lost = self.draw.uuid(), self.live[entity][loser]
        inherited = _inherited(self.live[entity][winner], lost)
        self.merged[entity][loser] = winner
        happen: list[Callable[[], Event]] = [
            lambda: self.delete(entity, loser, merged_to=winner, correlation_id=correlation),
            lambda: self.set(entity, winner, inherited, later_than=(loser,), loser=lost, correlation_id=correlation),
        ]
        self.rng.shuffle(happen)
        return [one() for one in happen]

    def _new_id(self, entity: str) -> Id:
        if entity == "lead":
            return self.draw.uuid(1)
        self._ids[entity] += 1
        return self._ids[entity]

    def _changed(self, entity: str, at: int) -> str:
        """When the record changed, if its event is of `at`: a little earlier."""
        milliseconds = SHAPES[entity].milliseconds
        return stamp(at - (5_000 if milliseconds else 150_000), milliseconds=milliseconds)

    def _changed_to(self, entity: str, at: int, before: Record, after: Record, **told: Any) -> Event:
        self.live[entity].put(after)
        return self._event("change", entity, at, before, after, **told)

    def _event(
        self, action: Action, entity: str, at: int, before: Record | None, after: Record | None, **told: Any
    ) -> Event:
        record = after or before or {}
        told.setdefault("correlation_id", self.draw.uuid())
        return Event(
            entity=entity,
            id=record["id"],
            action=action,
            at=at,
            before=before,
            after=after,
            user_id=int(self.draw.ref("user") or 1),
            event_id=self.draw.uuid(),
            change_source=self.draw.one_of(("app", "api")),
            names=self._names(record),
            permitted=tuple(range(1, min(10, len(self.live["user"])) + 1)),
            **told,
        )

    def _names(self, record: Record) -> dict[str, str | None]:
        found = {}
        for name, columns, entity, title in _NAMES:
            refers = next((record[column] for column in columns if column in record), None)
            found[name] = self.draw.column(entity, refers, title)
        return found


def _inherited(winner: Record, loser: Record) -> Record:
    """What the winner lacks it takes from the loser."""
    return {column: loser[column] for column, value in winner.items() if value is None and not column.endswith("_time")}
