"""Attempts at events under suspicion of killing workers, counted in the database: whoever counts may not live on."""

from datetime import datetime

from store.database import Connection


async def note(connection: Connection, digest: bytes, company_id: int) -> int:
    """Count one more attempt; how many it are now."""
    attempts: int = await connection.fetchval(
        "INSERT INTO pipemirror.suspects AS known (digest, company_id, attempts) VALUES ($1, $2, 1) "
        "ON CONFLICT (digest) DO UPDATE SET attempts = known.attempts + 1, seen_at = now() RETURNING attempts",
        digest,
        company_id,
    )
    return attempts


async def forgive(connection: Connection, digest: bytes) -> None:
    """Count one attempt less."""
    left = await connection.fetchval(
        "UPDATE pipemirror.suspects SET attempts = attempts - 1 WHERE digest = $1 RETURNING attempts", digest
    )
    if left is not None and left <= 0:
        await clear(connection, digest)


async def clear(connection: Connection, digest: bytes) -> None:
    await connection.execute("DELETE FROM pipemirror.suspects WHERE digest = $1", digest)


async def expire(connection: Connection, before: datetime) -> None:
    """Forget attempts that nobody finished and nobody repeated."""
    await connection.execute("DELETE FROM pipemirror.suspects WHERE seen_at < $1", before)
