"""From POST to a row that others can read, at fixed rates.

Requests are due at a fixed rate, whatever became of the earlier ones, and latency counts from when they were due. A
second connection to Postgres asks every 2 ms which of the events that are due have a journal row: it is committed
together with the mirrored row. So a latency is never told too short, and too long by at most one look, whose length is
measured and printed.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from bench.database import fresh, journaled_by, prepared, read_one
from bench.effort import Effort
from bench.figures import Figure, Rounds, Samples, Target, percentile
from bench.ground import Ground, authorized
from bench.load import Order
from bench.workload import company_ids, event_id, story
from store.database import create_pool

RATES: Final = (50, 200, 500, 1000)
COMPANIES: Final = company_ids(1)
_TARGETS: Final = {
    (200, "p50"): Target(reach=30, at_most=True),
    (200, "p99"): Target(reach=100, at_most=True),
}
_EVERY: Final = 0.002
_MOST_ASKED: Final = 2_000
START_WITHIN: Final = 3.0
"""Seconds that the load generator may take to start before its first request is due."""
_WITHIN: Final = 60.0
_VISIBLE: Final = (
    "SELECT key FROM pipemirror.events WHERE company_id = $1 AND key = ANY($2::text[]) AND occurred_at >= $3"
)


@dataclass(slots=True)
class Watched:
    """Seconds: from due to visible, per event; and from the look before to the end of each that found something."""

    latencies: list[float] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)


async def measure(ground: Ground, effort: Effort) -> list[Figure]:
    """Percentiles per rate."""
    told = story(deals=effort.deals, events=effort.events // 2)
    template = await prepared(ground, told, 1)
    bodies = ground.save("happening", told.happening)
    rounds = Rounds()
    for _ in range(effort.long_rounds):
        for rate in RATES:
            rounds.add(str(rate), await _sample(ground, template, bodies, rate, 2 * effort.seconds))
    return list(_figures(rounds))


def _figures(rounds: Rounds) -> Iterator[Figure]:
    for rate in RATES:
        for share in ("p50", "p95", "p99"):
            target = _TARGETS.get((rate, share))
            yield rounds.figure(f"{rate} events/s: {share}", "ms", str(rate), share, target=target)
        yield rounds.figure(f"{rate} events/s: ack p50", "ms", str(rate), "ack", note="POST to 200")
        yield rounds.figure(f"{rate} events/s: error", "ms", str(rate), "look", note="at most too long by that (p99)")


async def _sample(ground: Ground, template: str, bodies: str, rate: int, seconds: float) -> Samples:
    async with fresh(ground, template) as dsn, ground.installed(dsn, broker=True) as installation:
        receiver, worker = await installation.running()
        ground.place(measured=None)
        # A little load first: prepared statements, caches and connections are those of a process that has run a while.
        first, known = rate, (await read_one(dsn, "SELECT count(*) AS events FROM pipemirror.events"))["events"]
        await ground.load(Order(receiver.port, authorized(COMPANIES), bodies, requests=first))
        await journaled_by(dsn, known + first, worker)
        begin = time.monotonic() + START_WITHIN
        order = Order(
            receiver.port, authorized(COMPANIES), bodies, first=first, rate=rate, seconds=seconds, begin=begin
        )  # fmt: skip
        seen, watched = await asyncio.gather(ground.load(order), watch(dsn, order))
        await worker.terminate()
        await ground.purge()
    return {**shares(watched), "ack": seen.p50}


def shares(watched: Watched) -> Samples:
    """Percentiles of the latencies, and by how much they are too long at most, in milliseconds."""
    ordered, looks = sorted(watched.latencies), sorted(watched.looks)
    found = {name: percentile(ordered, share) * 1e3 for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    return {**found, "look": percentile(looks, 0.99) * 1e3}


async def watch(dsn: str, order: Order) -> Watched:
    """Look until every event is visible. Raise TimeoutError when one does not become so."""
    pool = await create_pool(dsn, size=1, application="bench")
    total, watched = int(order.rate * order.seconds), Watched()
    awaited: dict[str, float] = {}
    since = datetime.now(UTC) - timedelta(minutes=1)
    due, last = 0, time.monotonic()
    try:
        async with pool.acquire() as connection, asyncio.timeout(order.seconds + _WITHIN):
            look = await connection.prepare(_VISIBLE)
            while len(watched.latencies) < total:
                asked = time.monotonic()
                while due < total and order.begin + due / order.rate <= asked:
                    awaited[event_id(order.first + due).decode()] = order.begin + due / order.rate
                    due += 1
                found = await look.fetch(COMPANIES[0], list(awaited)[:_MOST_ASKED], since) if awaited else []
                answered = time.monotonic()
                watched.latencies += [answered - awaited.pop(row["key"]) for row in found]
                if found:
                    watched.looks.append(answered - last)
                last = asked
                await asyncio.sleep(max(0.0, asked + _EVERY - time.monotonic()))
    finally:
        await pool.close()
    return watched
