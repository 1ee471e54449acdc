"""Events under suspicion of killing workers: attempts are counted before they are made, in a commit of their own."""

from datetime import datetime

from store.database import Connection

MOST_ATTEMPTS = 3


async def note(connection: Connection, digest: bytes) -> int:
    """Count one more attempt; how many it are now."""
    attempts: int = await connection.fetchval(
        "INSERT INTO pipemirror.suspects AS known (digest, attempts) VALUES ($1, 1) "
        "ON CONFLICT (digest) DO UPDATE SET attempts = known.attempts + 1, seen_at = now() RETURNING attempts",
        digest,
    )
    return attempts


async def clear(connection: Connection, digest: bytes) -> None:
    await connection.execute("DELETE FROM pipemirror.suspects WHERE digest = $1", digest)


async def expire(connection: Connection, before: datetime) -> None:
    """Forget attempts that nobody finished and nobody repeated."""
    await connection.execute("DELETE FROM pipemirror.suspects WHERE seen_at < $1", before)
