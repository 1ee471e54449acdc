"""The worker as a whole, but for its queue: what it says of the database, and how it stops whatever that does."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
from rig.events import COMPANY, START, envelope, v2_body
from rig.scripted import Scripted
from rig.waiting import until

from runtime.backoff import Backoff
from runtime.health import Check
from runtime.measurements import BREAKER_OPEN, DATABASE_PING_SECONDS, HOLDING, HOLDS, PARTITIONS_AHEAD
from runtime.metrics import Metrics
from schema.envelope import Envelope
from store import suspects
from store.database import Pool, create_pool, notice_dead_peer
from worker import app
from worker.applying.breaker import BreakerOpen
from worker.applying.held_companies import HeldCompanies
from worker.applying.parking import digest
from worker.applying.persistence import Persistence
from worker.upkeep import vitals
from worker.upkeep.readmission import Readmission
from worker.upkeep.vitals import Vitals

LONG = 600.0
"""A deadline nobody shall wait for."""


@dataclass
class Running:
    """A worker that runs in this process."""

    dsn: str
    stop_within: float = LONG
    queue: Scripted = field(default_factory=Scripted)
    metrics: Metrics = field(default_factory=Metrics)
    checks: list[Check] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        options = app.Options(self.dsn, stop_within=self.stop_within)
        await app.work(options, self.queue, self.metrics, self.checks, self.stop, started=self.started.set)
        self.ended.set()

    def codes(self) -> set[str]:
        return {condition.code for check in self.checks for condition in check()}


@asynccontextmanager
async def running(dsn: str, *, stop_within: float = LONG) -> AsyncIterator[Running]:
    """It must end by itself within 30 s of being asked, whatever else happened."""
    found = Running(dsn, stop_within)
    task = asyncio.create_task(found.run())
    try:
        await asyncio.wait_for(found.started.wait(), 30)
        yield found
        found.stop.set()
        await asyncio.wait_for(task, 30)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def frozen(dsn: str) -> AsyncIterator[None]:
    """Every session of the database stands still, as on a disk that stalls: connected, and silent."""
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    pids = [row["pid"] for row in rows]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        await connection.close()


def deal(record_id: int, **data: Any) -> Envelope:
    return envelope(v2_body("deal", record_id, START, {"title": f"deal {record_id}"} | data))


async def execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def test_a_worker_in_good_health_says_nothing_and_measures(migrated: str) -> None:
    async with running(migrated) as worker:
        message = worker.queue.put(deal(1))
        await until(lambda: message in worker.queue.acked, what="applied")
        await until(lambda: worker.metrics.value(DATABASE_PING_SECONDS), what="database asked")
        await until(lambda: worker.metrics.value(PARTITIONS_AHEAD), what="house kept")
        assert worker.codes() == set()


async def test_a_worker_ends_by_what_ends_a_helper(migrated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The breaker may open over held events, too: beside the loop, which has nothing to do then."""

    async def opens(_: Readmission) -> None:
        raise BreakerOpen("too many")

    monkeypatch.setattr(Readmission, "once", opens)
    worker = Running(migrated)
    with pytest.raises(BreakerOpen):
        await asyncio.wait_for(worker.run(), 30)
    assert "breaker_open" in worker.codes()
    assert worker.metrics.value(BREAKER_OPEN) == 1


async def test_a_stop_in_the_middle_of_a_hold_does_not_wait_for_its_end(migrated: str) -> None:
    async with running(migrated) as worker:
        await execute(migrated, "ALTER TABLE pipemirror.companies RENAME TO hidden")
        message = worker.queue.put(deal(1))
        await until(lambda: "database_unavailable" in worker.codes(), what="holding")
        assert worker.metrics.render()
        assert worker.metrics.value(HOLDING, "database_unavailable") == 1
        assert worker.metrics.value(HOLDS, "database_unavailable") == 1
    assert message not in worker.queue.acked


async def test_a_worker_that_waits_for_a_migration_says_so_and_may_be_stopped(migrated: str) -> None:
    other = await asyncpg.connect(migrated)
    await other.execute("SELECT pg_advisory_lock(7102000)")
    waiting = Running(migrated)
    task = asyncio.create_task(waiting.run())
    await until(lambda: waiting.codes() == {"migration_waits"}, what="told")
    waiting.stop.set()
    await asyncio.wait_for(task, 10)
    assert not waiting.started.is_set()
    await other.close()


