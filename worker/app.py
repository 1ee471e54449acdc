"""One worker process: database, consumer, housekeeping, health; and the order in which they start and stop."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import structlog

from pipedrive.budget import Terms
from runtime.backoff import RECONNECT
from runtime.garbage import collect_seldom
from runtime.health import Check, Condition
from runtime.measurements import BREAKER_OPEN, COMPANIES, HOLDING
from runtime.metrics import Metrics
from runtime.spool import SpoolSubscription
from runtime.transport import Subscription
from schema.errors import MigrationWaits
from store.database import Pool, create_pool
from store.tokens import Vault
from worker import stopping
from worker.applying.applier import TRIES, Applier, nobody, share
from worker.applying.breaker import BreakerOpen
from worker.applying.held_companies import HeldCompanies
from worker.applying.persistence import Persistence
from worker.batch import Limits
from worker.consumer import Consumer
from worker.healing.accounts import Accounts
from worker.healing.epoch import Epoch
from worker.healing.jobs import Means
from worker.healing.live import Entrance
from worker.healing.schedule import Schedule
from worker.healing.touched import Touched
from worker.upkeep.housekeeping import Housekeeping
from worker.upkeep.migrate import migrate
from worker.upkeep.readmission import Readmission
from worker.upkeep.vitals import Vitals
from worker.writers import WRITERS, Writers

_log = structlog.stdlib.get_logger(__name__)
_COMMON = 4
"""Connections for all that is not written by the writers: two of them for housekeeping."""
_HEALING = 9
"""Connections to read accounts with, opened when they are needed: more than `worker.healing.schedule` can keep."""
_NEW_OBJECTS = 100_000
"""More than a batch of events makes: nearly all of them are gone with it, without being looked for."""


@dataclass(frozen=True, slots=True)
class Healing:
    """How a worker reads the accounts it mirrors.

    keys      that open the stored tokens
    terms     what is set of the accounts' tokens of a day
    memory    a file in which it remembers how far the database had come
    opted_in  entities that are read although each of their parents costs a call
    entrance  where webhooks come in; None if nobody said
    """

    keys: Sequence[str]
    terms: Terms
    memory: Path
    opted_in: frozenset[str] = frozenset()
    entrance: Entrance | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How one worker works; times in seconds. Without `healing` it applies events and asks nobody."""

    database_url: str
    journal_days: int = 14
    numbered_slugs: bool = False
    limits: Limits = field(default_factory=Limits)
    stop_within: float = 20.0
    healing: Healing | None = None


