"""v1 tells values without their types: whoever knows them first, the same value told twice is no change."""

import asyncio
import json
from typing import Any

import pytest
from rig.events import COMPANY, START, envelope, v2_body
from rig.mirrored import company_of
from rig.waiting import until_somebody_waits

from runtime.backoff import Backoff
from runtime.metrics import Metrics
from schema.envelope import Envelope
from schema.event import Event, read
from store import dead_letters, fields
from store.database import Pool
from store.dead_letters import DeadLetter
from worker.applying import mirror
from worker.applying.applier import Applier, share
from worker.applying.known_companies import KnownCompanies

ENUM = "e" * 40
SECOND = 1_000_000


def worker(pool: Pool) -> Applier:
    """Each knows only what it has learnt itself, and what the database told it when it met the company."""
    return Applier(pool, Metrics(), share(Metrics(), numbered_slugs=False), backoff=Backoff(0.01, 0.05))


def v1(record_id: int, at: int, option: str) -> Envelope:
    moment = START + at
    meta = {"v": 1, "action": "updated", "object": "deal", "id": record_id, "company_id": COMPANY}
    times = {"timestamp": moment // SECOND, "timestamp_micro": moment}
    current = {"id": record_id, "update_time": moment // SECOND, ENUM: option}
    return envelope(json.dumps({"v": 1, "meta": meta | times, "current": current, "previous": None}).encode())


def v2(record_id: int, at: int, option: int) -> Envelope:
    return envelope(v2_body("deal", record_id, START + at, {"custom_fields": {ENUM: {"type": "enum", "id": option}}}))


async def options(pool: Pool) -> dict[int, Any]:
    async with pool.acquire() as connection:
        rows = await connection.fetch("SELECT id, custom_fields, _untyped FROM pipedrive_raw.deals")
    assert all(row["_untyped"] is None for row in rows)
    return {row["id"]: row["custom_fields"][ENUM] for row in rows if row["custom_fields"]}


async def history(pool: Pool) -> list[tuple[Any, ...]]:
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT entity_id, old_value, new_value FROM pipedrive_raw.field_changes WHERE field = $1", ENUM
        )
    return [tuple(row) for row in rows]


async def test_what_a_batch_teaches_is_known_before_the_batch_is_read(pool: Pool) -> None:
    """In true order v2, v1, v2 of one record, and a v1 event of another one."""
    await worker(pool).apply([v1(1, SECOND, "43"), v2(1, 0, 43), v2(1, 2 * SECOND, 43), v1(2, 0, "41")])

    assert await options(pool) == {1: 43, 2: 41}
    assert await history(pool) == []


async def test_what_another_worker_has_learnt_is_known(pool: Pool) -> None:
    one, other = worker(pool), worker(pool)
    await one.apply([envelope(v2_body("deal", 9, START, {"title": "the company is known"}))])
    await other.apply([envelope(v2_body("deal", 9, START, {"title": "to both"}))])
    await one.apply([v2(1, 0, 43)])

    await other.apply([v1(1, SECOND, "43"), v1(2, 0, "41")])

    assert (await options(pool))[1] == 43
    assert (await options(pool))[2] == 41
    assert await history(pool) == []


async def test_a_type_is_known_that_another_worker_taught_the_record_while_this_one_waited_for_it(pool: Pool) -> None:
    company, waiting = await company_of(pool), worker(pool)
    await waiting.apply([envelope(v2_body("deal", 1, START, {"title": "known to both"}))])
    async with pool.acquire() as connection, connection.transaction():
        taught = read(v2(1, SECOND, 43), lambda _: {})
        assert isinstance(taught, Event)
        await mirror.apply(connection, company, [taught])
        applying = asyncio.create_task(waiting.apply([v1(1, 2 * SECOND, "43")]))
        await until_somebody_waits(pool)
    await asyncio.wait_for(applying, 10)

    assert await options(pool) == {1: 43}
    assert await history(pool) == []


async def test_who_finds_a_new_company_made_by_another_worker_knows_what_that_one_has_learnt(pool: Pool) -> None:
    """It made the company and read its first events while the other one was about to make it."""
    one, known = worker(pool), KnownCompanies(numbered_slugs=False)
    assert (await known.get(COMPANY, one.persist)).slug == ""
    await one.apply([v2(1, 0, 43)])

    assert (await known.make(COMPANY, one.persist)).types_of("deal") == {ENUM: "enum"}


async def test_a_record_kept_as_received_is_mended_by_its_next_v1_event(pool: Pool) -> None:
    applier = worker(pool)
    await applier.apply([v1(1, 0, "43")])
    await applier.apply([v2(2, 0, 41)])

    await applier.apply([v1(1, SECOND, "43")])

    assert await options(pool) == {1: 43, 2: 41}
    assert await history(pool) == []


async def test_what_was_learnt_in_a_transaction_that_failed_is_learnt_again(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was lost after the types had been written and before the commit."""
    applier, park, losses = worker(pool), dead_letters.park, [ConnectionResetError("gone")]

    async def lost_once(connection: Any, letters: list[DeadLetter]) -> int:
        if losses:
            raise losses.pop()
        return await park(connection, letters)

    monkeypatch.setattr(dead_letters, "park", lost_once)
    await applier.apply([v2(1, 0, 43)])

    assert losses == []
    async with pool.acquire() as connection:
        assert await fields.types(connection, COMPANY) == {"deal": {ENUM: "enum"}}
