"""Walking over the journal in a stable order, in portions bounded by number and by bytes.

Applied events are walked record by record in ascending versions: that is the order of an index, and the one in which
a fold has least to do. Events that were only kept have no version yet and come in the order of their receipt.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from schema.columns import microseconds
from schema.entities import ENTITIES
from schema.envelope import Envelope
from store.database import Connection
from store.payload import decompress
from store.replays import Position, Wanted

MOST_BYTES = 8 * 1024 * 1024
_PREFETCH = 25
_COUNT_WITHIN = 600.0
_COLUMNS = "key, entity, entity_id, version, received_at, payload"
_BY_RECORD = ("entity, entity_id, version", ("text", "text", "text"))
_BY_RECEIPT = ("received_at, key", ("timestamptz", "text"))


@dataclass(frozen=True, slots=True)
class Portion:
    """Some envelopes, and where the next portion begins; `after` is None when there is nothing behind."""

    envelopes: list[Envelope]
    after: list[str] | None


async def portion(connection: Connection, wanted: Wanted, until: datetime, place: Position, *, limit: int) -> Portion:
    """The next events from `place` on, in the caller's transaction: at most `limit`, and not many bytes of bodies."""
    query, arguments = _query(wanted, until, place)
    envelopes: list[Envelope] = []
    size, last = 0, None
    async for row in connection.cursor(f"{query} LIMIT {limit}", *arguments, prefetch=_PREFETCH):
        body = decompress(row["payload"])
        envelopes.append(Envelope(place.company, microseconds(row["received_at"]), body))
        size, last = size + len(body), _place_of(row, kept=place.kept)
        if size >= MOST_BYTES:
            break
    complete = len(envelopes) < limit and size < MOST_BYTES
    return Portion(envelopes, None if complete else last)


async def count(connection: Connection, company_id: int, wanted: Wanted, until: datetime) -> int:
    """How many events both walks of a company meet. Counted one by one, which may take long in a large journal."""
    conditions, arguments = _conditions(company_id, wanted, until)
    if wanted.kept_only:
        conditions.append("applied_at IS NULL")
    found: int = await connection.fetchval(
        f"SELECT count(*) FROM pipemirror.events WHERE {' AND '.join(conditions)}", *arguments, timeout=_COUNT_WITHIN
    )
    return found


async def waiting(connection: Connection, company_id: int) -> int:
    """How many events of a company are kept although there is a table for them."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM pipemirror.events WHERE company_id = $1 AND applied_at IS NULL AND entity = ANY($2)",
        company_id, [entity.name for entity in ENTITIES], timeout=_COUNT_WITHIN,
    )  # fmt: skip
    return found


def _query(wanted: Wanted, until: datetime, place: Position) -> tuple[str, list[Any]]:
    conditions, arguments = _conditions(place.company, wanted, until)
    order, kinds = _BY_RECEIPT if place.kept else _BY_RECORD
    conditions.append("applied_at IS NULL" if place.kept else "version IS NOT NULL")
    if place.after is not None:
        values = [f"${len(arguments) + n}::text::{kind}" for n, kind in enumerate(kinds, 1)]
        conditions.append(f"({order}) > ({', '.join(values)})")
        arguments += place.after
    return f"SELECT {_COLUMNS} FROM pipemirror.events WHERE {' AND '.join(conditions)} ORDER BY {order}", arguments


def _conditions(company_id: int, wanted: Wanted, until: datetime) -> tuple[list[str], list[Any]]:
    """Times are compared in a form from which Postgres sees which partitions it need not open."""
    arguments: list[Any] = [company_id, until]
    conditions = ["company_id = $1"]
    own, receipt = ["occurred_at < $2"], ["occurred_at IS NULL", "received_at < $2"]
    if wanted.since is not None:
        arguments.append(wanted.since)
        own.append("occurred_at >= $3")
        receipt.append("received_at >= $3")
    conditions.append(f"({' AND '.join(own)} OR {' AND '.join(receipt)})")
    if wanted.entity is not None:
        arguments.append(wanted.entity)
        conditions.append(f"entity = ${len(arguments)}")
    if wanted.entity_id is not None:
        arguments.append(wanted.entity_id)
        place = f"${len(arguments)}"
        conditions.append(f"(entity_id = {place} OR other_ids @> ARRAY[{place}])")
    return conditions, arguments


def _place_of(row: asyncpg.Record, *, kept: bool) -> list[str]:
    return [row["received_at"].isoformat(), row["key"]] if kept else [row["entity"], row["entity_id"], row["version"]]
