"""A stop, or a breaker that opens, is not mistaken for one more failure of a database that is gone."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from rig.events import COMPANY, START, envelope, v2_body

from runtime.metrics import Metrics
from store import held
from store.companies import Company
from store.database import Connection, Pool
from worker.applying import parking, provision
from worker.applying.applier import Applier, share
from worker.applying.breaker import BreakerOpen
from worker.applying.held_companies import HeldCompanies
from worker.upkeep import housekeeping
from worker.upkeep.housekeeping import Housekeeping
from worker.upkeep.readmission import Readmission

WITHIN = 10


@pytest.fixture
async def readmission(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Readmission:
    """It has one event to apply; when it gives that back, nobody listens at the database's address any more."""
    event = parking.to_hold(envelope(v2_body("deal", 1, START, {"title": "a deal"})))
    async with pool.acquire() as connection:
        await held.keep(connection, [event])

    async def refused(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(held, "free", refused)
    applier = Applier(pool, Metrics(), share(Metrics(), numbered_slugs=False))
    return Readmission(pool, applier, HeldCompanies(), Metrics(), clock=lambda: 0.0)


async def test_readmission_that_is_stopped_ends(readmission: Readmission, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()
    monkeypatch.setattr(Applier, "apply_company", _begins(begun))
    assert await _ends_as_cancelled(readmission.run(every=0.01), begun)


async def test_a_breaker_that_opens_over_held_events_is_told(
    readmission: Readmission, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def opens(*_: object) -> None:
        raise BreakerOpen("one record after another is refused")

    monkeypatch.setattr(Applier, "apply_company", opens)
    with pytest.raises(BreakerOpen):
        await asyncio.wait_for(readmission.run(every=0.01), WITHIN)


async def test_housekeeping_that_is_stopped_ends(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()

    async def loses_its_connection(connection: Connection, _: Company) -> int:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        begun.set()
        return await _never()

    monkeypatch.setattr(housekeeping, "outgrow", loses_its_connection)
    async with pool.acquire() as connection:
        await provision.provision(connection, COMPANY, numbered_slugs=False)
    house = Housekeeping(pool, Metrics(), journal_days=14)
    assert await _ends_as_cancelled(house.run(every=0.01), begun)


def _begins(begun: asyncio.Event) -> Any:
    async def begins(*_: object) -> None:
        begun.set()
        await _never()

    return begins


async def _never() -> int:
    await asyncio.Event().wait()
    return 0


async def _ends_as_cancelled(running: Awaitable[None], begun: asyncio.Event) -> bool:
    """Cancelled once, when it has begun."""
    task = asyncio.ensure_future(running)
    await asyncio.wait_for(begun.wait(), WITHIN)
    task.cancel()
    await asyncio.wait((task,), timeout=WITHIN)
    ended = task.cancelled()
    task.cancel()
    return ended
