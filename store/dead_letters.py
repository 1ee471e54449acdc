"""The one dead-letter store: what could not be applied, why, and the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from store import companies
from store.companies import PURGED
from store.database import Connection

MOST_PER_UNKNOWN_ENTITY = 100
"""A new entity of Pipedrive's would fill the store: beyond this its events are only journaled and counted."""


_BEYOND = 2**63 - 1


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
    """How many are new: a message that comes again parks nothing twice, and of a purged company nothing is kept."""
    if not letters:
        return 0
    async with connection.transaction():
        purged = await _purged(connection, sorted({letter.company_id for letter in letters}))
        kept = [letter for letter in letters if letter.company_id not in purged]
        ordered = sorted(kept, key=lambda letter: letter.digest)
        rows = await connection.fetch(_PARK, *([getattr(letter, column) for letter in ordered] for column in _PARKED))
    return len(rows)


_PARKED = ("company_id", "entity", "entity_id", "action", "code", "reason", "received_at", "digest", "payload")
_PARK = (
    f"INSERT INTO pipemirror.dead_letters ({', '.join(_PARKED)}) "
    "SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], "
    "$7::timestamptz[], $8::bytea[], $9::bytea[]) ON CONFLICT (digest) DO NOTHING RETURNING id"
)


async def _purged(connection: Connection, company_ids: Sequence[int]) -> set[int]:
    """Which of them are purged; none of the others can be, before this transaction ends."""
    purged = set()
    for company_id in company_ids:
        company = await companies.find(connection, company_id)
        if company is not None and await companies.lock_shared(connection, company) == PURGED:
            purged.add(company_id)
    return purged


async def parked_unknown(connection: Connection, company_id: int, entity: str) -> int:
    """Open dead letters of an unknown entity."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM pipemirror.dead_letters "
        "WHERE company_id = $1 AND code = 'unknown_entity' AND entity = $2 AND resolved_at IS NULL",
        company_id,
        entity,
    )
    return found


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which open letters are meant; None does not restrict. Times are those of receipt, `until` is exclusive.

    up_to  the highest id: those that are parked meanwhile are not meant
    """

    ids: tuple[int, ...] | None = None
    company_id: int | None = None
    entity: str | None = None
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    up_to: int | None = None

    def where(self) -> tuple[str, list[Any]]:
        """A condition and its parameters, from $1 on."""
        parts, values = ["resolved_at IS NULL"], []
        for condition, value in (
            ("id = ANY(${}::bigint[])", None if self.ids is None else list(self.ids)),
            ("company_id = ${}", self.company_id),
            ("entity = ${}", self.entity),
            ("code = ${}", self.code),
            ("received_at >= ${}", self.since),
            ("received_at < ${}", self.until),
            ("id <= ${}", self.up_to),
        ):
            if value is not None:
                values.append(value)
                parts.append(condition.format(len(values)))
        return " AND ".join(parts), values


ALL = Chosen()


async def open_letters(
    connection: Connection, limit: int | None = None, chosen: Chosen = ALL, *, below: int | None = None
) -> list[dict[str, Any]]:
    """Open letters without their payload, newest first; `below`: of smaller ids only, for the next page."""
    where, values = chosen.where()
    rows = await connection.fetch(
        "SELECT id, company_id, entity, entity_id, action, code, reason, received_at FROM pipemirror.dead_letters "
        f"WHERE {where} AND id < ${len(values) + 1} ORDER BY id DESC LIMIT ${len(values) + 2}",
        *values, below or _BEYOND, limit,
    )  # fmt: skip
    return [dict(row) for row in rows]


async def next_ids(connection: Connection, chosen: Chosen, *, above: int, limit: int) -> list[int]:
    """Ids of open letters in ascending order."""
    where, values = chosen.where()
    rows = await connection.fetch(
        f"SELECT id FROM pipemirror.dead_letters WHERE {where} AND id > ${len(values) + 1} ORDER BY id LIMIT {limit}",
        *values, above,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def count(connection: Connection, chosen: Chosen) -> tuple[int, int]:
    """How many letters are meant, and the highest id among them."""
    where, values = chosen.where()
    row = await connection.fetchrow(
        f"SELECT count(*), coalesce(max(id), 0) FROM pipemirror.dead_letters WHERE {where}", *values
    )
    assert row is not None  # an aggregate always has a row
    return row[0], row[1]


async def discard(connection: Connection, ids: Sequence[int]) -> int:
    """Close open letters unapplied; how many were open."""
    closed = await connection.fetch(
        "UPDATE pipemirror.dead_letters SET resolved_at = now(), resolution = 'discarded' "
        "WHERE id = ANY($1::bigint[]) AND resolved_at IS NULL RETURNING id",
        list(ids),
    )
    return len(closed)


async def load(connection: Connection, letter_id: int) -> dict[str, Any] | None:
    row = await connection.fetchrow("SELECT * FROM pipemirror.dead_letters WHERE id = $1", letter_id)
    return dict(row) if row else None


async def replayed(connection: Connection, letter_id: int) -> None:
    """Close an open letter, in the transaction that applied it."""
    await connection.execute(
        "UPDATE pipemirror.dead_letters SET resolved_at = now(), resolution = 'replayed' "
        "WHERE id = $1 AND resolved_at IS NULL",
        letter_id,
    )


async def expire(connection: Connection, before: datetime) -> None:
    """Forget letters that were resolved before that moment."""
    await connection.execute("DELETE FROM pipemirror.dead_letters WHERE resolved_at < $1", before)
