"""Events under suspicion of killing workers: attempts are counted before they are made, in a commit of their own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from schema.envelope import Envelope
from schema.errors import CompanyHeld, CrashedWorker
from schema.event import Refusal
from store import suspects
from worker import parking
from worker.applier import Applier
from worker.breaker import BreakerOpen

MOST_ATTEMPTS = 3
_FORGIVE_SECONDS = 2.0

Apply = Callable[[Sequence[Envelope]], Awaitable[None]]


async def apply_alone(applier: Applier, envelope: Envelope, apply: Apply) -> None:
    """Note the attempt before it is made: an event that kills its worker each time is given up by the next one."""
    digest, company_id = parking.digest(envelope), envelope.company_id
    attempts = await applier.persist(lambda connection: suspects.note(connection, digest, company_id))
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
                await applier.persist(lambda connection: suspects.forgive(connection, digest))
        raise
    await applier.persist(lambda connection: suspects.clear(connection, digest))
