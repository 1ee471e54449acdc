"""A made-up company in Pipedrive: its records, and the events that each change of them sends."""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sandbox.carried import carried
from sandbox.defined import definitions
from sandbox.draw import Draw
from sandbox.events import Account, Action, Event, Version
from sandbox.fields import define
from sandbox.instants import Instants
from sandbox.links import inherited, moved, names, told_of
from sandbox.numbers import GIVEN, first
from sandbox.records import ALL, POLLED, SHAPES, edit, make, stamp, touch
from sandbox.shelf import Id, Record, Shelf, identity


@dataclass(frozen=True, slots=True)
class Truth:
    """What a mirror must hold: records by entity and id.

    deleted    last states
    merged     entity -> loser -> the record it was directly merged into
    carried    entity -> columns that events carry; an entity without any is not compared
    unsettled  (entity, id) of which nothing is asked: their newest event never arrived, or no list shows them
    listed     this is what the lists of the REST API come to: a record that is gone may be unknown, its last state and
               what it was merged into, too, and of custom fields only those count that are still defined
    logs       log -> its rows, which have no key; `past` are those of records that are gone
    """

    live: Mapping[str, Mapping[Id, Record]]
    deleted: Mapping[str, Mapping[Id, Record]]
    merged: Mapping[str, Mapping[Id, Id]]
    carried: Mapping[str, frozenset[str]]
    unsettled: frozenset[tuple[str, Id]] = frozenset()
    listed: bool = False
    logs: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    past: Mapping[str, Sequence[Record]] = field(default_factory=dict)


