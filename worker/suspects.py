"""Events under suspicion of killing workers: attempts are counted before they are made, in a commit of their own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime

from schema.envelope import Envelope
from schema.errors import CompanyHeld, CrashedWorker
from schema.event import Refusal
from store.database import Connection
from worker import parking
from worker.applier import Applier
from worker.breaker import BreakerOpen

MOST_ATTEMPTS = 3
_FORGIVE_SECONDS = 2.0

Apply = Callable[[Sequence[Envelope]], Awaitable[None]]


async def apply_alone(applier: Applier, envelope: Envelope, apply: Apply) -> None:
    """Note the attempt before it is made: an event that kills its worker each time is given up by the next one."""
    digest, company_id = parking.digest(envelope), envelope.company_id
    attempts = await applier.persist(lambda connection: note(connection, digest, company_id))
    try:
        if attempts > MOST_ATTEMPTS:
            problem = CrashedWorker(f"{attempts - 1} workers died while they applied this event")
            await applier.park([parking.of_refusal(Refusal(envelope, problem, parking.about(envelope)))])
        else:
            await apply([envelope])
    except (BreakerOpen, CompanyHeld, asyncio.CancelledError):
        # The worker ends by itself, or goes on: that is not the event killing it.
        with suppress(TimeoutError):
            async with asyncio.timeout(_FORGIVE_SECONDS):
                await applier.persist(lambda connection: forgive(connection, digest))
        raise
    await applier.persist(lambda connection: clear(connection, digest))


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
