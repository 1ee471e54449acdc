"""Events of companies that cannot be written now: kept in the ops schema until they can be."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from store.database import Connection


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """One event that waits. `payload` is compressed; `claims` counts attempts to apply it that did not end."""

    digest: bytes
    company_id: int
    received_at: datetime
    payload: bytes
    claims: int = 0


async def keep(connection: Connection, events: Iterable[HeldEvent]) -> None:
    """One that is there already is left as it is: a message that comes again holds nothing twice."""
    ordered = sorted(events, key=lambda event: event.digest)
    await connection.execute(
        "INSERT INTO pipemirror.held (digest, company_id, received_at, payload) "
        "SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::timestamptz[], $4::bytea[]) ON CONFLICT DO NOTHING",
        [event.digest for event in ordered],
        [event.company_id for event in ordered],
        [event.received_at for event in ordered],
        [event.payload for event in ordered],
    )


async def waiting(connection: Connection) -> set[int]:
    """Companies of which events wait, at a cost that does not grow with the events."""
    rows = await connection.fetch(
        """
        WITH RECURSIVE found (id) AS (
            SELECT min(company_id) FROM pipemirror.held
            UNION ALL
            SELECT (SELECT min(company_id) FROM pipemirror.held WHERE company_id > id) FROM found WHERE id IS NOT NULL)
        SELECT id FROM found WHERE id IS NOT NULL
        """
    )
    return {row["id"] for row in rows}


async def counts(connection: Connection) -> dict[int, int]:
    """Company -> events that wait. Reads all of them."""
    rows = await connection.fetch("SELECT company_id, count(*) AS events FROM pipemirror.held GROUP BY company_id")
    return {row["company_id"]: row["events"] for row in rows}


async def claim(connection: Connection, company_id: int, *, most: int, lease: timedelta) -> list[HeldEvent]:
    """The oldest ones that no other worker is at; they are the caller's until they are deleted, freed, or too old."""
    rows = await connection.fetch(
        """
        UPDATE pipemirror.held SET claimed_at = now(), claims = claims + 1
        WHERE digest IN (
            SELECT digest FROM pipemirror.held
            WHERE company_id = $1 AND (claimed_at IS NULL OR claimed_at < now() - $3::interval)
            ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED)
        RETURNING digest, company_id, received_at, payload, claims
        """,
        company_id,
        most,
        lease,
    )
    return sorted((HeldEvent(**row) for row in rows), key=lambda event: event.received_at)


async def free(connection: Connection, digests: Sequence[bytes]) -> None:
    """The attempt ended, and not well: whoever comes next may claim them, and suspects nothing."""
    await connection.execute(
        "UPDATE pipemirror.held SET claimed_at = NULL, claims = 0 WHERE digest = ANY($1::bytea[])", digests
    )


async def delete(connection: Connection, digests: Sequence[bytes]) -> None:
    await connection.execute("DELETE FROM pipemirror.held WHERE digest = ANY($1::bytea[])", digests)
