"""`pipemirror backfill` and `sweep`: read an account whole, as `connect` does, or what changed of it."""

import asyncio
import sys
from typing import Final

import typer

from cli.command import operate_long, pool
from cli.operating.undertaking import (
    CONNECTIONS,
    CompanyOption,
    EntityOption,
    Undertaking,
    chosen,
    number_of,
    tell_price,
    tell_walks,
    the_company,
)
from cli.reading import token_of
from cli.walks import Walks
from pipedrive.budget import Need
from runtime.settings import Settings, load
from store.companies import Company
from store.database import Pool
from store.tokens import StoredToken
from store.walks import Walk
from worker.healing.backfill import backfill as read_all
from worker.healing.backfill import unread
from worker.healing.extent import highest
from worker.healing.order import Wanted
from worker.healing.sweep import sweep as read_changes
from worker.healing.walking import Reader

_READ_BEFORE: Final = (
    "all lists were read before, and are not read again. What changed since is read by `pipemirror up`, or a worker,\n"
    "by itself, and now by `pipemirror sweep`. `pipemirror backfill` reads everything anew."
)


def backfill(company: CompanyOption = None, entity: EntityOption = None) -> None:
    """Read all of an account's lists over the REST API.

    Goes on where an interrupted one stood. What costs a call per parent is read only if named, here or by OPT_IN.
    """
    settings = load()
    operate_long(_backfill, settings, company, chosen(settings, entity))


def sweep(company: CompanyOption = None, entity: EntityOption = None) -> None:
    """Read what changed since the last time over the REST API.

    Workers do it by themselves. Lists that cannot tell are read whole when they are due.
    """
    settings = load()
    operate_long(_sweep, settings, company, chosen(settings, entity))


async def _backfill(
    dsn: str, settings: Settings, company_id: int | None, wanted: Wanted, *, stop: asyncio.Event
) -> bool:
    async with pool(dsn, size=CONNECTIONS, lasting=True) as found:
        company = await the_company(found, company_id)
        token = await token_of(settings, found, company.id)
        return await read_whole(settings, found, company, token, wanted, stop=stop, anew=True) is True


async def read_whole(
    settings: Settings,
    found: Pool,
    company: Company,
    token: StoredToken,
    wanted: Wanted,
    *,
    stop: asyncio.Event,
    anew: bool,
) -> bool | None:
    """Read with progress until all is read or `stop` is set.

    Whether every list could be read; None where nothing was left to read, or another process reads it.

    anew  also what was read to its end before, unless by one that was interrupted and goes on
    """
    async with found.acquire() as connection:
        left = await unread(connection, company.id, wanted, anew=anew)
    if not left:
        typer.echo(_READ_BEFORE, err=True)
        return None
    await tell_price(found, company, left)
    if anew and number_of(left) < number_of(wanted):
        typer.echo("goes on where one was interrupted: the other lists were read by it", err=True)

    async def work(reader: Reader, shown: Walks) -> list[Walk]:
        if sys.stderr.isatty() and not shown.highest:
            shown.highest = await highest(reader, wanted)
        return await read_all(reader, wanted, anew=anew)

    done = await Undertaking(settings, found, company, token, Need.BULK, "reading", stop, number_of(wanted)).run(work)
    return None if done is None else tell_walks(done[0], ended=done[1] is not None)


async def _sweep(dsn: str, settings: Settings, company_id: int | None, wanted: Wanted, *, stop: asyncio.Event) -> bool:
    async with pool(dsn, size=CONNECTIONS, lasting=True) as found:
        company = await the_company(found, company_id)
        token = await token_of(settings, found, company.id)
        sweeping = Undertaking(settings, found, company, token, Need.SWEEP, "sweeping", stop)
        done = await sweeping.run(lambda reader, _: read_changes(reader, wanted))
        return done is not None and tell_walks(done[0], ended=done[1] is not None)
