"""`pipemirror demo`: a made-up company, a receiver, a worker and a Postgres in one process, and a proof at the end."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import structlog
import typer
from rich.live import Live

from cli import embedded, mirrored, roles
from cli.scoreboard import Reading, Scoreboard
from runtime.measurements import EVENTS
from runtime.metrics import Metrics
from runtime.settings import Settings, signing_secrets
from runtime.shutdown import stop_requested
from sandbox.cloud import Company, Truth
from sandbox.compare import differences
from sandbox.deliveries import Pace
from sandbox.ledger import Counters
from sandbox.live import Outcome
from sandbox.live import run as run_company
from sandbox.mischief import Mischief
from schema.credentials import derive
from store import status
from store.companies import find
from store.database import Connection, Pool, create_pool
from worker.upkeep.migrate import migrate

_log = structlog.stdlib.get_logger(__name__)
COMPANY_ID = 1_234_567
CATCH_UP_SECONDS = 60.0
SHOWN_DIFFERENCES = 20

_FIRST_QUERY = "select id, title, status, value, currency from pipedrive_raw.deals order by _synced_at desc limit 10;"

_MISCHIEF = Mischief(duplicates=0.02)
"""A little of what really happens: some events come twice. Reordering is left out, it would show as lag."""

_READING = """
SELECT count(*) AS events,
       percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM applied_at - occurred_at)::float8)
           FILTER (WHERE applied_at > now() - interval '10 seconds') AS lag,
       (SELECT count(*) FROM pipemirror.dead_letters) AS dead_letters
FROM pipemirror.events
"""


class Verdict(NamedTuple):
    """What the comparison came to, and the lines that say so."""

    lines: list[str]
    equal: bool


async def demo(data_dir: Path, *, seconds: float | None, rate: float, deals: int) -> bool:
    """Run until `seconds` are over or it is interrupted; whether the mirror then equals the company."""
    home = data_dir / "demo"
    # Each demo begins with an empty mirror: the company it mirrors is a new one, too.
    await asyncio.to_thread(embedded.discard, home)
    server = await asyncio.to_thread(embedded.start, home)
    try:
        typer.echo(f"Look at it while it runs:\n\n  {server.psql}\n\n  {_FIRST_QUERY}\n")
        with stop_requested() as stop:
            if seconds is not None:
                asyncio.get_running_loop().call_later(seconds, stop.set)
            verdict = await _mirror(home, server.dsn, stop, rate=rate, deals=deals)
        # Only now: the live view redraws the end of the screen until it is closed.
        typer.echo("\n".join(verdict.lines))
        return verdict.equal
    finally:
        await asyncio.to_thread(server.stop)


async def _mirror(home: Path, dsn: str, stop: asyncio.Event, *, rate: float, deals: int) -> Verdict:
    settings = Settings(data_dir=home, database_url=None, amqp_url=None)
    process = roles.Process(settings, asyncio.Event())
    counters = Counters()
    board = Scoreboard(counters)
    async with AsyncExitStack() as stack:
        await migrate(dsn)
        pool = await create_pool(dsn, size=2, application="pipemirror demo")
        stack.push_async_callback(pool.close)
        subscription = await stack.enter_async_context(roles.subscribed(process))
        worker = await stack.enter_async_context(roles.working(process, dsn, subscription))
        receiver = await stack.enter_async_context(roles.receiving(process, subscription, port=0))
        # A worker that fails ends the demo; why, it says itself when its context is left.
        worker.add_done_callback(lambda _: stop.set())
        await stack.enter_async_context(_watching(pool, process.metrics, board))
        outcome = await _live(settings, receiver.port, counters, stop, rate=rate, deals=deals)
        lines = await _compare_when_caught_up(pool, outcome.truth, worker)
        return await _verdict(pool, outcome, lines)


async def _live(
    settings: Settings, port: int, counters: Counters, stop: asyncio.Event, *, rate: float, deals: int
) -> Outcome:
    rng = random.Random(time.time_ns())  # noqa: S311 - a made-up company, not a secret
    company = Company(rng, COMPANY_ID, lambda: time.time_ns() // 1_000, deals=deals)
    return await run_company(
        company,
        f"http://127.0.0.1:{port}/webhooks/{COMPANY_ID}",
        str(COMPANY_ID),
        derive(signing_secrets(settings)[0], COMPANY_ID),
        rate=rate,
        stop=stop,
        rng=rng,
        mischief=_MISCHIEF,
        pace=Pace(clock_scale=0.01),
        counters=counters,
    )


async def _compare_when_caught_up(pool: Pool, truth: Truth, worker: "asyncio.Task[None]") -> list[str]:
    """The differences that remain once the queue had time to empty."""
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while True:
        async with pool.acquire() as connection:
            lines = differences(truth, await mirrored.read(connection, COMPANY_ID))
        if not lines or worker.done() or time.monotonic() > deadline:
            return lines
        await asyncio.sleep(0.25)


async def _verdict(pool: Pool, outcome: Outcome, differing: list[str]) -> Verdict:
    async with pool.acquire() as connection:
        events = await connection.fetchval("SELECT count(*) FROM pipemirror.events")
    truth = outcome.truth
    live, deleted = (sum(len(kind[entity]) for entity in truth.carried) for kind in (truth.live, truth.deleted))
    if differing:
        shown = [f"  {line}" for line in differing[:SHOWN_DIFFERENCES]]
        return Verdict([f"mirror differs from sandbox: {len(differing)} differences", *shown], equal=False)
    records = f"{live + deleted} records, {events} events ({live} live and {deleted} deleted records)"
    return Verdict([f"mirror equals sandbox: {records}"], equal=True)


@asynccontextmanager
async def _watching(pool: Pool, metrics: Metrics, board: Scoreboard) -> AsyncIterator[None]:
    """The live view on a terminal, else a line every few seconds."""
    live = Live(board.render(), refresh_per_second=4, transient=False) if sys.stdout.isatty() else None
    watching = asyncio.ensure_future(_watch(pool, metrics, board, live))
    if live is not None:
        live.start()
    try:
        yield
    finally:
        watching.cancel()
        if live is not None:
            live.stop()
        # The mirror needs nobody to look at it: the demo goes on to its verdict, but does not pretend it was watched.
        [ended] = await asyncio.gather(watching, return_exceptions=True)
        if isinstance(ended, Exception):
            _log.error("live_view_crashed", exc_info=ended)


async def _watch(pool: Pool, metrics: Metrics, board: Scoreboard, live: Live | None) -> None:
    count = 0
    while True:
        await asyncio.sleep(0.5)
        async with pool.acquire() as connection:
            board.add(await _read(connection, metrics))
        count += 1
        if live is not None:
            live.update(board.render())
        elif count % 6 == 0:
            typer.echo(board.line())


async def _read(connection: Connection, metrics: Metrics) -> Reading:
    company = await find(connection, COMPANY_ID)
    rows = await status.rows(connection, company.slug) if company else {}
    row = await connection.fetchrow(_READING)
    assert row is not None  # an aggregate always has a row
    lag = row["lag"] or (None, None)
    duplicates = int(metrics.value(EVENTS, "duplicate") or 0)
    return Reading(time.monotonic(), rows, row["events"], lag[0], lag[1], duplicates, row["dead_letters"])
