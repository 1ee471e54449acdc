"""One entity's records, with a random pick that does not slow down as they grow."""

import random
from collections.abc import Iterator
from typing import Any

Id = int | str | tuple[Any, ...]
"""A number; text for those known by a UUID, a code or a name; the columns of a key that has several."""

Record = dict[str, Any]
"""One record in the vocabulary of the REST API. Never changed in place: events share it."""


def identity(key: tuple[str, ...], record: Record) -> Id:
    """The id of a record with this primary key."""
    return record[key[0]] if len(key) == 1 else tuple(record[column] for column in key)


class Shelf:
    """Records by id. `pick` is constant-time, because the demo picks thousands of times a second."""

    def __init__(self, key: tuple[str, ...] = ("id",)) -> None:
        self._key = key
        self._records: dict[Id, Record] = {}
        self._ids: list[Id] = []
        self._place: dict[Id, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, record_id: object) -> bool:
        return record_id in self._records

    def __getitem__(self, record_id: Id) -> Record:
        return self._records[record_id]

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def put(self, record: Record) -> None:
        record_id = identity(self._key, record)
        if record_id not in self._records:
            self._place[record_id] = len(self._ids)
            self._ids.append(record_id)
        self._records[record_id] = record

    def take(self, record_id: Id) -> Record:
        """Remove the record; the last id of the list fills its place."""
        place, last = self._place.pop(record_id), self._ids.pop()
        if last != record_id:
            self._ids[place], self._place[last] = last, place
        return self._records.pop(record_id)

    def pick(self, rng: random.Random) -> Id | None:
        return rng.choice(self._ids) if self._ids else None

    def copy(self) -> dict[Id, Record]:
        return dict(self._records)
