"""`pipemirror demo`: an account is connected and mirrored live, all in one process, with a proof at the end."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog
import typer
from pydantic import SecretStr
from rich.live import Live

from cli import embedded, roles
from cli.comparing import Comparison, Verdict
from cli.operating.connecting import connect_account
from cli.operating.undertaking import CONNECTIONS
from cli.sandbox_alone import LIMITS
from cli.scoreboard import Reading, Scoreboard
from runtime.measurements import EVENTS
from runtime.metrics import Metrics
from runtime.settings import Settings
from runtime.shutdown import stop_requested
from sandbox.cloud import Company
from sandbox.deliveries import Pace
from sandbox.live import Outcome, run_subscribed
from sandbox.mischief import Mischief
from sandbox.rest.api import Rest
from sandbox.rest.server import TOKEN, serve
from sandbox.shelf import Id
from store import status
from store.companies import find
from store.database import Connection, Pool, create_pool
from worker.upkeep.migrate import migrate

_log = structlog.stdlib.get_logger(__name__)
COMPANY_ID = 1_234_567

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
            lines, equal = await _mirror(home, server.dsn, stop, rate=rate, deals=deals)
        # Only now: the live view redraws the end of the screen until it is closed.
        typer.echo("\n".join(lines))
        return equal
    finally:
        await asyncio.to_thread(server.stop)


async def _mirror(home: Path, dsn: str, stop: asyncio.Event, *, rate: float, deals: int) -> Verdict:
    """Receiver and worker, as `up` has them; an account that there was before; and `connect`."""
    process = roles.Process(Settings(data_dir=home, database_url=None, amqp_url=None), asyncio.Event())
    company, heard = _company(deals), set[tuple[str, Id]]()
    company.watchers.append(lambda event: heard.add((event.entity, event.id)))
    async with AsyncExitStack() as stack:
        await migrate(dsn)
        pool = await create_pool(dsn, size=CONNECTIONS, application="pipemirror demo")
        stack.push_async_callback(pool.close)
        subscription = await stack.enter_async_context(roles.subscribed(process))
        worker = await stack.enter_async_context(roles.working(process, dsn, subscription))
        receiver = await stack.enter_async_context(roles.receiving(process, subscription, port=0))
        # A worker that fails ends the demo; why, it says itself when its context is left.
        worker.add_done_callback(lambda _: stop.set())
        serving = serve(company, limits=LIMITS, deliveries=_MISCHIEF, pace=Pace(clock_scale=0.01))
        rest = await stack.enter_async_context(serving)
        living = await stack.enter_async_context(_living(company, rest, rate))
        settings = _settings(home, receiver.port, rest)
        if not await connect_account(dsn, settings, stop=asyncio.Event()):
            return Verdict(["mirror differs from sandbox: not all of the account could be read"], equal=False)
        async with _watching(pool, process.metrics, Scoreboard(rest.subscriptions.ledger.counters)):
            await stop.wait()
            outcome = await living()
        typer.echo("the account is read once more, and all of it compared", err=True)
        return await Comparison(pool, settings, company, outcome, heard, worker).verdict()


def _company(deals: int) -> Company:
    rng = random.Random(time.time_ns())  # noqa: S311 - a made-up company, not a secret
    return Company(rng, COMPANY_ID, lambda: time.time_ns() // 1_000, deals=deals)


def _settings(home: Path, receiver_port: int, rest: Rest) -> Settings:
    """What a person would set."""
    return Settings(
        data_dir=home,
        database_url=None,
        amqp_url=None,
        public_url=f"http://127.0.0.1:{receiver_port}",
        pipedrive_api_url=rest.url,
        pipedrive_api_token=SecretStr(TOKEN),
    )


@asynccontextmanager
async def _living(company: Company, rest: Rest, rate: float) -> AsyncIterator[Callable[[], Awaitable[Outcome]]]:
    """The company changes from now on, whoever listens; until what is yielded is called, which ends its life."""
    stop = asyncio.Event()
    life = asyncio.create_task(run_subscribed(company, rest.subscriptions, rate=rate, stop=stop))

    async def ended() -> Outcome:
        stop.set()
        return await life

    try:
        yield ended
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)


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
