"""Whatever an authentic POST brings becomes a row of the journal or a dead letter, and its neighbours land."""

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rig.events import COMPANY, START, envelope, v2_body

from runtime.backoff import Backoff
from runtime.measurements import DEAD_LETTERS, EVENTS
from runtime.metrics import Metrics
from schema.custom_fields import TYPES
from schema.entities import HEARD
from schema.entity import Entity
from schema.envelope import Envelope
from schema.notice import ACTIONS
from store.database import Pool
from worker.applying.applier import Applier, share

SECOND = 1_000_000
HASH = "e" * 40
OUTCOMES = ("applied", "duplicate", "dead_letter", "kept")

tricky = st.sampled_from([
    "", "0", "-1", " 7 ", "١٢", "1_000", "1e5", "1e999", "NaN", "inf", "true", "0000-00-00", "0000-00-00 00:00:00",
    "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-02-30", "2026-W01-1", "20260101", "12:00", "99999:59",
    "24:00:00", "5f0c9a10-17b2-11f1-9e21-6b3a1c7d2e40", "a,b", "1,2,", "\x00", "\ud800", "\U0010ffff", "x" * 3000,
    2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, -0.0, 0.1,
])  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | tricky
names = st.text(max_size=8) | tricky.map(str)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | tricky.map(str), inner, max_size=4)
    ),
    max_leaves=12,
)


def mostly(usual: Any) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(usual), st.just(usual), st.just(usual), st.just(usual), anything)


@st.composite
def records(draw: st.DrawFn, entity: Entity) -> dict[str, Any]:
    """Some columns of the entity, under any name a source has for them, each with anything in it."""
    known = [name for column in entity.columns for name in (column.name, *column.aliases)]
    found = draw(st.dictionaries(st.sampled_from(known), anything, max_size=4))
    found |= draw(st.dictionaries(st.sampled_from([HASH, f"{HASH}_currency", "custom_fields", "more"]), anything))
    if draw(st.booleans()):
        kind = draw(tricky | st.sampled_from(sorted(TYPES)))
        parts = draw(st.dictionaries(st.sampled_from(["id", "value", "values", "until", "currency"]), anything))
        found["custom_fields"] = {HASH: parts | {"type": kind}}
    return {"id": draw(mostly(1)), "update_time": draw(mostly("2026-01-02T03:04:05Z")), **found}


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """Bodies of both versions that look like events, with anything anywhere."""
    entity = draw(st.sampled_from(list(HEARD.values())))
    meta = {
        "action": draw(st.sampled_from(list(ACTIONS)) | mostly("change")),
        "company_id": draw(mostly(COMPANY)), "timestamp": draw(mostly("2026-01-02T03:04:05Z")),
        "user_id": draw(mostly(1)),
    }  # fmt: skip
    now, before = draw(records(entity)), draw(st.none() | records(entity) | anything)
    if draw(st.booleans()):
        named = {"object": draw(mostly(entity.name)), "id": draw(mostly(1)), "v": draw(mostly(1))}
        body: dict[str, Any] = {"current": now, "previous": before, "meta": meta | named}
    else:
        ids = {"entity_id": draw(mostly("1")), "id": draw(st.uuids().map(str) | anything)}
        merge = draw(st.dictionaries(st.sampled_from(["merged_to_id", "merged_from_id"]), scalars))
        body = {"data": now, "previous": before, "meta": meta | ids | merge | {"entity": draw(mostly(entity.name))}}
        body["meta"]["version"] = draw(mostly("2.0"))
    return text(body)


def text(document: Any) -> bytes:
    return json.dumps(document).encode()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def applier(pool: Pool, metrics: Metrics) -> Applier:
    return Applier(pool, metrics, share(metrics, numbered_slugs=False), backoff=Backoff(0.01, 0.05))


_numbers = count(1)


def neighbour() -> tuple[int, Envelope]:
    number = next(_numbers)
    return number, envelope(v2_body("pipeline", 10**12 + number, START + number * SECOND, {"name": "a good one"}))


bounded = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@bounded
@given(st.binary(max_size=200) | anything.map(text) | events())
@example(b"\x1f\x8b\x08\x00damaged gzip")
@example(b'{"meta":' * 400 + b"1" + b"}" * 400)
@example(text({"data": {"id": 1}, "meta": {"entity": "x" * 5000, "version": "2.0", "action": "change"}}))
async def test_any_body_is_accounted_for_and_its_neighbours_land(
    pool: Pool, applier: Applier, metrics: Metrics, body: bytes
) -> None:
    (first, before), (second, after) = neighbour(), neighbour()
    known = sum(metrics.value(EVENTS, outcome) or 0 for outcome in OUTCOMES)

    await applier.apply([before, Envelope(COMPANY, START + first, body), after])

    assert sum(metrics.value(EVENTS, outcome) or 0 for outcome in OUTCOMES) - known >= 3, "each at least once"
    assert metrics.value(DEAD_LETTERS, "apply_failed") is None, "content must never look like a fault of ours"
    ids = [10**12 + first, 10**12 + second]
    async with pool.acquire() as connection:
        landed = "SELECT count(*) FROM pipedrive_raw.pipelines WHERE id = ANY($1)"
        assert await connection.fetchval(landed, ids) == 2
