"""What a worker's rate becomes as companies and rows grow in number; each drain as in `drain`, over RabbitMQ."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from bench.database import administer, dropped, fill_up, prepared
from bench.effort import Effort
from bench.figures import Figure, Rounds, Target
from bench.ground import Ground
from bench.parts.drain import drain, drain_into
from bench.workload import Story, company_ids, scattered, story

_COMPANIES: Final = Target(reach=0.7)
_ROWS: Final = Target(reach=0.8)
_DEALS: Final = 1_000
_MEETING: Final = 0.5
"""The share of events during which companies are met: a connection prepares its statements once for each."""


async def measure_companies(ground: Ground, effort: Effort) -> list[Figure]:
    """The same events about the same records, which belong to one company or are spread over many."""
    events = 2 * effort.events
    templates, bodies = {}, {}
    for number in effort.companies:
        told = story(deals=effort.deals, events=events // 2, companies=number)
        templates[number] = await prepared(ground, told, number)
        bodies[number] = ground.save(f"happening-{number}", told.happening)
    rounds = Rounds()
    for _ in range(effort.long_rounds):
        for number in effort.companies:
            samples = await drain(
                ground, templates[number], bodies[number], events, broker=True, companies=company_ids(number),
                uncounted=_MEETING,
            )  # fmt: skip
            rounds.add(str(number), samples)
    return _figures(rounds, effort.companies, "companies", _COMPANIES)


async def measure_rows(ground: Ground, effort: Effort) -> list[Figure]:
    """Changes of random deals in a table of so many. The databases are filled once: copying them takes too long."""
    told = story(deals=_DEALS, events=0, only="deal")
    rounds = Rounds()
    async with AsyncExitStack() as filled:
        places = {rows: await filled.enter_async_context(_filled(ground, told, rows)) for rows in effort.rows}
        for number in range(effort.long_rounds):
            for rows, dsn in places.items():
                changes = scattered(told.announced, rows, effort.events, seed=number)
                bodies = ground.save("changes", changes)
                await administer(ground, dsn, "CHECKPOINT")
                first = number * effort.events
                rounds.add(str(rows), await drain_into(ground, dsn, bodies, effort.events, first=first))
    return _figures(rounds, effort.rows, "rows", _ROWS)


def _figures(rounds: Rounds, sizes: Sequence[int], of_what: str, target: Target) -> list[Figure]:
    least, most = str(sizes[0]), str(sizes[-1])
    return [
        rounds.ratio(f"{of_what} {sizes[-1]:,} ÷ {sizes[0]:,}, events/s", "rate", most, least, target=target),
        *(rounds.figure(f"{of_what} = {size:,}: events/s", "/s", str(size), "rate") for size in sizes),
        *(
            rounds.figure(f"{of_what} = {size:,}: worker's CPU per event", "µs", str(size), "worker_us")
            for size in sizes
        ),
        *(
            rounds.figure(f"{of_what} = {size:,}: Postgres' CPU per event", "µs", str(size), "postgres_us")
            for size in sizes
        ),
        *(rounds.figure(f"{of_what} = {size:,}: events per transaction", "", str(size), "batch") for size in sizes),
    ]


@asynccontextmanager
async def _filled(ground: Ground, told: Story, rows: int) -> AsyncIterator[str]:
    """The DSN of a database with a table of so many deals."""
    async with dropped(ground, await prepared(ground, told, 1)) as dsn:
        await fill_up(ground, dsn, "deals", rows)
        yield dsn