class Company:
    """State, and primitives that change it; `script` decides what happens.

    rng                 seeded; the same seed and the same clock make the same history
    now                 microseconds since 1970
    hidden              (entity, id) of what nobody who asks may see; `deleted_at`: when the rest was deleted
    watchers            called with everything that happens, what sends no webhook included
    bumped_by_delete    entities whose update time becomes that of their delete
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
        bumped_by_delete: Collection[str] = (),
    ) -> None:
        self.rng, self.now = rng, now
        self._bumped_by_delete = frozenset(bumped_by_delete)
        self.live = {entity: Shelf(shape.key) for entity, shape in ALL.items()}
        self.deleted = {entity: Shelf(shape.key) for entity, shape in ALL.items()}
        self.deleted_at: dict[tuple[str, Id], int] = {}
        self.hidden: set[tuple[str, Id]] = set()
        self.merged: dict[str, dict[Id, Id]] = {entity: {} for entity in SHAPES}
        self.watchers: list[Callable[[Event], None]] = []
        self.draw = Draw(self.rng, self.live)
        self.fields = define(self.draw)
        self.same_instant = same_instant
        self._instants = Instants(now, self.rng, whole_milliseconds=same_instant > 0)
        self._ids = dict.fromkeys(ALL, 0)
        self.types = {field.code: field.type for fields in self.fields.values() for field in fields}
        self.next_row, self.keeps_logs = 1, False
        self.next_option = 1 + max(number for fields in self.fields.values() for f in fields for number in f.options)
        host = f"company{company_id}.pipedrive.com"
        self.account = Account(company_id, host, 174_632, 1, MappingProxyType(self.types), lists_empty_fields)
        self._unannounced = [self.create(entity) for entity in SHAPES for _ in range(first(entity, deals))]
        self._begin_silently(deals)

    def _begin_silently(self, deals: int) -> None:
        """With what sends no webhooks, so that nobody is told."""
        for entity in POLLED:
            for columns in GIVEN.get(entity, ()):
                self.create(entity, **columns)
            for _ in range(first(entity, deals)):
                self.try_create(entity)
        now = stamp(self.now())
        for entity, record in definitions(self.fields, now):
            self.live[entity].put(make(entity, self.draw, {}, {}, now) | record)

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
            live={entity: self.live[entity].copy() for entity in SHAPES},
            deleted={entity: self.deleted[entity].copy() for entity in SHAPES},
            merged={entity: dict(pairs) for entity, pairs in self.merged.items()},
            carried={entity: carried(entity, versions) for entity in SHAPES},
            unsettled=frozenset(unsettled),
        )

    def create(self, entity: str, **columns: Any) -> Event:
        known_by = self._known_by(entity)
        at = self._instants.next((entity, *known_by.values()))
        record = make(entity, self.draw, self.fields, known_by, self._changed(entity, at))
        if columns:
            record = ALL[entity].complete(self.draw, record | columns)
        self.live[entity].put(record)
        if entity == "user":
            self.create("user_permission", user_id=record["id"])
        return self._event("create", entity, at, None, record)

    def try_create(self, entity: str) -> Event | None:
        """None where it would refer to nothing, or where there is one like it already."""
        shape, shelf = ALL[entity], self.live[entity]
        apart = {column: shape.columns[column](self.draw) for column in shape.apart}
        if None in apart.values() or (shape.made_of == "columns" and identity(shape.key, apart) in shelf):
            return None
        if shape.alone is not None and any(record[shape.alone] == apart[shape.alone] for record in shelf):
            return None
        return self.create(entity, **apart)

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
        """A delete does not move the record's update time, and no event tells that it did."""
        key = (entity, record_id)
        at = self._instants.again(key) if again else self._instants.next(key)
        record = self.live[entity].take(record_id)
        bumped = entity in self._bumped_by_delete
        self.deleted[entity].put(touch(entity, record, self._changed(entity, at)) if bumped else record)
        self.deleted_at[key] = at
        return self._event("delete", entity, at, record, None, **told)

    def restore(self, entity: str, record_id: Id) -> Event:
        """Told as a create or as a change: which of them is documented nowhere."""
        at = self._instants.next((entity, record_id))
        before = self.deleted[entity].take(record_id)
        del self.deleted_at[entity, record_id]
        record = touch(entity, before, self._changed(entity, at))
        self.live[entity].put(record)
        if self.draw.chance(0.5):
            return self._event("create", entity, at, None, record)
        return self._event("change", entity, at, before, record)

    def merge(self, entity: str, loser: Id, winner: Id) -> list[Event]:
        """The loser's delete and the winner's change, in either order."""
        correlation, lost = self.draw.uuid(), self.live[entity][loser]
        taken = inherited(self.live[entity][winner], lost)
        self.merged[entity][loser] = winner
        happen: list[Callable[[], Event]] = [
            lambda: self.delete(entity, loser, merged_to=winner, correlation_id=correlation),
            lambda: self.set(entity, winner, taken, later_than=(loser,), loser=lost, correlation_id=correlation),
        ]
        self.rng.shuffle(happen)
        return [one() for one in happen]

    def _known_by(self, entity: str) -> Record:
        """The key of a new record, as far as it is not made up with the rest of it."""
        shape = ALL[entity]
        if shape.made_of == "columns":
            return {}
        if shape.made_of == "uuid":
            return {shape.key[0]: self.draw.uuid(1)}
        self._ids[entity] += 1
        return {shape.key[0]: self._ids[entity]}

    def _changed(self, entity: str, at: int) -> str:
        """When the record changed, if its event is of `at`: a little earlier."""
        milliseconds = ALL[entity].milliseconds
        return stamp(at - (5_000 if milliseconds else 150_000), milliseconds=milliseconds)

    def _changed_to(self, entity: str, at: int, before: Record, after: Record, **told: Any) -> Event:
        self.live[entity].put(after)
        return self._event("change", entity, at, before, after, **told)

    def _event(
        self, action: Action, entity: str, at: int, before: Record | None, after: Record | None, **told: Any
    ) -> Event:
        record = after or before or {}
        told.setdefault("correlation_id", self.draw.uuid())
        user_id = self.draw.ref("user")
        self._link(entity, before, after)
        event = Event(
            entity=entity,
            id=identity(ALL[entity].key, record),
            action=action,
            at=at,
            before=before,
            after=after,
            user_id=user_id if isinstance(user_id, int) else 1,
            event_id=self.draw.uuid(),
            change_source=self.draw.one_of(("app", "api")),
            names=names(self.draw, record),
            permitted=tuple(range(1, min(10, len(self.live["user"])) + 1)),
            **told,
        )
        for watch in self.watchers:
            watch(event)
        return event

    def _link(self, entity: str, before: Record | None, after: Record | None) -> None:
        """What other records say of this one."""
        for parent, parent_id, columns in moved(entity, before, after):
            for shelf in (self.live[parent], self.deleted[parent]):
                if parent_id in shelf:
                    shelf.put(told_of(shelf[parent_id], columns))
