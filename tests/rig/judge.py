"""Judging a mirror: by what the sandbox holds, by the journal, and by a history told anew from the whole journal."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Self

import asyncpg
import orjson
from rig.waiting import EVERY, until

from cli import mirrored
from sandbox.cloud import Truth
from sandbox.compare import differences
from schema.change import Change
from schema.columns import ADDRESS, microseconds, to_json
from schema.custom_fields import canonical
from schema.ddl import HISTORY, quoted, raw_schema
from schema.entities import BY_NAME, ENTITIES
from schema.envelope import Envelope
from schema.event import Event, read
from schema.history import FieldChange, retell
from store import companies, fields, upkeep
from store.database import Pool, create_pool
from store.payload import decompress

SHOWN = 20

_TWICE = """
SELECT entity, entity_id, field, version, count(*) FROM {history}
GROUP BY entity, entity_id, field, version HAVING count(*) > 1
"""

_TOLD = "SELECT entity, entity_id, field, version, old_value, new_value FROM {history} ORDER BY version"


class _Told(NamedTuple):
    """One row of the history, comparable; values as JSON text."""

    entity: str
    entity_id: str
    field: str
    version: str
    old: str
    new: str

    @classmethod
    def of_row(cls, row: Mapping[str, Any], types: Mapping[str, Mapping[str, str]]) -> Self:
        # v1 does not tell types: what was told before the type was known stands in the history as it was received.
        carrier = BY_NAME[row["entity"]].custom_fields or ""
        kind = types.get(carrier, {}).get(row["field"])
        *place, old, new = row.values()
        if kind is not None:
            old, new = canonical(kind, old), canonical(kind, new)
        return cls(*place, *(_text(_said(row["entity"], row["field"], value)) for value in (old, new)))

    @classmethod
    def of_change(cls, change: FieldChange) -> Self:
        name = change.entity.name
        old, new = (_text(_said(name, change.field, to_json(value))) for value in (change.old, change.new))
        return cls(name, str(change.id), change.field, change.version, old, new)


@dataclass(frozen=True, slots=True)
class Judge:
    """Looks at one company's mirror in the database behind `pool`."""

    pool: Pool
    company_id: int

    async def settles(self, truth: Truth, *, within: float = 60.0) -> None:
        """Wait until the mirror equals the truth; fail with what differs when it does not in time."""
        clock = asyncio.get_running_loop().time
        end = clock() + within
        while lines := await self._differences(truth):
            shown = "\n  ".join(lines[:SHOWN])
            assert clock() < end, f"{len(lines)} differences after {within:g} s, such as\n  {shown}"
            await asyncio.sleep(EVERY)

    async def a_minute_passes_for_upkeep(self) -> None:
        """The next worker that looks finds that a round is due; one that starts looks at once."""
        await self.pool.execute(
            "UPDATE pipemirror.upkeep SET begun_at = begun_at - interval '1 minute' WHERE work = $1", upkeep.ROUND
        )

    async def events(self) -> int:
        """Rows of the journal."""
        try:
            count: int = await self.value(
                "SELECT count(*) FROM pipemirror.events WHERE company_id = $1", self.company_id
            )
        except asyncpg.UndefinedTableError:
            return 0  # before the first migration
        return count

    async def holds(self, *, events: int, letters: int = 0) -> None:
        """Wait until the journal has so many rows of the company, and so many letters were parked."""

        async def reached() -> bool:
            return (await self.events(), len(await self.dead_letters())) == (events, letters)

        await until(reached, what=f"{events} events and {letters} dead letters")

    async def keys(self) -> set[str]:
        """The identities of the journaled events."""
        try:
            return {row["key"] for row in await self.rows("SELECT key FROM pipemirror.events")}
        except asyncpg.UndefinedTableError:
            return set()  # before the first migration

    async def dead_letters(self) -> list[dict[str, Any]]:
        query = "SELECT * FROM pipemirror.dead_letters WHERE company_id = $1 ORDER BY id"
        try:
            return await self.rows(query, self.company_id)
        except asyncpg.UndefinedTableError:
            return []  # before the first migration

    async def history_is_right(self) -> None:
        """Fail unless `field_changes` tells what the whole journal tells at once: nothing twice, missing or broken."""
        async with self.pool.acquire() as connection:
            company = await companies.find(connection, self.company_id)
            types = await fields.types(connection, self.company_id)
        assert company is not None, "the company is not known"
        history = f"{quoted(raw_schema(company.slug))}.{HISTORY}"
        twice = await self.rows(_TWICE.format(history=history))
        assert not twice, f"{len(twice)} are told twice, such as {twice[:3]}"
        rows = [_Told.of_row(row, types) for row in await self.rows(_TOLD.format(history=history))]
        told, should = set(rows), {_Told.of_change(change) for change in await self._told_at_once()}
        broken = [pair for pair in _successive(rows) if pair[0].new != pair[1].old]
        assert not broken, f"{len(broken)} do not follow from what was before, such as {broken[:3]}"
        missing, extra = sorted(should - told), sorted(told - should)
        assert not missing, f"{len(missing)} changes are not told, such as {missing[:3]}; {len(extra)} too much"
        assert not extra, f"{len(extra)} changes are told that were none, such as {extra[:3]}"

    async def no_tombstone_was_revived(self) -> None:
        """Fail if a row lives whose newest journaled event is its delete."""
        newest: dict[tuple[str, str], Change] = {}
        for change in await self._changes():
            key = (change.entity.name, str(change.id))
            if key not in newest or newest[key].version < change.version:
                newest[key] = change
        async with self.pool.acquire() as connection:
            rows = await mirrored.read(connection, self.company_id)
        for entity in ENTITIES:
            for record_id, row in rows[entity.name].items():
                change = newest[entity.name, str(record_id)]
                assert (row["_deleted_at"] is not None) == change.deleted, (entity.name, record_id)

    async def value(self, query: str, *arguments: Any) -> Any:
        async with self.pool.acquire() as connection:
            return await connection.fetchval(query, *arguments)

    async def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        async with self.pool.acquire() as connection:
            return [dict(row) for row in await connection.fetch(query, *arguments)]

    async def _differences(self, truth: Truth) -> list[str]:
        try:
            async with self.pool.acquire() as connection:
                return differences(truth, await mirrored.read(connection, self.company_id))
        except (asyncpg.UndefinedTableError, asyncpg.PostgresConnectionError, OSError) as error:
            return [f"cannot be read: {error}"]

    async def _told_at_once(self) -> list[FieldChange]:
        by_record: defaultdict[tuple[str, str], list[Change]] = defaultdict(list)
        for change in await self._changes():
            by_record[change.entity.name, str(change.id)].append(change)
        return [told for changes in by_record.values() for told in retell(changes, {})]

    async def _changes(self) -> list[Change]:
        async with self.pool.acquire() as connection:
            types = await fields.types(connection, self.company_id)
            rows = await connection.fetch(
                "SELECT received_at, payload FROM pipemirror.events WHERE company_id = $1 AND version IS NOT NULL",
                self.company_id,
            )
        envelopes = [
            Envelope(self.company_id, microseconds(row["received_at"]), decompress(row["payload"])) for row in rows
        ]
        events = [read(envelope, lambda entity: types.get(entity, {})) for envelope in envelopes]
        return [change for event in events if isinstance(event, Event) for change in event.changes]


@asynccontextmanager
async def judging(dsn: str, company_id: int) -> AsyncIterator[Judge]:
    pool = await create_pool(dsn, size=2, application="tests")
    try:
        yield Judge(pool, company_id)
    finally:
        pool.terminate()


def _successive(rows: Iterable[_Told]) -> Iterator[tuple[_Told, _Told]]:
    """Pairs of changes of one cell, the one after the other."""
    by_cell: defaultdict[tuple[str, ...], list[_Told]] = defaultdict(list)
    for row in rows:
        by_cell[row[:3]].append(row)
    for changes in by_cell.values():
        yield from pairwise(changes)


def _said(entity: str, field: str, value: Any) -> Any:
    """Of an address its line: v1 tells its parts as well, v2 does not, and the history tells what was known of them."""
    found = BY_NAME[entity]
    if value is None or not found.has(field) or found.column(field).type is not ADDRESS:
        return value
    return value.get("value")


def _text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
