"""The one dead-letter store: what could not be applied, why, and the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from store.database import Connection

MOST_PER_UNKNOWN_ENTITY = 100
"""A new entity of Pipedrive's would fill the store: beyond this its events are only journaled and counted."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One letter about to be parked. `digest` tells it from every other delivery; `payload` is compressed."""

    company_id: int
    entity: str | None
    entity_id: str | None
    action: str | None
    code: str
    reason: str
    received_at: datetime
    digest: bytes
    payload: bytes


async def park(connection: Connection, letters: Sequence[DeadLetter]) -> int:
    """How many are new: a message that comes again parks nothing twice."""
    if not letters:
        return 0
    ordered = sorted(letters, key=lambda letter: letter.digest)
    columns = (
        "company_id", "entity", "entity_id", "action", "code", "reason", "received_at", "digest", "payload",
    )  # fmt: skip
    rows = await connection.fetch(
        f"INSERT INTO pipemirror.dead_letters ({', '.join(columns)}) "
        "SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], "
        "$7::timestamptz[], $8::bytea[], $9::bytea[]) ON CONFLICT (digest) DO NOTHING RETURNING id",
        *([getattr(letter, column) for letter in ordered] for column in columns),
    )
    return len(rows)


async def parked_unknown(connection: Connection, company_id: int, entity: str) -> int:
    """Open dead letters of an unknown entity."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM pipemirror.dead_letters "
        "WHERE company_id = $1 AND code = 'unknown_entity' AND entity = $2 AND resolved_at IS NULL",
        company_id,
        entity,
    )
    return found


async def open_letters(connection: Connection, limit: int | None = None) -> list[dict[str, Any]]:
    """The open letters without their payload, newest first."""
    rows = await connection.fetch(
        "SELECT id, company_id, entity, entity_id, action, code, reason, received_at FROM pipemirror.dead_letters "
        "WHERE resolved_at IS NULL ORDER BY id DESC LIMIT $1",
        limit,
    )
    return [dict(row) for row in rows]


async def load(connection: Connection, letter_id: int) -> dict[str, Any] | None:
    row = await connection.fetchrow("SELECT * FROM pipemirror.dead_letters WHERE id = $1", letter_id)
    return dict(row) if row else None


async def resolve(connection: Connection, letter_id: int, resolution: str) -> bool:
    """Close an open letter as `replayed` or `discarded`; whether it was open."""
    closed = await connection.fetchval(
        "UPDATE pipemirror.dead_letters SET resolved_at = now(), resolution = $2 "
        "WHERE id = $1 AND resolved_at IS NULL RETURNING id",
        letter_id,
        resolution,
    )
    return closed is not None


async def expire(connection: Connection, before: datetime) -> None:
    """Forget letters that were resolved before that moment."""
    await connection.execute("DELETE FROM pipemirror.dead_letters WHERE resolved_at < $1", before)