async def work(
    options: Options,
    subscription: Subscription,
    metrics: Metrics,
    checks: list[Check],
    stop: asyncio.Event,
    *,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Migrate, then apply until `stop`. Raise what NotNow stands at the start, BreakerOpen or a transport's end later.

    checks   gets the worker's own conditions, for whoever answers /readyz
    started  is called once the database is prepared and events are about to be applied
    """
    if not await _prepare(options.database_url, checks, stop):
        return
    pools = await _connect(options.database_url)
    touched = Touched()
    parts = _parts(options, pools, subscription, metrics, touched)
    if options.healing is not None:
        parts = _with_healing(parts, options.healing, pools, metrics, touched)
    checks += parts.checks
    started()
    collect_seldom(_NEW_OBJECTS)
    running = asyncio.ensure_future(parts.consumer.run(stop))
    helpers = [asyncio.ensure_future(helper.run()) for helper in parts.helpers]
    try:
        with _told_of_breaker(metrics, checks):
            await stopping.consume(running, parts.writers, stop, stop_within=options.stop_within, helpers=helpers)
    finally:
        await stopping.end((running, *helpers), (pools.common, pools.healing, *pools.writers))


class _Pools(NamedTuple):
    """A writer has its connection for itself: what it prepared there is what it needs again."""

    writers: Sequence[Pool]
    common: Pool
    healing: Pool


async def _connect(dsn: str) -> _Pools:
    made: list[Pool] = []
    try:
        for _ in range(WRITERS):
            made += [await create_pool(dsn, size=1, application="pipemirror worker", lasting=True)]
        for size in (_COMMON, _HEALING):
            made += [await create_pool(dsn, size=size, application="pipemirror worker")]
        return _Pools(made[:-2], *made[-2:])
    except BaseException:
        for pool in made:
            pool.terminate()
        raise


class _Parts(NamedTuple):
    """A worker's parts; the `helpers` run beside the consumer, and end only when they are cancelled or fail."""

    writers: Writers
    consumer: Consumer
    helpers: Sequence[Readmission | Housekeeping | Vitals | Schedule | Epoch]
    checks: Sequence[Check]


def _parts(options: Options, pools: _Pools, subscription: Subscription, metrics: Metrics, touched: Touched) -> _Parts:
    shared = share(
        metrics,
        numbered_slugs=options.numbered_slugs,
        pools=(*pools.writers, pools.common),
        heard=touched.note if options.healing is not None else nobody,
    )
    appliers = [Applier(pool, metrics, shared) for pool in pools.writers]
    # It tries what is held, so of that it must know nothing.
    again = Applier(pools.common, metrics, replace(shared, held=HeldCompanies()), tries=1)
    writers = Writers(appliers)
    consumer = Consumer(subscription, writers, limits=options.limits)
    readmission = Readmission(pools.common, again, shared.held, metrics, clock=time.monotonic)
    house = Housekeeping(pools.common, metrics, journal_days=options.journal_days)
    vitals = Vitals(pools.common, subscription, metrics, excused=lambda: _excused(writers, consumer, subscription))
    checks: list[Check] = [applier.conditions for applier in appliers]
    checks += [part.conditions for part in (consumer, shared.held, shared.tally.lag, readmission, house, vitals)]
    metrics.at_scrape.append(lambda: metrics.set(COMPANIES, len(shared.companies)))
    metrics.at_scrape.append(lambda: _show_waiting(metrics, (*appliers, again)))
    return _Parts(writers, consumer, (readmission, house, vitals), checks)


def _with_healing(parts: _Parts, healing: Healing, pools: _Pools, metrics: Metrics, touched: Touched) -> _Parts:
    persistence = Persistence(pools.healing, metrics, HeldCompanies(), backoff=RECONNECT, tries=TRIES)
    accounts = Accounts(pools.healing, persistence.persist, Vault(healing.keys), healing.terms, metrics)
    means = Means(pools.healing, accounts, healing.opted_in, healing.entrance)
    schedule = Schedule(means, persistence.persist, touched, metrics)
    epoch = Epoch(pools.healing, healing.memory)
    checks = (*parts.checks, schedule.conditions)
    return parts._replace(helpers=(*parts.helpers, schedule, epoch), checks=checks)


def _show_waiting(metrics: Metrics, appliers: Sequence[Applier]) -> None:
    """One gauge for all: that one of them goes on says nothing of the other."""
    metrics.forget(HOLDING)
    for applier in appliers:
        if applier.waits_for is not None:
            metrics.set(HOLDING, 1, applier.waits_for)


async def _prepare(dsn: str, checks: list[Check], stop: asyncio.Event) -> bool:
    """Migrate; meanwhile `checks` say for what it waits. False if it was stopped while it waited."""
    waits: list[Condition] = []

    def check() -> Sequence[Condition]:
        return waits

    def told(reason: str) -> None:
        if not waits:
            _log.warning("migration_waits", code=MigrationWaits.code, reason=reason)
        waits[:] = [Condition(MigrationWaits.code, reason)]
        if stop.is_set():
            raise MigrationWaits(reason)

    checks.append(check)
    try:
        await migrate(dsn, on_wait=told)
    except MigrationWaits:
        if not stop.is_set():
            raise
        return False
    finally:
        checks.remove(check)
    return True


def _excused(writers: Writers, consumer: Consumer, subscription: Subscription) -> bool:
    """Whether it is known why nothing is done: it is stalled, messages are left for a newer worker, another's turn."""
    standing_by = isinstance(subscription, SpoolSubscription) and not subscription.active
    return writers.stalled or standing_by or any(consumer.conditions())


@contextmanager
def _told_of_breaker(metrics: Metrics, checks: list[Check]) -> Iterator[None]:
    """For as long as the process still lives once it is open."""
    try:
        yield
    except BreakerOpen as problem:
        opened = Condition(problem.code, problem.reason)
        metrics.set(BREAKER_OPEN, 1)
        checks.append(lambda: (opened,))
        raise
