"""The journal `pipemirror.events`: one row per distinct event, and what it tells about a record."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import zstandard

from schema.columns import microseconds
from schema.envelope import Envelope
from schema.event import Event
from schema.version import Version
from store.database import Connection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_PAYLOAD = 64 * 1024 * 1024

# One context each for the process: making one costs more than compressing a body.
_compressor = zstandard.ZstdCompressor(level=1)
_decompressor = zstandard.ZstdDecompressor()

Journaled = tuple[Version, Envelope]
"""An event that is part of the history, as it was received."""

Place = tuple[str, str, int]
"""Where to read a record's events: its id, the version behind which to begin (or a moment, as text), how many."""

Ask = Callable[["Connection", int, str, Sequence[Place]], Awaitable[dict[str, list[Journaled]]]]

_OF_RECORDS = """
    SELECT asked.record, found.version, found.received_at, found.payload
    FROM unnest($3::text[], $4::text[], $5::timestamptz[], $6::bigint[]) AS asked (record, place, moment, most)
    CROSS JOIN LATERAL (
      SELECT version, received_at, payload FROM pipemirror.events
      WHERE company_id = $1 AND entity = $2 AND entity_id = asked.record AND {behind}
      ORDER BY version {order} LIMIT asked.most
    ) AS found
"""
# By time too, so that the partitions of other days are not looked at.
_FOLLOWING = _OF_RECORDS.format(
    behind="version > asked.place AND (occurred_at >= asked.moment OR occurred_at IS NULL)", order="ASC"
)
_PRECEDING = _OF_RECORDS.format(
    behind="version < asked.place AND (occurred_at <= asked.moment OR occurred_at IS NULL)", order="DESC"
)
_OF_SEVERAL = """
    SELECT other_ids, version, received_at, payload FROM pipemirror.events
    WHERE company_id = $1 AND entity = $2 AND other_ids IS NOT NULL AND other_ids && $3::text[] AND version IS NOT NULL
"""


def compress(body: bytes) -> bytes:
    return _compressor.compress(body)


def decompress(payload: bytes) -> bytes:
    return _decompressor.decompress(payload, max_output_size=_MAX_PAYLOAD)


def instant(since_1970: int) -> datetime:
    """Exact for microseconds, which a float would not be."""
    return _EPOCH + timedelta(microseconds=since_1970)


async def claim(connection: Connection, company_id: int, events: Sequence[Event], *, applied: bool) -> list[Event]:
    """Enter the events that are not in the journal yet, and return these. In key order, as every worker does.

    An event that is kept without being `applied` gets no version: it is no part of the history.
    """
    first = {(event.key, event.occurred_at): event for event in reversed(events)}
    ordered = sorted(first.values(), key=lambda event: (event.key, event.occurred_at or _EPOCH))
    rows = await connection.fetch(
        """
        INSERT INTO pipemirror.events (company_id, key, entity, entity_id, other_ids, action, occurred_at, received_at,
                                       version, payload, applied_at, source)
        SELECT $1, key, entity, entity_id, string_to_array(other_ids, ','), action, occurred_at, received_at, version,
               payload, CASE WHEN version IS NOT NULL THEN clock_timestamp() END, 'webhook'
        FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[],
                    $9::text[], $10::bytea[])
          AS found (key, entity, entity_id, other_ids, action, occurred_at, received_at, version, payload)
        ON CONFLICT DO NOTHING
        RETURNING key, occurred_at
        """,
        company_id,
        *_columns(ordered, applied=applied),
    )
    return [first[row["key"], row["occurred_at"]] for row in rows]


def _columns(events: Sequence[Event], *, applied: bool) -> tuple[list[Any], ...]:
    return (
        [event.key for event in events],
        [event.entity for event in events],
        [event.entity_id for event in events],
        [_joined(event) for event in events],
        [event.action for event in events],
        [event.occurred_at for event in events],
        [instant(event.envelope.received_at) for event in events],
        [event.version if applied else None for event in events],
        [compress(event.envelope.body) for event in events],
    )


def _joined(event: Event) -> str | None:
    """An array of arrays cannot be unnested row by row; ids hold no comma."""
    return ",".join(event.other_ids) or None


async def mark_applied(connection: Connection, company_id: int, event: Event) -> None:
    """An event that was kept without touching a table does so now: its version is what makes it part of the history."""
    await connection.execute(
        "UPDATE pipemirror.events SET applied_at = clock_timestamp(), version = $4, entity = $5, entity_id = $6, "
        "other_ids = string_to_array($7, ',') "
        "WHERE company_id = $1 AND key = $2 AND occurred_at IS NOT DISTINCT FROM $3 AND applied_at IS NULL",
        company_id, event.key, event.occurred_at, event.version, event.entity, event.entity_id, _joined(event),
    )  # fmt: skip


async def following(
    connection: Connection, company_id: int, entity: str, places: Sequence[Place]
) -> dict[str, list[Journaled]]:
    """Of each record, by id: the events behind its place, in order. Not those that are told of another record."""
    return await _of_records(connection, _FOLLOWING, company_id, entity, places)


async def preceding(
    connection: Connection, company_id: int, entity: str, places: Sequence[Place]
) -> dict[str, list[Journaled]]:
    """As `following`, backwards."""
    return await _of_records(connection, _PRECEDING, company_id, entity, places)


async def _of_records(
    connection: Connection, query: str, company_id: int, entity: str, places: Sequence[Place]
) -> dict[str, list[Journaled]]:
    records, behind, most = zip(*places, strict=True)
    moments = [instant(int(place[:17])) for place in behind]
    found: dict[str, list[Journaled]] = {record: [] for record in records}
    for row in await connection.fetch(query, company_id, entity, records, behind, moments, most):
        found[row["record"]].append(_journaled(company_id, row))
    return found


async def of_several(
    connection: Connection, company_id: int, entity: str, records: Sequence[str]
) -> list[tuple[Sequence[str], Journaled]]:
    """All events that change one of the records besides the one they are told of: their `other_ids`, and they."""
    rows = await connection.fetch(_OF_SEVERAL, company_id, entity, records)
    return [(row["other_ids"], _journaled(company_id, row)) for row in rows]


def _journaled(company_id: int, row: asyncpg.Record) -> Journaled:
    body = decompress(row["payload"])
    return Version(row["version"]), Envelope(company_id, microseconds(row["received_at"]), body)
