"""Workers, broker and database die under load: what was acknowledged is applied, and nobody notices at the door."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from rig.events import COMPANY
from rig.judge import Judge
from rig.living import Living, company, living
from rig.postgres import EMBEDDED, PrivateServer, Servers
from rig.posting import Poster, happenings, posting
from rig.processes import Installation, Role
from rig.rabbitmq import Broker
from rig.waiting import until

from sandbox.cloud import Company
from sandbox.mischief import Mischief

LOAD = Mischief(duplicates=0.05, reorder=10)
RATE = 150
RESTARTS = 20


async def everything_arrived(judge: Judge, life: Living) -> None:
    """Every event was acknowledged at its first delivery, and is in the mirror and in its history once."""
    assert life.counters.failed == 0
    await judge.settles(life.truth)
    assert await judge.events() == life.counters.acked
    assert await judge.dead_letters() == []
    await judge.history_is_right()
    await judge.no_tombstone_was_revived()


async def says(receiver: Role, reasons: set[str]) -> bool:
    return await receiver.readiness() == (200, reasons)


async def spool_is_empty(receiver: Role) -> bool:
    return "pipemirror_spool_pending 0.0" in await receiver.metrics()


async def what_was_acknowledged_arrived(judge: Judge, poster: Poster) -> None:
    async def arrived() -> bool:
        return poster.acknowledged <= await judge.keys()

    await until(arrived, what="all that was acknowledged is in the journal")
    assert await judge.dead_letters() == []
    await judge.history_is_right()
    await judge.no_tombstone_was_revived()


@asynccontextmanager
async def sending(poster: Poster, made: Company) -> AsyncIterator[None]:
    """Until the body ends, events are under way: some were acknowledged, some just are, some will not be."""
    ended = False

    def events() -> Iterator[tuple[str, bytes]]:
        while not ended:
            yield from happenings(made, 1)

    enough = len(poster.acknowledged) + 60
    running = asyncio.ensure_future(poster.send_all(COMPANY, events()))
    await until(lambda: len(poster.acknowledged) >= enough, what="some events acknowledged")
    yield
    ended = True
    await running


async def test_killed_workers_lose_nothing_and_tell_nothing_twice(on_amqp: Installation, judge: Judge) -> None:
    """One of two workers at a time, then both."""
    _, *workers = await on_amqp.running(workers=2)
    async with living(company(11), on_amqp.url(judge.company_id), rate=RATE, mischief=LOAD) as life:
        for turn in range(6):
            await life.told(40)
            for victim in workers if turn == 5 else workers[turn % 2 : turn % 2 + 1]:
                await victim.kill9()
                await victim.launch()
    await everything_arrived(judge, life)


async def test_killed_on_the_spool_it_keeps_what_it_acknowledged(on_spool: Installation, judge: Judge) -> None:
    (up,) = await on_spool.running()
    made = company(12)
    made.announce()
    async with posting(on_spool) as poster:
        for _ in range(4):
            async with sending(poster, made):
                await up.kill9()
            await up.start()
    assert poster.refused > 0
    await what_was_acknowledged_arrived(judge, poster)


async def test_stopped_on_the_spool_it_keeps_what_it_acknowledged(on_spool: Installation, judge: Judge) -> None:
    """SIGTERM with events in flight: it ends in good order and in time, and the next one goes on."""
    (up,) = await on_spool.running()
    made = company(16)
    made.announce()
    async with posting(on_spool) as poster:
        for _ in range(3):
            async with sending(poster, made):
                assert await up.terminate(within=20) == 0
            await up.start()
    assert poster.refused > 0
    await what_was_acknowledged_arrived(judge, poster)


async def test_twenty_deployments_under_load_dead_letter_nothing(on_amqp: Installation, judge: Judge) -> None:
    """One worker after the other, then both at once: what was handed out and given back is no suspect."""
    _, *workers = await on_amqp.running(workers=2)
    async with living(company(13), on_amqp.url(judge.company_id), rate=RATE, mischief=LOAD) as life:
        for _ in range(RESTARTS // 4):
            for leaving in (workers[:1], workers[1:], workers):
                assert set(await asyncio.gather(*(worker.terminate() for worker in leaving))) == {0}
                await asyncio.gather(*(worker.start() for worker in leaving))
    await everything_arrived(judge, life)


async def test_a_killed_broker_is_not_felt_at_the_door(on_amqp: Installation, judge: Judge, broker: Broker) -> None:
    receiver, worker = await on_amqp.running()
    async with living(company(14), on_amqp.url(judge.company_id), rate=RATE, mischief=LOAD) as life:
        # RabbitMQ 3.10 never answers again for a quorum queue that was made less than a second before it was killed.
        await life.told(6 * RATE)
        await broker.kill9()
        await until(
            lambda: says(receiver, {"queue_unavailable"}),
            what="ready, but on the spool",
        )
        await worker.until_not_ready("queue_unavailable")
        await life.told(200)
        await broker.start()
        await until(lambda: says(receiver, set()), what="off the spool")
        await life.told(100)
    await everything_arrived(judge, life)
    await until(lambda: spool_is_empty(receiver), what="the spool drained")


async def test_a_database_that_dies_is_waited_for(
    on_both: Installation, judge: Judge, postgres_servers: Servers
) -> None:
    """What cannot be written now is held, and said at /readyz; the door does not care."""
    server = postgres_servers.get(EMBEDDED)
    assert isinstance(server, PrivateServer)
    if not on_both.database_url.startswith(server.dsn_of("").rsplit("?")[0].rstrip("/")):
        pytest.fail("this test kills the private Postgres: unset TEST_DATABASE_URL")
    *_, worker = await on_both.running()
    async with living(company(15), on_both.url(judge.company_id), rate=RATE, mischief=LOAD) as life:
        await life.told(200)
        server.kill9()
        await worker.until_not_ready("database_unavailable")
        await life.told(100)
        server.start()
        await worker.until_ready()
        await life.told(100)
        server.restart("immediate")
        await life.told(100)
    await everything_arrived(judge, life)
    assert worker.running
