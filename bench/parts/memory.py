"""What receiver and worker occupy, minute after minute, under bursts and steady load in turn."""

import asyncio
import time
from collections.abc import Iterator
from typing import Final

import psutil

from bench.database import fresh, prepared
from bench.effort import Effort
from bench.figures import Figure, Target, slope
from bench.ground import Ground, authorized, process_of
from bench.load import Order
from bench.workload import company_ids, story

_COMPANIES: Final = company_ids(1)
_BURST: Final = 10_000
_STEADY_RATE: Final = 1_000.0
_STEADY_SECONDS: Final = 5.0
_SAMPLES: Final = 120
_SETTLED: Final = 0.2
"""Share of the time at the start that does not count for flatness: caches fill."""
_RECEIVER: Final = Target(reach=120, at_most=True)
_WORKER: Final = Target(reach=200, at_most=True)
_FLAT: Final = Target(reach=5, at_most=True)

Trace = list[tuple[float, float]]
"""Seconds since the start, megabytes."""


async def measure(ground: Ground, effort: Effort) -> list[Figure]:
    """The most that was occupied, and how much it still grows."""
    told = story(deals=effort.deals, events=effort.events // 2)
    template = await prepared(ground, told, 1)
    bodies = ground.save("happening", told.happening)
    async with fresh(ground, template) as dsn, ground.installed(dsn, broker=True) as installation:
        receiver, worker = await installation.running()
        ground.place(measured=None)
        loading = asyncio.ensure_future(_load(ground, receiver.port, bodies, effort.minutes * 60))
        traces = await _trace([process_of(receiver), process_of(worker)], loading, effort.minutes * 60 / _SAMPLES)
        sent = await loading
        await worker.terminate()
        await ground.purge()
    return [
        *_figures("receiver", traces[0], _RECEIVER),
        *_figures("worker", traces[1], _WORKER),
        Figure("minutes of load", "", (effort.minutes,)),
        Figure(
            "events", "", (float(sent),), note=f"bursts of {_BURST:,} by 64 connections, {_STEADY_RATE:,.0f}/s between"
        ),
    ]


def _figures(name: str, trace: Trace, most: Target) -> Iterator[Figure]:
    settled = trace[int(len(trace) * _SETTLED) :]
    span = settled[-1][0] - settled[0][0]
    mean = sum(used for _, used in settled) / len(settled)
    yield Figure(f"{name}: most", "MB", (max(used for _, used in trace),), most)
    yield Figure(
        f"{name}: growth after the first fifth of the time", "%", (100 * slope(settled) * span / mean,), _FLAT,
        note="by its slope, of the mean",
    )  # fmt: skip
    yield Figure(f"{name}: at the start", "MB", (trace[0][1],))
    yield Figure(f"{name}: at the end", "MB", (trace[-1][1],))


async def _load(ground: Ground, port: int, bodies: str, seconds: float) -> int:
    """How many events were sent."""
    end, sent, heads = time.monotonic() + seconds, 0, authorized(_COMPANIES)
    while time.monotonic() < end:
        seen = await ground.load(Order(port, heads, bodies, first=sent, requests=_BURST))
        sent += seen.sent
        steady = Order(port, heads, bodies, first=sent, rate=_STEADY_RATE, seconds=_STEADY_SECONDS)
        sent += (await ground.load(steady)).sent
    return sent


async def _trace(processes: list[psutil.Process], loading: "asyncio.Future[int]", every: float) -> list[Trace]:
    began = time.monotonic()
    traces: list[Trace] = [[] for _ in processes]
    while not loading.done():
        for process, trace in zip(processes, traces, strict=True):
            trace.append((time.monotonic() - began, process.memory_info().rss / 1e6))
        await asyncio.wait((loading,), timeout=every)
    return traces
