"""Everything at once: load, receiver, queue, worker and Postgres share all cores, as on one small machine."""

from collections.abc import Iterator
from typing import Final

from rig.processes import Installation, Role

from bench.database import fresh, journaled_by, prepared, read_one
from bench.effort import Effort
from bench.figures import Figure, Rounds, Samples, Target
from bench.ground import Ground, authorized
from bench.load import Order
from bench.workload import company_ids, story

BROKER: Final = "over RabbitMQ"
SPOOL: Final = "over the spool, `up`"

_COMPANIES: Final = company_ids(1)
_RATE: Final = Target(reach=8_000)
_LASTED: Final = """
SELECT count(*) / extract(epoch FROM max(applied_at) - min(received_at))::float8 AS rate,
       (count(*) FILTER (WHERE applied_at <= (SELECT max(received_at) FROM pipemirror.events)))
           / extract(epoch FROM max(received_at) - min(received_at))::float8 AS loaded
FROM pipemirror.events WHERE received_at >= $1
"""
"""From the receipt of the first event to the last transaction; and what was written while more was coming in."""


async def measure(ground: Ground, effort: Effort) -> list[Figure]:
    """Events/s from POST to committed rows, closed loop."""
    told = story(deals=effort.deals, events=effort.events // 2)
    template = await prepared(ground, told, 1)
    bodies = ground.save("happening", told.happening)
    rounds = Rounds()
    for _ in range(effort.long_rounds):
        for name in (BROKER, SPOOL):
            rounds.add(name, await _sample(ground, template, bodies, effort, broker=name == BROKER))
    return list(_figures(rounds))


def _figures(rounds: Rounds) -> Iterator[Figure]:
    for name, target in ((BROKER, _RATE), (SPOOL, None)):
        yield rounds.figure(f"{name}: events/s, first POST to last row", "/s", name, "rate", target=target)
        yield rounds.figure(f"{name}: rows committed while load lasts", "/s", name, "loaded", note="events/s")
        yield rounds.figure(f"{name}: acknowledged", "/s", name, "acked", note="events/s")
        yield rounds.figure(f"{name}: ack p50", "ms", name, "p50")
        yield rounds.figure(f"{name}: ack p99", "ms", name, "p99")


async def _sample(ground: Ground, template: str, bodies: str, effort: Effort, *, broker: bool) -> Samples:
    number = 2 * effort.events
    async with fresh(ground, template) as dsn, ground.installed(dsn, broker=broker) as installation:
        receiver, worker = await _both(installation)
        ground.place(measured=None)
        before = await read_one(dsn, "SELECT count(*) AS events, now() AS began FROM pipemirror.events")
        seen = await ground.load(Order(receiver.port, authorized(_COMPANIES), bodies, requests=number))
        await journaled_by(dsn, before["events"] + number, worker)
        lasted = await read_one(dsn, _LASTED, before["began"])
        await worker.terminate()
        if broker:
            await ground.purge()
    return {"rate": lasted["rate"], "loaded": lasted["loaded"], "acked": seen.rate, "p50": seen.p50, "p99": seen.p99}


async def _both(installation: Installation) -> tuple[Role, Role]:
    """What takes events in, and what applies them: over the spool one process."""
    roles = await installation.running()
    return roles[0], roles[-1]
