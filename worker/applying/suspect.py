"""Work under suspicion of killing workers: attempts are counted before they are made, in a commit of their own.

A message that was given back now and then is tried as a whole first, for most are innocent: they were at hand when
workers were restarted. Only one whose attempt did not end is tried event by event.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from hashlib import blake2b

from schema.envelope import NOBODY, Envelope
from schema.errors import CompanyHeld, CrashedWorker
from schema.event import Refusal
from store import suspects
from worker.applying import parking
from worker.applying.applier import Applier
from worker.applying.breaker import BreakerOpen

MOST_ATTEMPTS = 3
_FORGIVE_SECONDS = 2.0

Apply = Callable[[Sequence[Envelope]], Awaitable[None]]


async def apply_message(applier: Applier, envelopes: Sequence[Envelope]) -> None:
    """Apply a message's envelopes, together if that was not begun before.

    One of several companies is counted as nobody's: a purge deletes what is counted of its company, and that the
    message did not end is to be known for the others' sake. What stays of it is a digest, for a day at most.
    """
    if len(envelopes) == 1:
        await apply_alone(applier, envelopes[0], applier.apply)
        return

    async def attempt(number: int) -> None:
        if number == 1:
            await applier.apply(envelopes)
            return
        for envelope in envelopes:
            await apply_alone(applier, envelope, applier.apply)

    companies = {envelope.company_id for envelope in envelopes}
    company_id = companies.pop() if len(companies) == 1 else NOBODY
    await _counted(applier, digest(envelopes), company_id, attempt)


async def apply_alone(applier: Applier, envelope: Envelope, apply: Apply) -> None:
    """An event that kills its worker each time is given up by the next one."""

    async def attempt(number: int) -> None:
        if number > MOST_ATTEMPTS:
            problem = CrashedWorker(f"{number - 1} workers died while they applied this event")
            await applier.park([parking.of_refusal(Refusal(envelope, problem, parking.about(envelope)))])
        else:
            await apply([envelope])

    await _counted(applier, parking.digest(envelope), envelope.company_id, attempt)


def digest(envelopes: Sequence[Envelope]) -> bytes:
    """Tells one message of several envelopes from every other one."""
    return blake2b(b"".join(map(parking.digest, envelopes)), digest_size=16).digest()


async def _counted(
    applier: Applier, suspected: bytes, company_id: int, attempt: Callable[[int], Awaitable[None]]
) -> None:
    """Make an attempt that knows its number, the first one being 1."""
    number = await applier.persist(lambda connection: suspects.note(connection, suspected, company_id))
    try:
        await attempt(number)
    except (BreakerOpen, CompanyHeld, asyncio.CancelledError):
        # The worker ends by itself, or goes on: that is nothing that killed it.
        with suppress(TimeoutError):
            async with asyncio.timeout(_FORGIVE_SECONDS):
                await applier.persist(lambda connection: suspects.forgive(connection, suspected))
        raise
    await applier.persist(lambda connection: suspects.clear(connection, suspected))
