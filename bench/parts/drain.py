"""A worker that empties a full queue, beside asyncpg writing the same rows.

Each is alone on one core; Postgres and RabbitMQ have the other.
"""

import asyncio
import gc
from dataclasses import asdict
from typing import Final

import psutil
from rig.kept import free_ports
from rig.processes import Installation, Role

from bench import bare_sql
from bench.capture import Captured, capturing, contents
from bench.database import drained, fresh, prepared
from bench.effort import Effort
from bench.figures import Figure, Rounds, Samples, Target
from bench.ground import Ground, authorized, process_of, run_module
from bench.load import Order
from bench.metrics import bundle_events
from bench.workload import company_ids, mean_size, story
from store.companies import FIRST_SLUG

BROKER: Final = "worker over RabbitMQ"
SPOOL: Final = "worker over the spool"
ONES: Final = "worker, bundles of one"
CONSUMER: Final = "bare consumer"

_COMPANIES: Final = company_ids(1)
_STRIPE: Final = 2_000
"""Events/s of stripe-sync-engine on a machine of this kind."""
_RATIO: Final = Target(reach=0.4, aim=0.8)
_RATE: Final = Target(reach=5 * _STRIPE)
_ONES: Final = Target(reach=0.6)
_WITHIN: Final = 600.0


