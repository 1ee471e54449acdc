"""Small events for tests: what a webhook body says, with as little as a reader must know."""

import json
from typing import Any

from schema.envelope import Envelope
from schema.event import Event, read

COMPANY = 7_654_321
START = 1_764_000_000_000_000
"""Microseconds: a moment in November 2025; tests count from here."""


def v2_body(
    entity: str,
    record_id: Any,
    at: int,
    data: dict[str, Any] | None,
    *,
    previous: dict[str, Any] | None = None,
    action: str = "change",
    event_id: str | None = None,
    **meta: Any,
) -> bytes:
    """A webhook v2 about one record; `at` in microseconds, told in milliseconds as Pipedrive does."""
    named = {
        "action": action,
        "company_id": str(COMPANY),
        "entity": entity,
        "entity_id": str(record_id),
        "id": event_id or f"{entity}-{record_id}-{at}-{action}",
        "timestamp": at // 1000,
        "user_id": "11",
        "version": "2.0",
    }
    full = None if data is None else {"id": record_id} | data
    return json.dumps({"data": full, "previous": previous, "meta": named | meta}).encode()


def envelope(body: bytes, company_id: int = COMPANY, received_at: int = START) -> Envelope:
    return Envelope(company_id, received_at, body)


def event(body: bytes, company_id: int = COMPANY, received_at: int = START) -> Event:
    """The body, read; it must be readable."""
    found = read(envelope(body, company_id, received_at), lambda _: {})
    assert isinstance(found, Event), found
    return found


def deal(at: int, record_id: int = 1, *, action: str = "change", company_id: int = COMPANY, **data: Any) -> Event:
    """A deal event `at` microseconds after START. Data keys that are not given are not carried."""
    moment = START + at
    told = data | {"update_time": moment // 1_000_000}
    body = v2_body(
        "deal", record_id, moment, None if action == "delete" else told,
        previous=({"id": record_id} | told) if action == "delete" else None,
        action=action, company_id=str(company_id),
    )  # fmt: skip
    return event(body, company_id)
