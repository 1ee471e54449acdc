"""Applying dead letters again, by the same path as everything else, and past the journal's claim."""

from dataclasses import replace

from schema.columns import microseconds
from schema.envelope import Envelope
from schema.event import Event, read
from store import companies, dead_letters, fields
from store.database import Pool, describe
from store.payload import decompress
from worker.applying import mirror, provision

SOURCE = "replay"


async def replay_letter(pool: Pool, letter_id: int, *, numbered_slugs: bool) -> str | None:
    """Apply one open letter and close it; the reason why not, otherwise. Idempotent: folding twice changes nothing."""
    async with pool.acquire() as connection:
        letter = await dead_letters.load(connection, letter_id)
        if letter is None or letter["resolved_at"] is not None:
            return "there is no such open dead letter"
        envelope = Envelope(letter["company_id"], microseconds(letter["received_at"]), decompress(letter["payload"]))
        company = await companies.find(connection, envelope.company_id)
        types = {} if company is None else await fields.types(connection, company.id)
        event = read(envelope, lambda entity: types.get(entity, {}))
        if not isinstance(event, Event):
            return f"{event.problem.code}: {event.problem.reason}"
        if event.unknown:
            return f"there is still no table for entity `{event.entity}`"
        if company is None:
            company = await provision.provision(connection, envelope.company_id, numbered_slugs=numbered_slugs)
        company.types = types  # by which what is around the event is read, too
        try:
            async with connection.transaction():
                if not await mirror.apply_again(connection, company, from_replay(event)):
                    return f"company {company.id} is {company.state}"
                await dead_letters.replayed(connection, letter_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this letter's reason
            return describe(error)
    return None


def from_replay(event: Event) -> Event:
    """The event as the replay's: what it writes says so in `_source`."""
    return replace(event, changes=tuple(replace(change, source=SOURCE) for change in event.changes))