async def measure(ground: Ground, effort: Effort) -> list[Figure]:
    """Events/s of the worker over both queues, and of each bare way."""
    told = story(deals=effort.deals, events=effort.events // 2)
    template = await prepared(ground, told, 1)
    bodies = ground.save("happening", told.happening)
    captured = await _capture(ground, template, bodies, effort.events)
    rounds = Rounds()
    for _ in range(effort.rounds):
        for way in bare_sql.WAYS:
            rounds.add(way, await _bare(ground, template, captured, way))
        for name in (BROKER, SPOOL):
            rounds.add(name, await drain(ground, template, bodies, effort.events, broker=name == BROKER))
    best = rounds.best("rate", bare_sql.WAYS)
    return [
        rounds.ratio(f"{BROKER} ÷ fastest bare way", "rate", BROKER, best, target=_RATIO, note=f"bare: {best}"),
        rounds.figure(f"{BROKER}: events/s", "/s", BROKER, "rate", target=_RATE, note="5 times stripe-sync-engine"),
        rounds.ratio(f"{SPOOL} ÷ fastest bare way", "rate", SPOOL, best),
        rounds.figure(f"{SPOOL}: events/s", "/s", SPOOL, "rate"),
        *(rounds.figure(f"bare {way}: events/s", "/s", way, "rate") for way in bare_sql.WAYS),
        rounds.ratio(f"fastest bare way ÷ {BROKER}, CPU per event", "total_us", best, BROKER, note="Postgres included"),
        rounds.figure("fastest bare way: client's CPU per event", "µs", best, "client_us"),
        rounds.figure("fastest bare way: Postgres' CPU per event", "µs", best, "postgres_us"),
        *(rounds.figure(f"{name}: worker's CPU per event", "µs", name, "worker_us") for name in (BROKER, SPOOL)),
        *(rounds.figure(f"{name}: Postgres' CPU per event", "µs", name, "postgres_us") for name in (BROKER, SPOOL)),
        *(rounds.figure(f"{name}: events per transaction", "", name, "batch") for name in (BROKER, SPOOL)),
        rounds.figure("events per bundle, queue filled by 64 connections", "", BROKER, "bundle"),
        Figure("mean size of an event", "bytes", (mean_size(told.happening),)),
        Figure("rows written per event, journal and history included", "", (_rows_per_event(captured, effort),)),
    ]


async def measure_ones(ground: Ground, effort: Effort) -> list[Figure]:
    """Messages/s where each holds one event, beside a consumer that does nothing but ack."""
    told = story(deals=effort.deals, events=effort.events // 2)
    template = await prepared(ground, told, 1)
    bodies = ground.save("happening", told.happening)
    number = effort.events // 2
    rounds = Rounds()
    for _ in range(effort.rounds):
        rounds.add(CONSUMER, await _consumed(ground, bodies, number))
        rounds.add(ONES, await _drain_ones(ground, template, bodies, number))
    return [
        rounds.ratio(f"{ONES} ÷ {CONSUMER}", "rate", ONES, CONSUMER, target=_ONES),
        rounds.figure(f"{ONES}: events/s", "/s", ONES, "rate"),
        rounds.figure(f"{CONSUMER}: messages/s", "/s", CONSUMER, "rate", note="prefetch 500, one ack for 50"),
        rounds.figure(f"{ONES}: worker's CPU per event", "µs", ONES, "worker_us"),
        rounds.figure(f"{ONES}: events per transaction", "", ONES, "batch"),
    ]


async def drain(
    ground: Ground,
    template: str,
    bodies: str,
    number: int,
    *,
    broker: bool,
    companies: range = _COMPANIES,
    uncounted: float = 0.0,
) -> Samples:
    """Fill the queue through a receiver, then let a worker empty it into a copy of `template`."""
    async with fresh(ground, template) as dsn:
        return await drain_into(ground, dsn, bodies, number, broker=broker, companies=companies, uncounted=uncounted)


async def drain_into(
    ground: Ground,
    dsn: str,
    bodies: str,
    number: int,
    *,
    first: int = 0,
    broker: bool = True,
    companies: range = _COMPANIES,
    uncounted: float = 0.0,
) -> Samples:
    """The same into a database that is kept; `first` is the number of the first event."""
    async with ground.installed(dsn, broker=broker) as installation:
        bundle = await fill(ground, installation, bodies, number, companies, first=first)
        return {**await _emptied(ground, installation, number, uncounted=uncounted), "bundle": bundle}


async def fill(
    ground: Ground, installation: Installation, bodies: str, number: int, companies: range, *, first: int = 0
) -> float:
    """Events per bundle. 64 connections; the receiver is gone afterwards."""
    ground.place(measured=None)
    receiver = await installation.receiver()
    await ground.load(Order(receiver.port, authorized(companies), bodies, first=first, requests=number))
    bundle = await asyncio.to_thread(bundle_events, receiver.port)
    await receiver.terminate()
    return bundle


async def _emptied(ground: Ground, installation: Installation, number: int, *, uncounted: float = 0.0) -> Samples:
    async def start() -> Role:
        worker = installation.role("worker", free_ports(1)[0])
        await worker.launch()
        ground.place(measured=process_of(worker))
        return worker

    found = await drained(ground, installation.database_url, start, number, uncounted=uncounted)
    await installation.workers[-1].terminate()
    if installation.amqp_url is not None:
        await ground.purge()  # what it had not acknowledged yet must not come to the next one
    return {**asdict(found), "batch": number / found.transactions}


async def _capture(ground: Ground, template: str, bodies: str, number: int) -> Captured:
    async with fresh(ground, template) as dsn, ground.installed(dsn, broker=True) as installation:
        await fill(ground, installation, bodies, number, _COMPANIES)
        async with capturing(dsn, FIRST_SLUG) as captured:
            await _emptied(ground, installation, number)
            await installation.close()
        captured.contents.update(await contents(dsn, captured))
    return captured


async def _bare(ground: Ground, template: str, captured: Captured, way: str) -> Samples:
    """In this process, which has the measured core meanwhile."""
    ours = psutil.Process()
    async with fresh(ground, template) as dsn:
        ground.place(measured=ours)
        gc.collect()
        gc.freeze()  # the captured rows are many: no collection should walk through them
        try:
            written = await bare_sql.write(dsn, captured, way, psutil.Process(ground.postgres_pid))
        finally:
            gc.unfreeze()
            ours.cpu_affinity(list(ground.cores.all))
        if (became := await contents(dsn, captured)) != captured.contents:
            raise RuntimeError(f"bare {way} left other rows than the worker: {became} for {captured.contents}")
        return asdict(written)


async def _consumed(ground: Ground, bodies: str, number: int) -> Samples:
    await _fill_ones(ground, bodies, number)
    ground.place(measured=psutil.Process())
    printed = await run_module(
        "bench.bare_queue", "consume", await ground.amqp_url(), str(number), on=ground.cores.measured, within=_WITHIN
    )
    psutil.Process().cpu_affinity(list(ground.cores.all))
    return {"rate": float(printed)}


async def _drain_ones(ground: Ground, template: str, bodies: str, number: int) -> Samples:
    async with fresh(ground, template) as dsn, ground.installed(dsn, broker=True) as installation:
        await _fill_ones(ground, bodies, number)
        return await _emptied(ground, installation, number)


async def _fill_ones(ground: Ground, bodies: str, number: int) -> None:
    ground.place(measured=None)
    await run_module("bench.bare_queue", "fill", await ground.amqp_url(), str(number), bodies, within=_WITHIN)


def _rows_per_event(captured: Captured, effort: Effort) -> float:
    return sum(len(rows) for one in captured.transactions for rows in one.rows.values()) / effort.events
