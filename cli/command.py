"""What all commands share: settings, logs, a database, and how they end."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

import asyncpg
import typer

from cli import roles
from runtime import logs
from runtime.settings import Settings, load
from runtime.shutdown import stop_requested
from schema.errors import Misconfigured
from store.database import Pool, create_pool, not_now

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


class UsageError(Exception):
    """It was typed wrongly, or a word is missing; the message says which. Nothing was done; exit code 2."""


_MISSING = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
)


def operate(
    command: Callable[..., Coroutine[Any, Any, bool]], *arguments: Any, make_database: bool = False, **options: Any
) -> None:
    """Run a command that needs the database, which must be there unless it may make one.

    It returns whether all went well.
    """
    settings = load()
    configure("cli", settings, level="warning")

    async def run() -> bool:
        async with roles.database(settings, make=make_database) as dsn:
            return await command(dsn, *arguments, **options)

    if not asyncio.run(run()):
        sys.exit(EXIT_FAILED)


def operate_long(
    command: Callable[..., Coroutine[Any, Any, bool]], *arguments: Any, make_database: bool = False, **options: Any
) -> None:
    """Likewise, for one that is given `stop`: set by Ctrl-C or SIGTERM, at which it ends with all in order."""

    async def run(dsn: str) -> bool:
        with stop_requested() as stop:
            return await command(dsn, *arguments, stop=stop, **options)

    operate(run, make_database=make_database)


def configure(role: str, settings: Settings, *, level: str | None = None) -> None:
    shown = settings.log_level if level is None or "LOG_LEVEL" in settings.given else level
    logs.configure(role, form=settings.log_format, level=shown)


@asynccontextmanager
async def pool(dsn: str, *, size: int = 1, lasting: bool = False) -> AsyncIterator[Pool]:
    """Connections of a command, `lasting` as in `create_pool`.

    What the database cannot do now, or has not, is told as a Problem.
    """
    found = await create_pool(dsn, size=size, application="pipemirror cli", lasting=lasting)
    try:
        yield found
    except Exception as error:
        missing = next((cause for cause in (error, error.__cause__) if isinstance(cause, _MISSING)), None)
        if missing is not None:
            raise Misconfigured(await _what_is_missing(found)) from missing
        problem = not_now(error)
        if problem is None or problem is error:
            raise
        raise problem from error
    finally:
        await found.close()


async def _what_is_missing(found: Pool) -> str:
    async with found.acquire() as connection:
        if await connection.fetchval("SELECT to_regclass('pipemirror.companies')") is None:
            return "the database has no pipemirror schema: run `pipemirror migrate`, or start a worker"
    return "the schema is of another release than this command: run `pipemirror migrate`"


def confirm(question: str, consequence: str, *, yes: bool) -> None:
    """Go on only if somebody says so; where nobody can be asked, only with --yes. Raise UsageError."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{consequence}; repeat with --yes (no terminal to ask at)")
    typer.confirm(question, abort=True, err=True)
