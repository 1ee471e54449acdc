"""`pipemirror connect`: mirror the account of an API token, from the first second on."""

import asyncio
from typing import Final

import typer

from cli.command import operate_long, pool
from cli.operating import subscribing
from cli.operating.reading import read_whole
from cli.operating.undertaking import CONNECTIONS
from cli.reading import asking, asking_as, entrance
from pipedrive.account import Account, account_of
from pipedrive.allowance import InMemory
from pipedrive.budget import Need
from pipedrive.request import WHO_AM_I
from pipedrive.subscriptions import Finding
from pipedrive.token import Token
from runtime.keys import encryption_keys
from runtime.settings import Settings, load
from schema.ddl import raw_schema
from schema.entities import ENTITIES
from schema.errors import CompanyInactive, NotNow
from store.companies import PAUSED, PURGED, Company
from store.database import Pool
from store.tokens import API, StoredToken, Vault
from worker.applying.provision import provision
from worker.healing.live import Entrance, Live
from worker.healing.order import lists
from worker.healing.subscribing import ensure
from worker.upkeep.migrate import migrate

_NEEDS: Final = ("PIPEDRIVE_API_TOKEN",)


def connect() -> None:
    """Mirror the account of an API token, live and whole.

    That of PIPEDRIVE_API_TOKEN. Harmless to run again: what was read is not read twice. Live where PUBLIC_URL leads
    to a receiver that runs.
    """
    operate_long(connect_account, load(_NEEDS), make_database=True)


async def connect_account(dsn: str, settings: Settings, *, stop: asyncio.Event) -> bool:
    """Who it is, then tables, then the webhook, so that nothing is missed while the lists are read.

    Whether every list could be read. That live is off is said, and no failure.
    """
    assert settings.pipedrive_api_token is not None
    where = entrance(settings)
    token, api_url = Token(settings.pipedrive_api_token.get_secret_value()), settings.pipedrive_api_url
    async with asking(settings, token, api_url, InMemory()) as client:
        account = account_of((await client.get(WHO_AM_I, need=Need.LIVE)).content)
    _tell_account(account)
    await migrate(dsn)
    async with pool(dsn, size=CONNECTIONS, lasting=True) as found:
        stored = StoredToken(account.company_id, API, token.value, api_url, account.user_id, account.is_admin)
        company = await _registered(settings, found, stored)
        typer.echo(f"tables are in the schema {raw_schema(company.slug)}", err=True)
        if company.state == PAUSED:
            typer.echo(f"it is paused: nothing is written before `pipemirror companies resume {company.id}`", err=True)
        live = await _subscribed(settings, found, stored, account, where)
        subscribing.tell(live)
        wanted = lists(ENTITIES, settings.opted_in)
        done = await read_whole(settings, found, company, stored, wanted, stop=stop, anew=False)
    if not stop.is_set():
        _tell_end(live, whole=done is True)
    return done is not False


async def _subscribed(
    settings: Settings, found: Pool, token: StoredToken, account: Account, where: Entrance | None
) -> Live:
    """What is there already is read even if no webhook can be made now."""
    async with asking_as(settings, found, token) as client:
        try:
            return await ensure(client, found, account.company_id, where, account=account, by_hand=True)
        except NotNow as problem:
            return Live(None, (Finding(problem.code, problem.reason),))


def _tell_end(live: Live, *, whole: bool) -> None:
    """What the account's mirror is now, and what is to be done; here too why live is off, as much stands before."""
    if whole and live.problem is None:
        typer.echo("mirrored, and live as long as `pipemirror up` runs, or a receiver and a worker", err=True)
    elif whole:
        typer.echo("mirrored, as of now: `pipemirror up`, or a worker, reads what changed by itself", err=True)
    if live.problem is not None:
        typer.echo(f"live is off: {live.problem.reason}\n{live.problem.remedy}", err=True)


def _tell_account(account: Account) -> None:
    domain = f" ({account.domain}.pipedrive.com)" if account.domain else ""
    typer.echo(f"company {account.company_id} {account.company_name}{domain}, as {account.user_name}", err=True)
    if account.is_admin is False:
        typer.echo(
            "this user is no admin: what others keep to themselves is not mirrored, neither live nor else. "
            "Use the token of an admin who sees everything.",
            err=True,
        )


async def _registered(settings: Settings, found: Pool, token: StoredToken) -> Company:
    async with found.acquire() as connection:
        company = await provision(connection, token.company_id, numbered_slugs=settings.pipedrive_client_id is not None)
        if company.state == PURGED:
            raise CompanyInactive(f"company {company.id} was purged from this database")
        await Vault(encryption_keys(settings)).put(connection, token)
    return company
