"""The worker's loop against a scripted queue and a real Postgres: what is acknowledged, and what is not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from rig.events import COMPANY, START, envelope, v2_body
from rig.scripted import Scripted
from rig.transports import until

from runtime.backoff import Backoff
from runtime.metrics import Metrics
from schema.envelope import FORMAT, NOBODY, Envelope, pack
from schema.event import Event
from store import dead_letters, suspects
from store.companies import Company
from store.database import Connection, Pool
from worker.applying import mirror, suspect
from worker.applying.applier import Applier, share
from worker.applying.breaker import Breaker, BreakerOpen
from worker.applying.parking import digest
from worker.consumer import SUSPICIOUS, Consumer
from worker.writers import Writers


@pytest.fixture
def queue() -> Scripted:
    return Scripted()


@asynccontextmanager
async def consuming(queue: Scripted, pool: Pool) -> AsyncIterator[None]:
    applier = Applier(pool, Metrics(), share(Metrics(), numbered_slugs=False), backoff=Backoff(0.01, 0.05))
    stop = asyncio.Event()
    running = asyncio.create_task(Consumer(queue, Writers([applier])).run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, 10)


def deal(record_id: int, **data: Any) -> Envelope:
    return envelope(v2_body("deal", record_id, START + record_id, {"title": f"deal {record_id}"} | data))


async def ids(pool: Pool) -> list[int]:
    async with pool.acquire() as connection:
        return [row["id"] for row in await connection.fetch("SELECT id FROM pipedrive_raw.deals ORDER BY id")]


async def codes(pool: Pool) -> list[str]:
    async with pool.acquire() as connection:
        return [letter["code"] for letter in await dead_letters.open_letters(connection)]


async def test_messages_are_acknowledged_after_their_events_are_committed(queue: Scripted, pool: Pool) -> None:
    messages = [queue.put(deal(1), deal(2)), queue.put(deal(3))]
    async with consuming(queue, pool):
        await until(lambda: len(queue.acked) == 2)
        assert await ids(pool) == [1, 2, 3]
    assert queue.acked == messages


async def test_a_message_of_a_newer_release_is_left_for_a_newer_worker(queue: Scripted, pool: Pool) -> None:
    newer = queue.put_raw(bytes((FORMAT + 1,)) + b"something")
    known = queue.put(deal(1))
    async with consuming(queue, pool):
        await until(lambda: known in queue.acked)
    assert newer not in queue.acked
    assert await codes(pool) == []


async def test_a_message_that_is_left_again_and_again_is_counted_once(queue: Scripted, pool: Pool) -> None:
    """It comes anew with every connection, for as long as no newer worker is there."""
    for _ in range(3):
        queue.put_raw(bytes((FORMAT + 1,)) + b"something")
    known = queue.put(deal(1))
    stop = asyncio.Event()
    consumer = Consumer(queue, Writers([Applier(pool, Metrics(), share(Metrics(), numbered_slugs=False))]))
    running = asyncio.create_task(consumer.run(stop))
    await until(lambda: known in queue.acked)
    assert [condition.reason.partition(" ")[0] for condition in consumer.conditions()] == ["1"]
    stop.set()
    await asyncio.wait_for(running, 10)


async def test_a_message_that_is_no_bundle_becomes_a_dead_letter(queue: Scripted, pool: Pool) -> None:
    queue.put_raw(b"")
    queue.put_raw(pack([deal(1)])[:-1])
    async with consuming(queue, pool):
        await until(lambda: len(queue.acked) == 2)
    assert await codes(pool) == ["not_an_event"] * 2


@pytest.fixture
def portions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each transaction was tried with."""
    sizes: list[int] = []
    apply = mirror.apply

    async def noted(connection: Connection, company: Company, events: Sequence[Event]) -> mirror.Applied:
        sizes.append(len(events))
        return await apply(connection, company, events)

    monkeypatch.setattr(mirror, "apply", noted)
    return sizes


async def died_of(pool: Pool, suspected: bytes, times: int = 1) -> None:
    async with pool.acquire() as connection:
        for _ in range(times):
            await suspects.note(connection, suspected, COMPANY)


async def suspected(pool: Pool) -> int:
    async with pool.acquire() as connection:
        found: int = await connection.fetchval("SELECT count(*) FROM pipemirror.suspects")
    return found


