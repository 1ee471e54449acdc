"""What a worker says of work that waits, be it the queue's or that of held companies."""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import asyncpg
import pytest
from rig.waiting import until

from runtime.backoff import Backoff
from runtime.health import Condition
from runtime.measurements import HOLDING
from runtime.metrics import Metrics
from schema.errors import CompanyHeld, DatabaseUnavailable
from store.database import Connection
from worker import app
from worker.applying.applier import Applier, share
from worker.applying.breaker import Breaker
from worker.applying.held_companies import HeldCompanies
from worker.healing.touched import Touched
from worker.upkeep.readmission import Readmission

QUICK = Backoff(0.001, 0.001)
NOTHING: Any = None


class Pool:
    """Gives connections of which nothing is asked."""

    def acquire(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()


class Postgres:
    """Takes the work once it is there."""

    def __init__(self) -> None:
        self.there = False

    async def work(self, _: Connection) -> None:
        if not self.there:
            raise DatabaseUnavailable("it restarts")


def applier(metrics: Metrics) -> Applier:
    pool: Any = Pool()
    return Applier(pool, metrics, share(metrics, numbered_slugs=False, breaker=Breaker()), backoff=QUICK, tries=1)


def shown(metrics: Metrics, *appliers: Applier) -> float | None:
    app._show_waiting(metrics, appliers)
    return metrics.value(HOLDING, "database_unavailable")


async def test_that_one_applier_goes_on_does_not_hide_that_the_other_is_stalled() -> None:
    metrics, gone, back = Metrics(), Postgres(), Postgres()
    main, again = applier(metrics), applier(metrics)
    back.there = True
    waiting = asyncio.create_task(main.persist(gone.work))
    await until(lambda: main.stalled, what="the worker stalls")
    await again.persist(back.work)
    assert shown(metrics, main, again) == 1
    gone.there = True
    await asyncio.wait_for(waiting, 10)
    assert shown(metrics, main, again) is None


async def test_what_held_events_wait_for_is_told_and_does_not_make_the_worker_unready() -> None:
    metrics, gone = Metrics(), Postgres()
    again = applier(metrics)
    readmission = Readmission(NOTHING, again, HeldCompanies(), metrics, clock=lambda: 0.0)
    waiting = asyncio.create_task(again.persist(gone.work))
    await until(lambda: again.stalled, what="held events wait")
    assert list(readmission.conditions()) == [Condition("database_unavailable", "it restarts", blocking=False)]
    gone.there = True
    await asyncio.wait_for(waiting, 10)
    assert list(readmission.conditions()) == []


async def test_what_another_writer_found_to_be_held_is_not_tried_to_the_end() -> None:
    metrics, held = Metrics(), HeldCompanies()
    pool: Any = Pool()
    shared = share(metrics, numbered_slugs=False, held=held)
    writer = Applier(pool, metrics, shared, backoff=QUICK)
    tries = 0

    async def work(_: Connection) -> None:
        nonlocal tries
        tries += 1
        held.add(1, CompanyHeld("company 1: found by another writer"))
        raise asyncpg.LockNotAvailableError

    with pytest.raises(CompanyHeld, match="another writer"):
        await asyncio.wait_for(writer.persist(work, company_id=1), 10)
    assert tries == 1


async def test_what_is_held_is_tried_again_all_the_same() -> None:
    """By the applier that readmits: else nothing would ever be readmitted."""
    parts = a_workers_parts()
    held = parts.writers.alone._held
    readmission = next(part for part in parts.helpers if isinstance(part, Readmission))
    held.add(1, CompanyHeld("company 1: its tables are locked"))
    postgres = Postgres()
    postgres.there = True
    await asyncio.wait_for(readmission._applier.persist(postgres.work, company_id=1), 10)
    with pytest.raises(CompanyHeld):
        await parts.writers.alone.persist(postgres.work, company_id=1)


def a_workers_parts() -> app._Parts:
    pool: Any = Pool()
    return app._parts(app.Options(""), app._Pools([pool, pool], pool, pool), NOTHING, Metrics(), Touched())


def test_a_worker_checks_all_its_parts() -> None:
    parts = a_workers_parts()
    asked = {getattr(check, "__self__", None) for check in parts.checks}
    assert {*parts.writers.appliers, parts.consumer, *parts.helpers} <= asked
