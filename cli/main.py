"""The `pipemirror` command."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any

import typer

from cli import roles
from cli.command import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE, Json, UsageError, configure, operate
from cli.demo import demo as run_demo
from cli.doctor import doctor
from cli.operating import companies, letters, replaying, status
from cli.output import show
from cli.sandbox_alone import run_sandbox
from cli.values import address, finite, identity
from runtime import logs
from runtime.release import RELEASE
from runtime.settings import has_secret, kept_at, load, signing_secrets
from runtime.shutdown import stop_requested
from runtime.watchdog import watched_loop
from schema.credentials import derive
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
webhooks = typer.Typer(help="The subscription at Pipedrive.", no_args_is_help=True)
app.add_typer(webhooks, name="webhooks")
app.add_typer(companies.app, name="companies")
app.add_typer(letters.app, name="dead-letters")

_NEEDS_QUEUE = ("WEBHOOK_SECRET",)

_THE_SAME_FOR_ALL = {"version": "2.0", "event action": "*", "event object": "*"}


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


@webhooks.command()
def credentials(
    company: Annotated[int, typer.Option(parser=identity, metavar="ID", help="Company id.")],
    as_json: Json = False,
) -> None:
    """What to enter in Pipedrive's webhook form.

    Needs no database. With --json: `url`, `user` and `password` alone.
    """
    settings = load(_NEEDS_QUEUE)
    base = settings.public_url or f"http://{settings.receiver_host}:{settings.receiver_port}"
    is_new = not has_secret(settings)
    found = {
        "url": f"{base}/webhooks/{company}",
        "user": str(company),
        "password": derive(signing_secrets(settings)[0], company),
    }
    show(found if as_json else _THE_SAME_FOR_ALL | found, as_json=as_json)
    if settings.public_url is None:
        typer.echo("PUBLIC_URL is not set: Pipedrive cannot reach this address yet.", err=True)
    if is_new:
        typer.echo(f"{kept_at(settings).absolute()} was made: `pipemirror up` must run in this folder.", err=True)


@app.command()
def sandbox(
    company: Annotated[int, typer.Option(parser=identity, metavar="ID", help="Company id.")] = 1_234_567,
    url: Annotated[
        str | None,
        typer.Option(parser=address, metavar="URL", help="Where to send webhooks; default: the local receiver."),
    ] = None,
    rate: Annotated[float, typer.Option(help="Events per second.", min=0.1, max=5000)] = 20,
    deals: Annotated[int, typer.Option(help="Deals at the start.", min=1, max=100_000)] = 200,
) -> None:
    """The made-up company alone, posting to a receiver."""
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
