"""What a worker says of work that waits, be it the queue's or that of held companies."""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from rig.waiting import until

from runtime.backoff import Backoff
from runtime.health import Condition
from runtime.measurements import HOLDING
from runtime.metrics import Metrics
from schema.errors import DatabaseUnavailable
from store.database import Connection
from worker import app
from worker.applying.applier import Applier, share
from worker.applying.breaker import Breaker
from worker.applying.held_companies import HeldCompanies
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
    app._show_holding(metrics, appliers)
    return metrics.value(HOLDING, "database_unavailable")


async def test_that_one_applier_goes_on_does_not_hide_that_the_other_holds() -> None:
    metrics, gone, back = Metrics(), Postgres(), Postgres()
    main, again = applier(metrics), applier(metrics)
    back.there = True
    holding = asyncio.create_task(main.persist(gone.work))
    await until(lambda: main.holding, what="the worker holds")
    await again.persist(back.work)
    assert shown(metrics, main, again) == 1
    gone.there = True
    await asyncio.wait_for(holding, 10)
    assert shown(metrics, main, again) is None


async def test_what_held_events_wait_for_is_told_and_does_not_make_the_worker_unready() -> None:
    metrics, gone = Metrics(), Postgres()
    again = applier(metrics)
    readmission = Readmission(NOTHING, again, HeldCompanies(), metrics, clock=lambda: 0.0)
    holding = asyncio.create_task(again.persist(gone.work))
    await until(lambda: again.holding, what="held events wait")
    assert list(readmission.conditions()) == [Condition("database_unavailable", "it restarts", blocking=False)]
    gone.there = True
    await asyncio.wait_for(holding, 10)
    assert list(readmission.conditions()) == []


def test_a_worker_checks_all_its_parts() -> None:
    pool: Any = Pool()
    parts = app._parts(app.Options(""), app._Pools([pool, pool], pool), NOTHING, Metrics())
    asked = {getattr(check, "__self__", None) for check in parts.checks}
    assert {*parts.writers.appliers, parts.consumer, *parts.helpers} <= asked
