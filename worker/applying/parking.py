"""Making dead letters of what cannot be applied, and held events of what cannot be applied now."""

import hashlib
from collections import Counter
from collections.abc import Iterable

from schema import notice
from schema.columns import instant, microseconds
from schema.envelope import Envelope
from schema.errors import BadContent, UnknownEntity
from schema.event import Event, Refusal
from store import dead_letters
from store.database import Connection
from store.dead_letters import DeadLetter
from store.held import HeldEvent
from store.payload import compress, decompress

MOST_REASON = 500


def digest(envelope: Envelope) -> bytes:
    """Tells one POST from every other one; equal for copies of the same POST by queue or spool."""
    found = hashlib.blake2b(envelope.body, digest_size=16)
    found.update(f"{envelope.company_id}:{envelope.received_at}".encode())
    return found.digest()


def about(envelope: Envelope) -> dict[str, str | None]:
    """What a body says it is about, as far as it can be read without trusting it."""
    try:
        return notice.subject(notice.parse(envelope.body))
    except BadContent:
        return {}


def of_refusal(refusal: Refusal) -> DeadLetter:
    return _letter(refusal.envelope, refusal.problem, refusal.about)


def of_event(event: Event, problem: BadContent) -> DeadLetter:
    about = {"entity": event.entity, "entity_id": event.entity_id, "action": event.action}
    return _letter(event.envelope, problem, about)


def to_hold(envelope: Envelope) -> HeldEvent:
    received = instant(envelope.received_at)
    return HeldEvent(digest(envelope), envelope.company_id, received, compress(envelope.body))


def from_hold(event: HeldEvent) -> Envelope:
    return Envelope(event.company_id, microseconds(event.received_at), decompress(event.payload))


async def of_unknown_entities(connection: Connection, events: Iterable[Event]) -> list[DeadLetter]:
    """Letters for events of entities that have no table, up to the most that one entity may fill."""
    letters: list[DeadLetter] = []
    parked: Counter[tuple[int, str]] = Counter()
    for event in events:
        if not event.unknown:
            continue
        kind = (event.envelope.company_id, event.entity)
        if kind not in parked:
            parked[kind] = await dead_letters.parked_unknown(connection, *kind)
        if parked[kind] < dead_letters.MOST_PER_UNKNOWN_ENTITY:
            parked[kind] += 1
            letters.append(of_event(event, UnknownEntity(f"no table for entity `{event.entity}`")))
    return letters


def _letter(envelope: Envelope, problem: BadContent, about: dict[str, str | None]) -> DeadLetter:
    return DeadLetter(
        company_id=envelope.company_id,
        entity=about.get("entity"),
        entity_id=about.get("entity_id"),
        action=about.get("action"),
        code=problem.code,
        reason=problem.reason[:MOST_REASON],
        received_at=instant(envelope.received_at),
        digest=digest(envelope),
        payload=compress(envelope.body),
    )
