"""The receiver beside a bare aiohttp server, each alone on one core; load generator and broker share the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Final

import psutil

from bench.effort import Effort
from bench.figures import Figure, Rounds, Samples, Target
from bench.ground import Ground, authorized, end, process_of, start_module
from bench.load import Order
from bench.metrics import bundle_events
from bench.workload import company_ids

BARE: Final = "bare aiohttp"
BROKER: Final = "receiver over RabbitMQ"
SPOOL: Final = "receiver over the spool"
NULL: Final = "null server"

_COMPANY: Final = company_ids(1)
_RATE: Final = Target(reach=0.65, aim=0.9)
_P99: Final = Target(reach=15.0, at_most=True)
_LONE: Final = Target(reach=2.0, at_most=True)
_LONE_SECONDS: Final = 2.0


async def measure(ground: Ground, effort: Effort) -> list[Figure]:
    """Requests/s, latency and CPU per request with 64 connections."""
    rounds = await _alternate(ground, effort, [BARE, BROKER, SPOOL], connections=64)
    ceiling = await _alternate(ground, effort, [NULL], connections=64)
    return [
        *_compared(rounds, BROKER, _RATE, _P99),
        *_compared(rounds, SPOOL, None, None),
        *(rounds.figure(f"{name}: requests/s", "/s", name, "rate") for name in (BARE, BROKER, SPOOL)),
        *(rounds.figure(f"{name}: CPU per request", "µs", name, "server_us") for name in (BARE, BROKER, SPOOL)),
        *(rounds.figure(f"{name}: p50", "ms", name, "p50") for name in (BARE, BROKER, SPOOL)),
        rounds.figure(f"{BARE}: p99", "ms", BARE, "p99"),
        *(rounds.figure(f"{name}: events per bundle", "", name, "bundle") for name in (BROKER, SPOOL)),
        *(rounds.figure(f"{name}: share of its core used", "", name, "server_busy") for name in (BARE, BROKER, SPOOL)),
        ceiling.figure("load generator: ceiling", "/s", NULL, "rate", note="against a server that reads no HTTP"),
        rounds.figure("load generator: CPU per request", "µs", BARE, "load_us"),
    ]


async def measure_lone(ground: Ground, effort: Effort) -> list[Figure]:
    """Latency of one event at a time."""
    rounds = await _alternate(ground, effort, [BARE, BROKER, SPOOL], connections=1)
    return [
        rounds.figure(f"{BROKER}: p50", "ms", BROKER, "p50", target=_LONE),
        rounds.figure(f"{SPOOL}: p50", "ms", SPOOL, "p50", target=_LONE),
        *(rounds.figure(f"{name}: p99", "ms", name, "p99") for name in (BROKER, SPOOL)),
        *(rounds.figure(f"{BARE}: {share}", "ms", BARE, share) for share in ("p50", "p99")),
    ]


def _compared(rounds: Rounds, name: str, rate: Target | None, p99: Target | None) -> list[Figure]:
    return [
        rounds.ratio(f"{name} ÷ bare, requests/s", "rate", name, BARE, target=rate),
        rounds.ratio(f"bare ÷ {name}, CPU per request", "server_us", BARE, name, note="the same, by CPU time"),
        rounds.figure(f"{name}: p99", "ms", name, "p99", target=p99),
    ]


async def _alternate(ground: Ground, effort: Effort, names: list[str], *, connections: int) -> Rounds:
    rounds = Rounds()
    for _ in range(effort.rounds):
        for name in names:
            rounds.add(name, await _sample(ground, effort, name, connections))
    return rounds


async def _sample(ground: Ground, effort: Effort, name: str, connections: int) -> Samples:
    """A server just started, loaded for a while."""
    async with _serving(ground, name) as (port, server):
        ground.place(measured=server)
        await _visit(port)
        heads = authorized(_COMPANY)
        seconds = effort.warm_up + (effort.seconds if connections > 1 else min(effort.seconds, _LONE_SECONDS))
        order = Order(port, heads, connections=connections, seconds=seconds, warm_up=effort.warm_up, watch=server.pid)
        samples = asdict(await ground.load(order, on=ground.cores.others))
        if name in {BROKER, SPOOL}:
            samples["bundle"] = await asyncio.to_thread(bundle_events, port)
        return samples


async def _visit(port: int) -> None:
    """Let the server see a connection end.

    asyncio reads into 256 KiB; until a whole such block was freed once, as it is at the end of a connection, glibc maps
    and unmaps memory for each read, which took a third off a bare server's rate. No server stays in that state long.
    """
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    await writer.wait_closed()


@asynccontextmanager
async def _serving(ground: Ground, name: str) -> AsyncIterator[tuple[int, psutil.Process]]:
    """Its port and process."""
    if name in {BROKER, SPOOL}:
        async with ground.installed("", broker=name == BROKER) as installation:
            role = await installation.receiver()
            yield role.port, process_of(role)
        if name == BROKER:
            await ground.purge()
        return
    process = await start_module("bench.bare_http", "null" if name == NULL else "aiohttp")
    try:
        assert process.stdout is not None
        yield int(await process.stdout.readline()), psutil.Process(process.pid)
    finally:
        await end(process)
