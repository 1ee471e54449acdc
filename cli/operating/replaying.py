"""`pipemirror replay`: apply again what the journal holds. Also the second half of `companies resume`."""

import asyncio
import shlex
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.command import UsageError, operate_long, pool
from cli.moments import MOMENT, moment
from cli.progress import progress
from cli.values import identity, text
from schema.entities import BY_NAME
from schema.errors import NotNow
from store import companies
from store.database import Pool
from store.replays import Replay, Wanted
from worker.operations import replay as journal_replay

Company = Annotated[int | None, typer.Option("--company", parser=identity, metavar="ID", help="Of this company alone.")]


def replay(
    since: Annotated[datetime, typer.Option("--from", parser=moment, metavar="TIME", help=f"From then on: {MOMENT}.")],
    until: Annotated[
        datetime | None, typer.Option("--to", parser=moment, metavar="TIME", help="Before then; default: now.")
    ] = None,
    company: Company = None,
    entity: Annotated[
        str | None, typer.Option(parser=text, metavar="NAME", help="Of this entity alone, such as deal.")
    ] = None,
    record: Annotated[str | None, typer.Option("--id", parser=text, metavar="ID", help="Of this record alone.")] = None,
) -> None:
    """Apply again what the journal holds.

    Harmless to what is there, and to workers beside it.
    """
    if entity is not None and entity not in BY_NAME:
        raise UsageError(f"--entity {entity!r} is not valid: expected one of {', '.join(sorted(BY_NAME))}")
    if record is not None and entity is None:
        raise UsageError("--id needs --entity: ids of different entities are the same numbers")
    wanted = Wanted(company, entity, record, since, until)
    operate_long(_replay, wanted)


async def _replay(dsn: str, wanted: Wanted, *, stop: asyncio.Event) -> bool:
    async with pool(dsn) as found:
        if wanted.company_id is not None and not await _is_known(found, wanted.company_id):
            typer.echo(f"company {wanted.company_id} is not known", err=True)
            return False
        return await run(found, wanted, stop)


async def _is_known(found: Pool, company_id: int) -> bool:
    async with found.acquire() as connection:
        return await companies.find(connection, company_id) is not None


async def run(found: Pool, wanted: Wanted, stop: asyncio.Event) -> bool:
    """Replay with progress until it is done or `stop` is set; whether every event could be applied."""
    state = await journal_replay.begin(found, wanted, datetime.now(UTC))
    if state.done:
        typer.echo(f"going on after {state.done:,} of {state.total:,} events", err=True)
    try:
        with progress("replaying", state.total, done=state.done) as advance:
            async for state in journal_replay.run(found, wanted, state):  # noqa: B020 - each state follows
                advance(state.done)
                if stop.is_set():
                    break
    except NotNow as problem:
        raise type(problem)(f"{problem.reason}\n{_so_far(state)}; {_go_on(wanted)}") from problem
    typer.echo(_so_far(state) if state.finished else f"stopped: {_so_far(state)}; {_go_on(wanted)}")
    return state.finished and not state.refused and not (wanted.company_id and state.left_out)


def _go_on(wanted: Wanted) -> str:
    """With its moments in full: `--from 6h` means another one each time, and thereby another replay."""
    if wanted.kept_only:
        return f"`pipemirror companies resume {wanted.company_id}` goes on where this one ended"
    given = {
        "--from": wanted.since and wanted.since.isoformat(),
        "--to": wanted.until and wanted.until.isoformat(),
        "--company": wanted.company_id,
        "--entity": wanted.entity,
        "--id": wanted.entity_id,
    }
    words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    return f"`pipemirror replay {shlex.join(words)}` goes on where this one ended"


def _so_far(state: Replay) -> str:
    parts = [f"{state.applied:,} of {state.total:,} events applied"]
    if state.passed:
        parts.append(f"{state.passed:,} without a table")
    if state.refused:
        parts.append(f"{state.refused:,} refused by the database: see the log above")
    parts += [f"company {company} left out, it is {its}" for company, its in state.left_out.items()]
    return ", ".join(parts)