async def test_a_stop_while_postgres_is_silent_ends_too(migrated: str) -> None:
    async with running(migrated, stop_within=0.2) as worker:
        worker.queue.put(deal(1))
        await until(lambda: len(worker.queue.acked) == 1, what="applied")
        async with frozen(migrated):
            message = worker.queue.put(deal(2))
            await until(worker.queue.waiting.empty, what="taken")
            worker.stop.set()
            await asyncio.wait_for(worker.ended.wait(), 25)
    assert message not in worker.queue.acked


async def test_a_stop_while_a_suspicious_event_is_held_does_not_count_against_it(
    migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was counted before it was tried; whoever stops a worker is not killed by the event."""

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("worker.applying.mirror.apply", never)
    async with running(migrated, stop_within=0.2) as worker:
        worker.queue.put(deal(1), redeliveries=2)
        await until(lambda: suspected(migrated), what="the attempt counted")
    assert await suspected(migrated) is None


async def test_a_stop_takes_back_its_own_attempt_only(migrated: str, pool: Pool) -> None:
    async with pool.acquire() as connection:
        for _ in range(3):
            await suspects.note(connection, digest(deal(1)), COMPANY)
        await suspects.forgive(connection, digest(deal(1)))
    assert await suspected(migrated) == 2


async def suspected(dsn: str) -> int | None:
    connection = await asyncpg.connect(dsn)
    attempts: int | None = await connection.fetchval(
        "SELECT attempts FROM pipemirror.suspects WHERE digest = $1", digest(deal(1))
    )
    await connection.close()
    return attempts


async def test_a_silent_database_is_told_before_it_answers_and_its_end_is_waited_for(migrated: str) -> None:
    pool = await create_pool(migrated, size=1, application="tests", command_timeout=60)
    metrics = Metrics()
    persistence = Persistence(pool, metrics, HeldCompanies(), backoff=Backoff(0.01, 0.05), tries=1, silent=0.2)
    async with frozen(migrated):
        asking = asyncio.create_task(persistence.persist(lambda connection: connection.fetchval("SELECT 7")))
        await until(lambda: list(persistence.conditions()), within=10, what="told")
        assert [condition.code for condition in persistence.conditions()] == ["database_silent"]
        assert persistence.stalled
    assert await asyncio.wait_for(asking, 20) == 7
    assert list(persistence.conditions()) == []
    await pool.close()


async def test_a_command_that_is_not_answered_in_time_is_tried_again_on_a_new_connection(migrated: str) -> None:
    """The old session never comes back: as when its machine, or a firewall between, is gone."""
    pool = await create_pool(migrated, size=1, application="tests", command_timeout=0.5)
    persistence = Persistence(pool, Metrics(), HeldCompanies(), backoff=Backoff(0.01, 0.05), tries=1)
    async with frozen(migrated):
        assert await asyncio.wait_for(persistence.persist(lambda found: found.fetchval("SELECT 7")), 20) == 7
    await pool.close()


async def test_vitals_tell_of_a_silent_database_also_where_there_is_no_work(migrated: str) -> None:
    pool = await create_pool(migrated, size=1, application="tests", command_timeout=60)
    now = 0.0
    watched = Vitals(pool, Scripted(), Metrics(), excused=lambda: False, clock=lambda: now)
    async with frozen(migrated):
        asking = asyncio.create_task(watched.ask_database())
        await asyncio.sleep(0)
        now = vitals.SILENT
        assert [condition.code for condition in watched.conditions()] == ["database_silent"]
    await asyncio.wait_for(asking, 20)
    assert list(watched.conditions()) == []
    await pool.close()


async def test_connections_notice_a_peer_that_is_gone(migrated: str) -> None:
    """On TCP; without it, what was sent to a machine that is gone is sent again for a quarter of an hour."""
    listening = socket.create_server(("127.0.0.1", 0))
    with listening, socket.create_connection(listening.getsockname()) as ours:

        class Transport:
            def get_extra_info(self, name: str) -> socket.socket | None:
                return ours if name == "socket" else None

        class Found:
            _transport = Transport()

        notice_dead_peer(Found())
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
    connection = await asyncpg.connect(migrated)
    assert hasattr(connection, "_transport"), "asyncpg hides its socket now: keepalive is not set any more"
    await connection.close()
