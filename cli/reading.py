"""Composition: what reads a company's account over the REST API."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from pipedrive.allowance import Allowance, Books
from pipedrive.budget import Need, Terms
from pipedrive.client import RETRY, Client
from pipedrive.token import Kind, Token
from pipedrive.wire import Wire
from runtime.backoff import RECONNECT, Backoff
from runtime.garbage import collect_seldom
from runtime.keys import encryption_keys, has_keys, signing_secrets
from runtime.metrics import Metrics
from runtime.settings import Settings
from schema.errors import Misconfigured
from store import fields
from store.allowances import InPostgres
from store.companies import Company
from store.database import Pool
from store.tokens import StoredToken, Vault
from store.walks import Walk
from worker.app import Healing
from worker.applying.held_companies import HeldCompanies
from worker.applying.persistence import Persistence
from worker.healing.live import Entrance
from worker.healing.walking import Reader

_TRIES = 5
_NEW_OBJECTS = 100_000
"""More than the pages under way hold: nearly all of them are gone with theirs, without being looked for."""


@asynccontextmanager
async def asking(
    settings: Settings, token: Token, api_url: str, books: Books, *, retry: Backoff = RETRY
) -> AsyncIterator[Client]:
    """The way to Pipedrive with this token; what may be asked is counted in `books`."""

    async def current() -> Token:
        return token

    terms = Terms(settings.pipedrive_token_share, settings.pipedrive_daily_tokens)
    async with Client(Wire(api_url), current, Allowance(books, terms), retry=retry) as client:
        yield client


def entrance(settings: Settings) -> Entrance | None:
    """Where Pipedrive is to send webhooks; None where PUBLIC_URL does not say it. Raise Misconfigured."""
    return None if settings.public_url is None else Entrance(settings.public_url, signing_secrets(settings)[0])


def vault(settings: Settings) -> Vault:
    """Of tokens that are stored: no key is made where there is none. Raise Misconfigured."""
    return Vault(encryption_keys(settings) if has_keys(settings) else ())


async def token_of(settings: Settings, pool: Pool, company_id: int) -> StoredToken:
    """The one that was stored when the company was connected. Raise Misconfigured."""
    async with pool.acquire() as connection:
        found = await vault(settings).get(connection, company_id)
    if found is None:
        raise Misconfigured(f"there is no token of company {company_id}: run `pipemirror connect` with its token")
    return found


@asynccontextmanager
async def asking_as(
    settings: Settings, pool: Pool, token: StoredToken, *, retry: Backoff = RETRY
) -> AsyncIterator[Client]:
    """The way to a company's account, whose allowance is shared with all processes."""
    books = InPostgres(pool, token.company_id)
    async with asking(settings, Token(token.value, Kind(token.kind)), token.api_url, books, retry=retry) as client:
        yield client


@asynccontextmanager
async def reading(
    settings: Settings,
    pool: Pool,
    company: Company,
    token: StoredToken,
    *,
    need: Need,
    on_page: Callable[[Walk], None],
) -> AsyncIterator[Reader]:
    """A reader of the account whose rows go into the company's tables."""
    async with pool.acquire() as connection:
        company.types = await fields.types(connection, company.id)
    persistence = Persistence(pool, Metrics(), HeldCompanies(), backoff=RECONNECT, tries=_TRIES)
    collect_seldom(_NEW_OBJECTS)
    async with asking_as(settings, pool, token) as client:
        persist = partial(persistence.persist, company_id=company.id)
        yield Reader(client, persist, company, need, token.user_id, on_page)


def healing(settings: Settings) -> Healing:
    """What a worker reads accounts with. Without keys none can be read: should there be tokens, it says so."""
    keys: tuple[str, ...] = ()
    with suppress(Misconfigured):
        keys = encryption_keys(settings)
    where = None
    with suppress(Misconfigured):  # a worker that knows no WEBHOOK_SECRET leaves webhooks to those who do
        where = entrance(settings)
    terms = Terms(settings.pipedrive_token_share, settings.pipedrive_daily_tokens)
    return Healing(keys, terms, settings.data_dir / "epoch", settings.opted_in, where)
