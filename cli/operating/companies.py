"""`pipemirror companies`: who is mirrored; pause, resume, purge."""

import asyncio
from typing import Annotated

import typer

from cli.command import Json, operate, operate_long, pool
from cli.operating import purging, replaying
from cli.output import show
from cli.values import identity
from schema.ddl import raw_schema
from store import companies as store
from store.companies import ACTIVE, PAUSED, PURGED, Company
from store.database import Pool
from store.replays import Wanted
from worker.operations import walking

app = typer.Typer(help="Who is mirrored.", no_args_is_help=True)

CompanyId = Annotated[int, typer.Argument(parser=identity, metavar="ID", help="Id of the company.")]


@app.command("list")
def list_companies(as_json: Json = False) -> None:
    """Who is mirrored, in which schema, and its state."""
    operate(_list, as_json=as_json)


@app.command()
def pause(company_id: CompanyId) -> None:
    """Write nothing more to its tables; its events are kept.

    In the journal, for JOURNAL_DAYS.
    """
    operate(_pause, company_id)


@app.command()
def resume(company_id: CompanyId) -> None:
    """Go on, and apply what was kept meanwhile.

    Run it again if it was interrupted.
    """
    operate_long(_resume, company_id)


app.command()(purging.purge)


async def _list(dsn: str, *, as_json: bool) -> bool:
    async with pool(dsn) as found, found.acquire() as connection:
        known = await store.all_companies(connection)
    rows = [
        {"id": company.id, "slug": company.slug, "schema": _schema(company), "state": company.state}
        for company in known
    ]
    if rows or as_json:
        show(rows, as_json=as_json)
    else:
        typer.echo("no companies yet: the first authentic webhook of a company makes it known")
    return True


def _schema(company: Company) -> str | None:
    """Of its tables; a purged company has none."""
    return None if company.state == PURGED else raw_schema(company.slug)


async def _pause(dsn: str, company_id: int) -> bool:
    async with pool(dsn) as found:
        if not await _set(found, company_id, PAUSED):
            return False
    typer.echo(f"company {company_id} is paused: its events are kept until `companies resume {company_id}`")
    return True


async def _resume(dsn: str, company_id: int, *, stop: asyncio.Event) -> bool:
    async with pool(dsn) as found:
        if not await _set(found, company_id, ACTIVE):
            return False
        typer.echo(f"company {company_id} is active; applying what was kept")
        done = await replaying.run(found, Wanted(company_id=company_id, kept_only=True), stop)
        async with found.acquire() as connection:
            left = await walking.waiting(connection, company_id)
    if left:
        typer.echo(f"company {company_id}: {left:,} events are still kept and not applied", err=True)
    return done and not left


async def _set(found: Pool, company_id: int, state: str) -> bool:
    """Whether the company may be, and now is, in that state."""
    async with found.acquire() as connection:
        before = await store.change_state(connection, company_id, state)
    if before is None or before == PURGED:
        typer.echo(f"company {company_id} is {'purged' if before else 'not known'}", err=True)
        return False
    return True