async def test_a_message_that_came_back_too_often_is_tried_by_itself(
    queue: Scripted, pool: Pool, portions: list[int]
) -> None:
    queue.put(deal(1), envelope(b"broken"), deal(2), redeliveries=SUSPICIOUS)
    queue.put(deal(3), deal(4), given_up=True)
    queue.put(deal(5), redeliveries=SUSPICIOUS)
    async with consuming(queue, pool):
        await until(lambda: len(queue.acked) == 3)
    assert portions == [2, 2, 1]
    assert await ids(pool) == [1, 2, 3, 4, 5]
    assert await codes(pool) == ["unreadable_json"]
    assert await suspected(pool) == 0


async def test_a_message_of_several_companies_is_counted_as_nobodys(
    queue: Scripted, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A purge deletes what is counted of its company; the count of the others' events must outlive it."""
    counted = []
    apply = mirror.apply

    async def noted(connection: Connection, company: Company, events: Sequence[Event]) -> mirror.Applied:
        counted.append(await connection.fetchval("SELECT company_id FROM pipemirror.suspects"))
        return await apply(connection, company, events)

    monkeypatch.setattr(mirror, "apply", noted)
    other = envelope(v2_body("deal", 2, START, {"title": "deal 2"}, company_id=str(COMPANY + 1)), COMPANY + 1)
    queue.put(deal(1), other, redeliveries=SUSPICIOUS)
    queue.put(deal(2), deal(3), redeliveries=SUSPICIOUS)
    async with consuming(queue, pool):
        await until(lambda: len(queue.acked) == 2)
    assert counted == [NOBODY, NOBODY, COMPANY]


async def test_a_message_whose_attempt_did_not_end_is_tried_event_by_event(
    queue: Scripted, pool: Pool, portions: list[int]
) -> None:
    await died_of(pool, suspect.digest([deal(1), deal(2)]))
    queue.put(deal(1), deal(2), redeliveries=SUSPICIOUS)
    async with consuming(queue, pool):
        await until(lambda: len(queue.acked) == 1)
    assert portions == [1, 1]
    assert await ids(pool) == [1, 2]
    assert await suspected(pool) == 0


async def test_an_event_that_killed_its_workers_is_given_up_and_its_neighbours_are_not(
    queue: Scripted, pool: Pool
) -> None:
    message = [deal(1), deal(2), deal(3)]
    await died_of(pool, suspect.digest(message))
    await died_of(pool, digest(message[1]), times=suspect.MOST_ATTEMPTS)
    queue.put(*message, redeliveries=SUSPICIOUS + suspect.MOST_ATTEMPTS)
    async with consuming(queue, pool):
        await until(lambda: len(queue.acked) == 1)
    assert await ids(pool) == [1, 3]
    assert await codes(pool) == ["crashed_worker"]
    assert await suspected(pool) == 0


async def test_a_worker_whose_breaker_opens_does_not_count_as_killed(
    queue: Scripted, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(mirror, "write", broken)
    queue.put(deal(1), redeliveries=SUSPICIOUS)
    applier = Applier(pool, Metrics(), share(Metrics(), numbered_slugs=False, breaker=Breaker(most=1)))

    with pytest.raises(BreakerOpen):
        await asyncio.wait_for(Consumer(queue, Writers([applier])).run(asyncio.Event()), 10)

    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM pipemirror.suspects") == 0
    assert queue.acked == []


async def test_a_stop_finishes_the_batch_at_hand_and_takes_no_more(
    queue: Scripted, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
    apply = mirror.apply

    async def waits(*given: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await apply(*given)

    monkeypatch.setattr(mirror, "apply", waits)
    at_hand = queue.put(deal(1))
    running = asyncio.create_task(
        Consumer(queue, Writers([Applier(pool, Metrics(), share(Metrics(), numbered_slugs=False))])).run(stop)
    )
    await asyncio.wait_for(begun.wait(), 10)
    stop.set()
    for _ in range(20):  # the loop has seen it
        await asyncio.sleep(0)
    queue.put(deal(9))
    go_on.set()
    await asyncio.wait_for(running, 10)
    assert queue.acked == [at_hand]
    assert await ids(pool) == [1]
