"""The `pipemirror` command."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any

import typer

from cli import operate, roles
from cli.demo import demo as run_demo
from runtime import logs
from runtime.settings import Settings, load, signing_secrets
from runtime.shutdown import stop_requested
from runtime.watchdog import watched_loop
from schema.credentials import derive, parse_company
from schema.errors import Misconfigured, NotNow, Problem

EXIT_FAILED, EXIT_USAGE, EXIT_UNREACHABLE = 1, 2, 3

app = typer.Typer(
    name="pipemirror",
    help="A live Postgres mirror of Pipedrive.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
webhooks = typer.Typer(help="The subscription at Pipedrive.", no_args_is_help=True)
dead_letters = typer.Typer(help="Events that could not be applied.", no_args_is_help=True)
companies = typer.Typer(help="Who is mirrored.", no_args_is_help=True)
app.add_typer(webhooks, name="webhooks")
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(companies, name="companies")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
LetterId = Annotated[int, typer.Argument(metavar="ID", help="Id of the dead letter.", min=1)]
SomeLetters = Annotated[list[int] | None, typer.Argument(metavar="[ID]...", help="Ids of dead letters.")]
All = Annotated[bool, typer.Option("--all", help="Every open one.")]

_NEEDS_QUEUE = ("WEBHOOK_SECRET",)


def main() -> None:
    """Run the command; the exit codes are 0 done, 1 failed, 2 wrong usage or configuration, 3 service unreachable."""
    try:
        app()
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


@app.command()
def demo(
    seconds: Annotated[float | None, typer.Option("--for", help="End after so many seconds.", min=1)] = None,
    rate: Annotated[float, typer.Option(help="Events per second.", min=0.1, max=5000)] = 20,
    deals: Annotated[int, typer.Option(help="Deals at the start.", min=1, max=100_000)] = 200,
) -> None:
    """Mirror a stand-in Pipedrive, live, with nothing else installed."""
    _configure("demo", load(), level="warning")
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
    """Create or upgrade the schemas; safe to run twice and at once."""
    _operate(operate.migrate)


@webhooks.command()
def credentials(
    company: Annotated[str, typer.Option(help="Company id: 1 to 19 digits.")],
    as_json: Json = False,
) -> None:
    """What to enter in Pipedrive's webhook form. Needs no database."""
    settings = load(_NEEDS_QUEUE)
    company_id = parse_company(company)
    if company_id is None:
        raise Misconfigured(f"--company {company!r} is not valid: expected 1 to 19 digits")
    base = settings.public_url or f"http://{settings.receiver_host}:{settings.receiver_port}"
    found = {
        "url": f"{base}/webhooks/{company_id}",
        "user": str(company_id),
        "password": derive(signing_secrets(settings)[0], company_id),
    }
    operate.show(found, as_json=as_json)
    if settings.public_url is None:
        typer.echo("PUBLIC_URL is not set: Pipedrive cannot reach this address yet.", err=True)


@dead_letters.command("list")
def list_letters(
    as_json: Json = False,
    limit: Annotated[int | None, typer.Option(help="Show at most so many, the newest.", min=1)] = None,
) -> None:
    """Open dead letters, newest first."""
    _operate(operate.list_letters, as_json=as_json, limit=limit)


@dead_letters.command("show")
def show_letter(letter_id: LetterId, as_json: Json = False) -> None:
    """One dead letter with its evidence: the body as it was received."""
    _operate(operate.show_letter, letter_id, as_json=as_json)


@dead_letters.command("replay")
def replay_letters(ids: SomeLetters = None, every: All = False) -> None:
    """Apply dead letters again; those that still fail stay."""
    numbered = load().pipedrive_client_id is not None
    _operate(operate.replay_letters, _chosen(ids, every=every), numbered_slugs=numbered)


@dead_letters.command("discard")
def discard_letters(ids: SomeLetters = None, every: All = False) -> None:
    """Close dead letters without applying them."""
    _operate(operate.discard_letters, _chosen(ids, every=every))


@companies.command("list")
def list_companies(as_json: Json = False) -> None:
    """Companies with their schemas and states."""
    _operate(operate.list_companies, as_json=as_json)


@app.command()
def status(as_json: Json = False) -> None:
    """Per company and entity: rows, freshness, lag; backlog; dead letters."""
    _operate(operate.status, load(), as_json=as_json)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check what a first deployment gets wrong, in plain words."""
    settings = load()
    _configure("doctor", settings, level="error")
    if not asyncio.run(operate.doctor(settings, as_json=as_json)):
        sys.exit(EXIT_FAILED)


@app.command()
def sandbox(
    company: Annotated[int, typer.Option(help="Company id.", min=1)] = 1_234_567,
    url: Annotated[str | None, typer.Option(help="Where to send webhooks; default: the local receiver.")] = None,
    rate: Annotated[float, typer.Option(help="Events per second.", min=0.1, max=5000)] = 20,
    deals: Annotated[int, typer.Option(help="Deals at the start.", min=1, max=100_000)] = 200,
) -> None:
    """The stand-in Pipedrive alone, sending webhooks to a receiver."""
    settings = load(_NEEDS_QUEUE)
    _configure("sandbox", settings)
    asyncio.run(_until_stopped(lambda stop: operate.run_sandbox(settings, company, url, stop, rate=rate, deals=deals)))


def _chosen(ids: list[int] | None, *, every: bool) -> list[int] | None:
    """The ids named, or None for all."""
    if bool(ids) == every:
        raise Misconfigured("name the ids of dead letters, or --all")
    return ids or None


def _serve(role: str, run: Callable[[roles.Process], Coroutine[Any, Any, None]], needs: tuple[str, ...] = ()) -> None:
    settings = load(needs)
    _configure(role, settings)

    async def watched(stop: asyncio.Event) -> None:
        process = roles.Process(settings, stop)
        with watched_loop(process.metrics):
            await run(process)

    asyncio.run(_until_stopped(watched))


async def _until_stopped(run: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    with stop_requested() as stop:
        await run(stop)


def _operate(command: Callable[..., Coroutine[Any, Any, bool]], *arguments: Any, **options: Any) -> None:
    """Run a command that needs the database; it returns whether all went well."""
    settings = load()
    _configure("cli", settings, level="warning")

    async def run() -> bool:
        async with roles.database(settings) as dsn:
            return await command(dsn, *arguments, **options)

    if not asyncio.run(run()):
        sys.exit(EXIT_FAILED)


def _configure(role: str, settings: Settings, *, level: str | None = None) -> None:
    shown = settings.log_level if level is None or "LOG_LEVEL" in settings.given else level
    logs.configure(role, form=settings.log_format, level=shown)


def _say(problem: Problem) -> None:
    typer.echo(f"{problem.code}: {problem.reason}\n{problem.remedy}", err=True)
