"""The journal `pipemirror.events`: one row per distinct event, and what it tells about a record."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg

from schema.columns import instant, microseconds
from schema.envelope import Envelope
from schema.event import Event
from schema.version import Version
from store.database import Connection
from store.payload import compress, decompress

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MARK_APPLIED = """
    UPDATE pipemirror.events AS kept SET applied_at = clock_timestamp(), version = found.version,
      entity = found.entity, entity_id = found.entity_id, other_ids = string_to_array(found.other_ids, ',')
    FROM unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[])
      AS found (key, occurred_at, version, entity, entity_id, other_ids)
    WHERE kept.company_id = $1 AND kept.key = found.key AND {occurred_at} AND kept.applied_at IS NULL
"""
# Apart, as otherwise each event would be looked for in the partition of every day.
_MARK_TIMED = _MARK_APPLIED.format(occurred_at="kept.occurred_at = found.occurred_at")
_MARK_TIMELESS = _MARK_APPLIED.format(occurred_at="kept.occurred_at IS NULL")

_OF_RECORDS = """
    SELECT asked.number, found.version, found.received_at, found.payload
    FROM unnest($3::text[], $4::text[], $5::timestamptz[], $6::bigint[]) WITH ORDINALITY
      AS asked (record_id, reached, moment, most, number)
    CROSS JOIN LATERAL (
      SELECT version, received_at, payload FROM pipemirror.events
      WHERE company_id = $1 AND entity = $2 AND entity_id = asked.record_id AND {beyond}
      ORDER BY version {order} LIMIT asked.most
    ) AS found
    ORDER BY number, version {order}
"""
# By time too, so that the partitions of other days are not looked at.
_FOLLOWING = _OF_RECORDS.format(
    beyond="version > asked.reached AND (occurred_at >= asked.moment OR occurred_at IS NULL)", order="ASC"
)
_PRECEDING = _OF_RECORDS.format(
    beyond="version < asked.reached AND (occurred_at <= asked.moment OR occurred_at IS NULL)", order="DESC"
)

Journaled = tuple[Version, Envelope]
"""An event that is part of the history, as it was received."""


class Place(NamedTuple):
    """Where to read a record's events: from behind a version, or a moment as versions begin with, and how many."""

    record_id: str
    reached: str
    most: int


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


async def mark_applied(connection: Connection, company_id: int, events: Sequence[Event]) -> None:
    """Events that were kept without touching a table do so now: their version makes them part of the history."""
    timed = [event for event in events if event.occurred_at is not None]
    timeless = [event for event in events if event.occurred_at is None]
    for query, some in ((_MARK_TIMED, timed), (_MARK_TIMELESS, timeless)):
        if some:
            await connection.execute(query, company_id, *_marks(some))


def _marks(events: Sequence[Event]) -> tuple[list[Any], ...]:
    return (
        [event.key for event in events],
        [event.occurred_at for event in events],
        [event.version for event in events],
        [event.entity for event in events],
        [event.entity_id for event in events],
        [_joined(event) for event in events],
    )


async def of_records(
    connection: Connection, company_id: int, entity: str, places: Sequence[Place], *, backwards: bool
) -> list[list[Journaled]]:
    """For each place the next events there, in order. Not those that are told of another record."""
    records, reached, most = zip(*places, strict=True)
    moments = [instant(int(place[:17])) for place in reached]
    found: list[list[Journaled]] = [[] for _ in places]
    query = _PRECEDING if backwards else _FOLLOWING
    for row in await connection.fetch(query, company_id, entity, records, reached, moments, most):
        found[row["number"] - 1].append(_journaled(company_id, row))
    return found


async def of_several(
    connection: Connection, company_id: int, entity: str, records: Sequence[str], *, between: tuple[str, str]
) -> list[tuple[Sequence[str], Journaled]]:
    """Events that change one of the records besides the one they are told of, and their `other_ids`.

    `between` two versions, or what stands before and behind them.
    """
    rows = await connection.fetch(
        "SELECT other_ids, version, received_at, payload FROM pipemirror.events "
        "WHERE company_id = $1 AND entity = $2 AND other_ids IS NOT NULL AND other_ids && $3::text[] "
        "AND version BETWEEN $4 AND $5",
        company_id, entity, records, *between,
    )  # fmt: skip
    return [(row["other_ids"], _journaled(company_id, row)) for row in rows]


def _journaled(company_id: int, row: asyncpg.Record) -> Journaled:
    return Version(row["version"]), Envelope(company_id, microseconds(row["received_at"]), decompress(row["payload"]))
