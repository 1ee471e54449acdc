"""Resuming a company applies all that was kept of it, whenever that was and whatever Pipedrive's clock said."""

import asyncio
import time
from datetime import UTC, datetime

import pytest
from rig.events import COMPANY, envelope, v2_body
from rig.judge import Judge
from rig.mirrored import company_of

from cli.operating.companies import _resume
from runtime.metrics import Metrics
from schema.envelope import Envelope
from store import companies
from store.companies import ACTIVE, PAUSED
from store.database import Pool
from store.replays import Replay, Wanted
from worker.applying.applier import Applier, share
from worker.operations import replay, walking

KEPT = Wanted(company_id=COMPANY, kept_only=True)
MINUTE = 60_000_000


@pytest.fixture
async def applier(pool: Pool) -> Applier:
    await company_of(pool)
    return Applier(pool, Metrics(), share(Metrics(), numbered_slugs=False))


@pytest.fixture
def judge(pool: Pool) -> Judge:
    return Judge(pool, COMPANY)


def now() -> int:
    return time.time_ns() // 1000


def deal(record_id: int, at: int) -> Envelope:
    body = v2_body("deal", record_id, at, {"title": f"deal {record_id}", "update_time": at // 1_000_000})
    return envelope(body, received_at=now())


async def set_state(pool: Pool, state: str) -> None:
    async with pool.acquire() as connection:
        await companies.change_state(connection, COMPANY, state)


async def resume(pool: Pool, *, steps: int | None = None) -> Replay:
    """One event per step; with `steps`, killed after so many of them."""
    await set_state(pool, ACTIVE)
    states = [await replay.begin(pool, KEPT, datetime.now(UTC))]
    async for state in replay.run(pool, KEPT, states[0], chunk=1):
        states.append(state)
        if len(states) - 1 == steps:
            break
    return states[-1]


async def waiting(pool: Pool) -> int:
    async with pool.acquire() as connection:
        return await walking.waiting(connection, COMPANY)


async def deals(judge: Judge) -> list[int]:
    return [row["id"] for row in await judge.rows("SELECT id FROM pipedrive_raw.deals ORDER BY id")]


async def test_an_event_that_pipedrives_clock_dates_ahead_of_ours_is_applied_too(
    pool: Pool, applier: Applier, judge: Judge
) -> None:
    await set_state(pool, PAUSED)
    await applier.apply([deal(1, now() + MINUTE)])
    assert await waiting(pool) == 1

    done = await resume(pool)

    assert (done.finished, done.applied, done.total) == (True, 1, 1)
    assert await deals(judge) == [1]
    assert await waiting(pool) == 0


async def test_what_was_kept_after_a_resume_was_killed_is_applied_by_the_next_one(
    pool: Pool, applier: Applier, judge: Judge
) -> None:
    """Also what was received before the place where the first one ended: it came late, through a spool."""
    late = deal(9, now())
    await set_state(pool, PAUSED)
    await applier.apply([deal(n, now() - MINUTE) for n in range(1, 5)])
    killed = await resume(pool, steps=2)
    assert (killed.finished, killed.applied) == (False, 2)
    await set_state(pool, PAUSED)
    await applier.apply([late, deal(10, now())])

    done = await resume(pool)

    assert (done.finished, done.applied, done.total) == (True, 6, 6)
    assert await deals(judge) == [1, 2, 3, 4, 9, 10]
    assert await waiting(pool) == 0


async def test_events_that_no_table_is_for_are_not_said_to_wait(pool: Pool, applier: Applier) -> None:
    await applier.apply([envelope(v2_body("spaceship", 1, now(), {"name": "x"}))])
    for _ in range(2):  # what was passed by is met again, and not counted twice
        done = await resume(pool)
        assert (done.finished, done.applied, done.passed, done.total) == (True, 0, 1, 1)
    assert await waiting(pool) == 0


async def test_what_is_left_is_told(
    migrated: str, pool: Pool, applier: Applier, judge: Judge, capsys: pytest.CaptureFixture[str]
) -> None:
    await judge.value("ALTER TABLE pipedrive_raw.deals ADD CONSTRAINT odd CHECK (title <> 'deal 2')")
    await set_state(pool, PAUSED)
    await applier.apply([deal(n, now() - MINUTE) for n in (1, 2, 3)])
    assert not await _resume(migrated, COMPANY, stop=asyncio.Event())
    assert f"company {COMPANY}: 1 events are still kept and not applied" in capsys.readouterr().err
    assert await deals(judge) == [1, 3]

    await judge.value("ALTER TABLE pipedrive_raw.deals DROP CONSTRAINT odd")
    assert await _resume(migrated, COMPANY, stop=asyncio.Event())
    assert "still kept" not in capsys.readouterr().err
    assert await deals(judge) == [1, 2, 3]
