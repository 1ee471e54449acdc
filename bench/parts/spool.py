"""The spool alone: messages of one event, made durable by many producers at once, and by one."""

import asyncio
import time
from typing import Final

from bench.effort import Effort
from bench.figures import Figure, Rounds, Samples, percentile
from bench.ground import Ground
from bench.machine import sync_seconds
from runtime.spool import SpoolWriter
from schema.envelope import Envelope, pack

_BODY: Final = pack([Envelope(1, 1, b"x" * 2048)])
_MANY: Final = 64


async def measure(ground: Ground, effort: Effort) -> list[Figure]:
    """Messages/s and the latency of each."""
    rounds = Rounds()
    for _ in range(effort.rounds):
        for producers in (_MANY, 1):
            rounds.add(str(producers), await _sample(ground, producers, min(effort.seconds, 3.0)))
    many, one = str(_MANY), "1"
    return [
        rounds.figure(f"{_MANY} producers", "/s", many, "rate"),
        rounds.figure(f"{_MANY} producers: p99", "ms", many, "p99"),
        rounds.figure("one producer", "/s", one, "rate"),
        rounds.figure("one producer: p50", "ms", one, "p50"),
        rounds.figure("one producer: p99", "ms", one, "p99"),
        rounds.figure("fdatasync of 4 KiB", "ms", one, "sync", note="the floor of all of these"),
    ]


async def _sample(ground: Ground, producers: int, seconds: float) -> Samples:
    folder = ground.new_folder()
    sync = await asyncio.to_thread(sync_seconds, folder)
    writer = SpoolWriter(folder / "spool")
    await writer.start()
    began = time.perf_counter()
    taken: list[float] = []

    async def produce() -> None:
        while (started := time.perf_counter()) < began + seconds:
            await writer.publish("lane.0", _BODY)
            taken.append(time.perf_counter() - started)

    await asyncio.gather(*(produce() for _ in range(producers)))
    elapsed = time.perf_counter() - began
    await writer.close()
    taken.sort()
    p50, p99 = (percentile(taken, share) * 1e3 for share in (0.5, 0.99))
    return {"rate": len(taken) / elapsed, "p50": p50, "p99": p99, "sync": sync * 1e3}
