"""Composition: which parts make a receiver, which make a worker, from the settings."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog
import typer

from cli import conditions, embedded, lanes
from cli.reading import healing
from receiver.app import Door, Receiver, serve
from receiver.outlet import Outlet
from receiver.ways import Ways
from receiver.webhook import Webhook
from runtime import amqp, spool
from runtime.amqp import AmqpPublisher, AmqpSubscription
from runtime.backoff import Seldom
from runtime.health import Check
from runtime.keys import signing_secrets
from runtime.metrics import Metrics
from runtime.settings import Settings
from runtime.spool import SpoolSubscription, SpoolWriter
from runtime.spool.room import Room
from runtime.transport import Subscription
from schema import topology
from schema.errors import Misconfigured, Problem
from worker import app as worker
from worker import health as worker_health

T = TypeVar("T")
_log = structlog.stdlib.get_logger(__name__)
_seldom = Seldom()


@dataclass(frozen=True, slots=True)
class Process:
    """What the roles of one process share: one registry of metrics, one list of checks, one wish to stop."""

    settings: Settings
    stop: asyncio.Event
    metrics: Metrics = field(default_factory=Metrics)
    checks: list[Check] = field(default_factory=list)

    @property
    def spool(self) -> Path:
        return self.settings.data_dir / "spool"


def _nobody() -> None:
    """For a call that nothing of this process waits for."""


@asynccontextmanager
async def receiving(
    process: Process, subscription: Subscription | None = None, *, port: int | None = None, shared: bool = False
) -> AsyncIterator[Receiver]:
    """A listening receiver, on RECEIVER_PORT unless `port` is given (0: a free one).

    Receivers that are scaled by process share their port; others must not, or each would get a part of the requests.
    A spool `subscription` of the same process is woken by each commit.
    """
    secrets = signing_secrets(process.settings)
    wanted = process.settings.receiver_port if port is None else port
    wake = subscription.wake if isinstance(subscription, SpoolSubscription) else _nobody
    async with AsyncExitStack() as begun:
        ways = await _ways(process, wake, begun)
        receiver = await _receiver(process, ways, secrets, wanted, shared=shared)
        # From here on the receiver closes what it was given, in its own order and within its deadline.
        begun.pop_all()
    try:
        yield receiver
    finally:
        await receiver.stop()


async def _ways(process: Process, wake: Callable[[], None], begun: AsyncExitStack) -> Ways:
    """The spool, before it the broker where AMQP_URL names one; `begun` closes what of them was begun."""
    settings, metrics = process.settings, process.metrics
    refuge = SpoolWriter(process.spool, on_commit=wake, on_problem=_report)
    begun.push_async_callback(refuge.close)
    await refuge.start()
    if settings.amqp_url is None:
        return Ways(refuge, metrics=metrics)
    await refuge.adopt()
    queues = topology.queues(settings.lanes)
    # A little less than the deadline of `Ways`, so that the reason the publisher gives is the one that is told.
    broker = AmqpPublisher(settings.amqp_url.get_secret_value(), queues, confirm_timeout=0.9, on_problem=_report)
    begun.push_async_callback(broker.close)
    await broker.start()
    return Ways(broker, refuge, metrics=metrics, probe=broker.probe)


async def _receiver(process: Process, ways: Ways, secrets: Sequence[str], port: int, *, shared: bool) -> Receiver:
    settings, metrics = process.settings, process.metrics
    outlet = Outlet(ways, lanes=settings.lanes, metrics=metrics)
    process.checks.extend((outlet.conditions, Room(process.spool, metrics).conditions))
    webhook = Webhook(outlet.put, secrets, max_body_bytes=settings.max_body_bytes, metrics=metrics)
    door = Door(webhook, process.checks, metrics)
    serving = serve(door, outlet, host=settings.receiver_host, port=port, shared=shared)
    return await _listening("RECEIVER", settings.receiver_host, port, serving)


@asynccontextmanager
async def subscribed(process: Process) -> AsyncIterator[Subscription]:
    """The queue's consuming side: RabbitMQ where AMQP_URL says so, else the spool under DATA_DIR."""
    settings = process.settings
    subscription: AmqpSubscription | SpoolSubscription
    looking: list[asyncio.Task[None]] = []
    if settings.amqp_url is None:
        subscription = SpoolSubscription(process.spool, on_problem=_report)
    else:
        url = settings.amqp_url.get_secret_value()
        queues = await lanes.consumed(url, settings.lanes)
        broker = subscription = AmqpSubscription(url, queues, on_problem=_report)
        process.checks.append(lambda: conditions.of_broker(broker, settings.lanes))
        looking = [asyncio.create_task(lanes.look_again(broker, url, settings.lanes))]
    try:
        await subscription.start()
        yield subscription
    finally:
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
        await subscription.close()


