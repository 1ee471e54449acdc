"""Webhook bodies for tests of the reader: company, record 8 and time are given, the rest is what a test says."""

import json
from datetime import UTC, datetime
from typing import Any

from schema.change import Change
from schema.envelope import Envelope
from schema.event import Event, Refusal, read

COMPANY = 7301984
RECEIVED = 1_795_000_000_000_000
AT = datetime(2026, 3, 4, 12, 0, 5, 426_000, UTC)
LEAD = "5f0c9a10-17b2-11f1-9e21-6b3a1c7d2e40"
EVENT_ID = "8818e477-972e-4ddb-8d8e-cb61a933db4e"


def v2(entity: str = "deal", action: str = "change", data: Any = None, previous: Any = None, **meta: Any) -> bytes:
    named = {
        "action": action, "company_id": str(COMPANY), "entity": entity, "entity_id": "8", "id": EVENT_ID,
        "timestamp": "2026-03-04T12:00:05.426Z", "user_id": "11", "version": "2.0", "webhook_id": "1", "attempt": 1,
    }  # fmt: skip
    return json.dumps({"data": data, "previous": previous, "meta": named | meta}).encode()


def v1(object_: str, action: str = "updated", current: Any = None, previous: Any = None, **meta: Any) -> bytes:
    named = {
        "v": 1, "action": action, "object": object_, "id": 8, "company_id": COMPANY, "user_id": 11, "webhook_id": "1",
        "timestamp": 1_772_625_605, "timestamp_micro": 1_772_625_605_426_000,
    }  # fmt: skip
    retry = meta.pop("retry", 0)
    return json.dumps({"v": 1, "current": current, "previous": previous, "meta": named | meta, "retry": retry}).encode()


def event(body: bytes, types: dict[str, str] | None = None) -> Event:
    found = read(Envelope(COMPANY, RECEIVED, body), lambda _: types or {})
    assert isinstance(found, Event), found
    return found


def change(body: bytes, types: dict[str, str] | None = None) -> Change:
    (only,) = event(body, types).changes
    return only


def refused(body: bytes) -> Refusal:
    found = read(Envelope(COMPANY, RECEIVED, body), lambda _: {})
    assert isinstance(found, Refusal), found
    return found
