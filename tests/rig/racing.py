"""A made-up company that is read over REST and heard by webhooks at once, without processes: so seeds are cheap."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cmp_to_key
from itertools import count, pairwise
from typing import Any

import asyncpg
import orjson
from rig.asking import TICK

from cli import mirrored
from runtime.backoff import Backoff
from runtime.metrics import Metrics
from sandbox.cloud import Company as Cloud
from sandbox.compare import differences
from sandbox.events import Event, Version, versions
from sandbox.payloads import body
from sandbox.rest.truth import listed
from sandbox.script import step
from schema import dml
from schema.columns import to_json
from schema.ddl import HISTORY, quoted, raw_schema
from schema.entities import ENTITIES
from schema.entity import DELETED_AT, id_text
from schema.envelope import Envelope
from schema.record import Record, differ
from schema.row import load
from schema.version import newer
from store import fields
from store.companies import Company
from store.database import Connection, Pool
from worker.applying.applier import Applier, share
from worker.healing.drift import Drift
from worker.healing.order import lists

EVERYTHING = lists(ENTITIES, frozenset(entity.name for entity in ENTITIES))
"""The dear lists, too."""

Told = asyncpg.Record
"""A row of the history."""

AT_ONCE = Backoff(first=0.001, cap=0.02)


class Ticking:
    """A clock that goes on by 50 ms each time it is read, and farther when it is told to.

    It begins an hour ago: a `Date` that is days off is not believed.
    """

    def __init__(self) -> None:
        self._ticks, self._ahead = count(time.time_ns() // 1_000 - 3_600_000_000, TICK), 0

    def __call__(self) -> int:
        return next(self._ticks) + self._ahead

    def forward(self, seconds: float) -> None:
        self._ahead += int(seconds * 1_000_000)


@dataclass(slots=True)
class Mischief:
    """What is done to events on their way; shares are between 0 and 1. `late`: how many may overtake one."""

    drops: float = 0.05
    duplicates: float = 0.1
    late: int = 30
    v1: float = 0.3


@dataclass(slots=True)
class Hearing:
    """Hears what happens in a company, and applies it as a worker does; `dropped` is what it never hears of."""

    cloud: Cloud
    applier: Applier
    rng: random.Random
    mischief: Mischief
    waiting: list[Event] = field(default_factory=list)
    heard: int = 0
    dropped: int = 0

    def listen(self) -> None:
        self.cloud.watchers.append(self._happened)

    def _happened(self, event: Event) -> None:
        if not versions(event.entity):
            return
        if self.rng.random() < self.mischief.drops:
            self.dropped += 1
            return
        self.waiting += [event] * (1 + (self.rng.random() < self.mischief.duplicates))

    async def apply(self, *, all_of_them: bool = False) -> None:
        """Some of what waits, in any order; it may be all."""
        while len(self.waiting) > (0 if all_of_them else self.mischief.late):
            some = [
                self.waiting.pop(self.rng.randrange(len(self.waiting)))
                for _ in range(min(self.rng.randint(1, 12), len(self.waiting)))
            ]
            await self.applier.apply([self._told(event) for event in some])
            self.heard += len(some)

    async def forever(self) -> None:
        while True:
            await self.apply()
            await asyncio.sleep(0.002)

    def _told(self, event: Event) -> Envelope:
        possible = versions(event.entity)
        wished: Version = "v1" if self.rng.random() < self.mischief.v1 else "v2"
        version = wished if wished in possible else next(iter(possible))
        content = orjson.dumps(body(self.cloud.account, event, version, 1))
        return Envelope(self.cloud.account.company_id, event.at, content)


@asynccontextmanager
async def hearing(pool: Pool, cloud: Cloud, seed: int, mischief: Mischief | None = None) -> AsyncIterator[Hearing]:
    """As long as it lasts events are applied; at the end all of them are."""
    applier = Applier(pool, Metrics(), share(Metrics(), numbered_slugs=False), backoff=AT_ONCE)
    found = Hearing(cloud, applier, random.Random(seed), mischief or Mischief())
    found.listen()
    task = asyncio.create_task(found.forever())
    try:
        yield found
    finally:
        task.cancel()
        ended = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(ended[0], asyncio.CancelledError), ended[0]
    await found.apply(all_of_them=True)


def lives(cloud: Cloud, steps: int) -> None:
    for _ in range(steps):
        step(cloud)


async def differing(pool: Pool, company: Company, cloud: Cloud) -> list[str]:
    """One line for each difference between the mirror and what the lists of the API show."""
    async with pool.acquire() as connection:
        return differences(listed(cloud), await mirrored.read(connection, company.id))


def shown(drifts: Sequence[Drift]) -> list[str]:
    """One line for each entity that differs, or could not be compared."""
    return [
        f"{one.entity}: {one.missing} missing, {one.different} different, {one.superfluous} superfluous "
        f"{dict(one.fields)} {one.samples} {one.unread}"
        for one in drifts
        if one.total or one.unread or one.hidden or one.doubted
    ]


async def broken_history(pool: Pool, company: Company) -> list[str]:
    """Where the history does not lead from value to value, or does not end at what the row says."""
    async with pool.acquire() as connection:
        await fields.types(connection, company.id)
        rows = await connection.fetch(f"SELECT * FROM {quoted(raw_schema(company.slug))}.{HISTORY}")
        told: defaultdict[tuple[str, str], defaultdict[str, list[Told]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            told[row["entity"], row["entity_id"]][row["field"]].append(row)
        records = await _records(connection, company)
    return [line for key, by_field in told.items() for line in _broken(key, by_field, records[key])]


async def _records(connection: Connection, company: Company) -> dict[tuple[str, str], Record]:
    found = {}
    for entity in ENTITIES:
        names = ", ".join(map(quoted, dml.written(entity)))
        for row in await connection.fetch(
            f"SELECT {names} FROM {quoted(raw_schema(company.slug))}.{quoted(entity.plural)}"
        ):
            found[entity.name, id_text(entity.id_of(row))] = load(entity, dict(row))
    return found


def _broken(key: tuple[str, str], by_field: Mapping[str, list[Told]], record: Record) -> list[str]:
    found = []
    for name, rows in by_field.items():
        ordered = sorted(rows, key=_by_version)
        found += [
            f"{key} {name}: {one['new_value']!r} ({one['version']} {one['source']}), "
            f"then from {other['old_value']!r} ({other['version']} {other['source']})"
            for one, other in pairwise(ordered)
            if not _same(name, one["new_value"], other["old_value"])
        ]
        last, stands = ordered[-1], to_json(record.cells.get(name))
        if not _same(name, last["new_value"], stands):
            found.append(
                f"{key} {name}: ends at {last['new_value']!r} ({last['version']} {last['source']}), "
                f"the row says {stands!r} ({record.version_of(name)})"
            )
    return found


def _same(field_name: str, one: Any, other: Any) -> bool:
    if field_name == DELETED_AT:  # when it was becomes known better, and that is no change
        return (one is None) == (other is None)
    return not differ(one, other)


def _compare(one: Told, other: Told) -> int:
    if one["version"] == other["version"]:
        return 0
    return 1 if newer(one["version"], other["version"]) else -1


_by_version = cmp_to_key(_compare)