@asynccontextmanager
async def database(settings: Settings, *, make: bool = False, tell: bool = False) -> AsyncIterator[str]:
    """The DSN of DATABASE_URL, or of the embedded Postgres under DATA_DIR, which runs for as long.

    make  where there is none yet; else raise Misconfigured: a command in the wrong folder must not leave one there
    tell  on stdout how a person looks into the embedded one
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    if not make and not embedded.exists(settings.data_dir):
        raise Misconfigured(
            f"there is no embedded database under {settings.data_dir.absolute()}: "
            "run this in the folder of `pipemirror up` or `connect`, or set DATA_DIR or DATABASE_URL"
        )
    server = await asyncio.to_thread(embedded.start, settings.data_dir)
    if tell:
        typer.echo(f"Look into the database with:\n\n  {server.psql}\n")
    try:
        yield server.dsn
    finally:
        await asyncio.to_thread(server.stop)


async def backlog(settings: Settings) -> dict[str, int]:
    """Messages that wait, per queue of the broker, and per lane of the spool under DATA_DIR (a receiver's refuge)."""
    spooled = await asyncio.to_thread(spool.waiting, settings.data_dir / "spool")
    if settings.amqp_url is None:
        return spooled
    queued = await amqp.waiting(settings.amqp_url.get_secret_value(), topology.queues(settings.lanes))
    return queued | {f"spool {lane}": messages for lane, messages in spooled.items()}


def worker_options(settings: Settings, dsn: str) -> worker.Options:
    return worker.Options(
        database_url=dsn,
        journal_days=settings.journal_days,
        numbered_slugs=settings.pipedrive_client_id is not None,
        healing=healing(settings),
    )


async def run_receiver(process: Process) -> None:
    async with receiving(process, shared=True) as receiver:
        _log.info("listening", host=process.settings.receiver_host, port=receiver.port)
        await process.stop.wait()


@asynccontextmanager
async def working(
    process: Process, dsn: str, subscription: Subscription, started: Callable[[], None] = _nobody
) -> AsyncIterator["asyncio.Task[None]"]:
    """A worker beside whatever the caller runs. It stops last, after what feeds it; its failure is raised then."""
    stop = asyncio.Event()
    options = worker_options(process.settings, dsn)
    work = worker.work(options, subscription, process.metrics, process.checks, stop, started=started)
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        stop.set()
        await task


async def run_worker(process: Process) -> None:
    settings = process.settings
    started = conditions.starting(process.checks)
    async with AsyncExitStack() as stack:
        health = worker_health.serve(
            process.checks,
            process.metrics,
            host=settings.worker_metrics_host,
            port=settings.worker_metrics_port,
            fixed="WORKER_METRICS_PORT" in settings.given,
            note=settings.data_dir / "run" / "worker-metrics-port",
        )
        runner = await _listening("WORKER_METRICS", settings.worker_metrics_host, settings.worker_metrics_port, health)
        stack.push_async_callback(runner.cleanup)
        dsn = await stack.enter_async_context(database(settings, make=True, tell=True))
        subscription = await stack.enter_async_context(subscribed(process))
        task = await stack.enter_async_context(working(process, dsn, subscription, started))
        await _until_stop_or_end(process, task)


async def run_up(process: Process) -> None:
    """Receiver and worker in one process, for one machine. The end of either ends both, upstream first."""
    settings = process.settings
    started = conditions.starting(process.checks)
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(database(settings, make=True, tell=True))
        subscription = await stack.enter_async_context(subscribed(process))
        task = await stack.enter_async_context(working(process, dsn, subscription, started))
        receiver = await stack.enter_async_context(receiving(process, subscription))
        _log.info("listening", host=settings.receiver_host, port=receiver.port)
        await _until_stop_or_end(process, task)


async def _until_stop_or_end(process: Process, task: "asyncio.Task[None]") -> None:
    stopping = asyncio.create_task(process.stop.wait())
    await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()


async def _listening(whose: str, host: str, port: int, serving: Awaitable[T]) -> T:
    """Raise Misconfigured, naming the variable of `whose` address or port it is that cannot be had."""
    try:
        return await serving
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            wrong = f"{whose}_HOST: expected a name or address of this machine, {host} is none"
        else:
            wrong = f"{whose}_PORT: expected a free port, {port} cannot be had"
        raise Misconfigured(f"{wrong} ({error.strerror or error})") from error


def _report(problem: Problem) -> None:
    """The same one once a minute: what connects tries many times a minute, and more than one part of a process does."""
    if _seldom.due(f"{problem.code} {problem.reason}"):
        _log.warning("problem", code=problem.code, reason=problem.reason)
