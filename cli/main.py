"""The `pipemirror` command."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any

import typer

from cli import roles
from cli.command import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE, UsageError, configure, operate
from cli.demo import demo as run_demo
from cli.doctor import doctor
from cli.operating import companies, connecting, letters, reading, reconciling, replaying, status, subscribing
from cli.sandbox_alone import run_sandbox, serve_sandbox
from cli.values import address, finite, identity
from runtime import logs
from runtime.release import RELEASE
from runtime.settings import load
from runtime.shutdown import stop_requested
from runtime.watchdog import watched_loop
from schema.errors import Misconfigured, NotNow, Problem
from worker.upkeep.migrate import migrate as run_migrations

app = typer.Typer(
    name="pipemirror",
    help="A live Postgres mirror of Pipedrive.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(subscribing.app, name="webhooks")
app.add_typer(companies.app, name="companies")
app.add_typer(letters.app, name="dead-letters")

_NEEDS_QUEUE = ("WEBHOOK_SECRET",)


def main() -> None:
    """Run the command; the exit codes are 0 done, 1 failed, 2 wrong usage or configuration, 3 service unreachable."""
    try:
        app()
    except UsageError as error:
        typer.echo(f"not done: {error}", err=True)
        sys.exit(EXIT_USAGE)
    except Misconfigured as problem:
        _say(problem)
        sys.exit(EXIT_USAGE)
    except NotNow as problem:
        _say(problem)
        sys.exit(EXIT_UNREACHABLE)
    except Problem as problem:
        _say(problem)
        sys.exit(EXIT_FAILED)
    except Exception as error:  # noqa: BLE001 - Python would print it whole, and Postgres quotes rows in its errors
        typer.echo(logs.render_exception((type(error), error, error.__traceback__)), err=True)
        sys.exit(EXIT_FAILED)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"pipemirror {RELEASE}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell the version and end.")
    ] = False,
) -> None:
    """A live Postgres mirror of Pipedrive."""


@app.command()
def demo(
    seconds: Annotated[
        float | None, typer.Option("--for", callback=finite, help="End after so many seconds.", min=1)
    ] = None,
    rate: Annotated[float, typer.Option(help="Events per second.", min=0.1, max=5000)] = 20,
    deals: Annotated[int, typer.Option(help="Deals at the start.", min=1, max=100_000)] = 200,
) -> None:
    """Mirror a made-up company, live, and compare at the end."""
    configure("demo", load(), level="warning")
    settings = load()
    if not asyncio.run(run_demo(settings.data_dir, seconds=seconds, rate=rate, deals=deals)):
        sys.exit(EXIT_FAILED)


@app.command()
def up() -> None:
    """Receiver and worker in one process, for one machine."""
    _serve("up", roles.run_up, _NEEDS_QUEUE)


@app.command()
def receiver() -> None:
    """Take webhooks in and make them durable."""
    _serve("receiver", roles.run_receiver, _NEEDS_QUEUE)


@app.command()
def worker() -> None:
    """Apply what was taken in."""
    _serve("worker", roles.run_worker)


@app.command()
def migrate() -> None:
    """Create or upgrade the schemas.

    Safe to run twice and at once. Workers do it by themselves.
    """
    operate(_migrate, make_database=True)


async def _migrate(dsn: str) -> bool:
    applied = await run_migrations(dsn)
    typer.echo(f"applied {', '.join(applied)}" if applied else "everything is up to date")
    return True


app.command()(status.status)
app.command()(doctor)
app.command()(replaying.replay)
app.command()(connecting.connect)
app.command()(reading.backfill)
app.command()(reading.sweep)
app.command()(reconciling.reconcile)


@app.command()
def sandbox(
    company: Annotated[int, typer.Option(parser=identity, metavar="ID", help="Company id.")] = 1_234_567,
    url: Annotated[
        str | None,
        typer.Option(parser=address, metavar="URL", help="Where to send webhooks; default: the local receiver."),
    ] = None,
    rate: Annotated[float, typer.Option(help="Events per second.", min=0.1, max=5000)] = 20,
    deals: Annotated[int, typer.Option(help="Deals at the start.", min=1, max=100_000)] = 200,
    port: Annotated[
        int | None,
        typer.Option(
            help="Serve Pipedrive's REST API here instead, 0 for any free port; webhooks go to who subscribes there.",
            min=0,
            max=65_535,
        ),
    ] = None,
) -> None:
    """The made-up company alone, posting to a receiver."""
    if port is not None:
        settings = load()
        configure("sandbox", settings)
        asyncio.run(_until_stopped(lambda stop: serve_sandbox(settings, company, port, stop, rate=rate, deals=deals)))
        return
    settings = load(_NEEDS_QUEUE)
    configure("sandbox", settings)
    asyncio.run(_until_stopped(lambda stop: run_sandbox(settings, company, url, stop, rate=rate, deals=deals)))


def _serve(role: str, run: Callable[[roles.Process], Coroutine[Any, Any, None]], needs: tuple[str, ...] = ()) -> None:
    settings = load(needs)
    configure(role, settings)

    async def watched(stop: asyncio.Event) -> None:
        process = roles.Process(settings, stop)
        with watched_loop(process.metrics):
            await run(process)

    asyncio.run(_until_stopped(watched))


async def _until_stopped(run: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    with stop_requested() as stop:
        await run(stop)


def _say(problem: Problem) -> None:
    typer.echo(f"{problem.code}: {problem.reason}\n{problem.remedy}", err=True)
