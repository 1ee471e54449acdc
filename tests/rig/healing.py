"""A sandbox that answers like Pipedrive, and a reader that writes what it lists into a mirror."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from cryptography.fernet import Fernet

from cli import mirrored
from pipedrive.allowance import Allowance, InMemory
from pipedrive.budget import Need, Terms
from pipedrive.client import Client
from pipedrive.token import Token
from pipedrive.wire import Wire
from runtime.backoff import Backoff
from runtime.metrics import Metrics
from sandbox.cloud import Company as Cloud
from sandbox.compare import differences
from sandbox.rest.api import Rest
from sandbox.rest.limits import Limits
from sandbox.rest.server import TOKEN
from sandbox.rest.truth import listed
from store.companies import Company
from store.database import Pool
from store.tokens import StoredToken, Vault
from store.walks import Walk
from worker.applying.held_companies import HeldCompanies
from worker.applying.persistence import Persist, Persistence
from worker.healing.accounts import Account, Accounts
from worker.healing.jobs import JOBS, Job, Length, Means
from worker.healing.schedule import Schedule
from worker.healing.touched import Touched
from worker.healing.walking import Reader

AT_ONCE = Backoff(first=0.01, cap=0.05)

GENEROUS = Limits(burst=5_000)
"""Per two seconds: the limiter has tests of its own."""

_BOUNDLESS = Terms(1.0, 10**9)
VAULT = Vault([Fernet.generate_key().decode()])


def nobody(_: Walk) -> None:
    """For walks that nobody looks at."""


@asynccontextmanager
async def reading(
    pool: Pool,
    company: Company,
    rest: Rest,
    *,
    need: Need = Need.BULK,
    on_page: Callable[[Walk], None] = nobody,
    **terms: Any,
) -> AsyncIterator[Reader]:
    async def token() -> Token:
        return Token(TOKEN)

    allowance = Allowance(InMemory(), Terms(**{"share": 1.0, "daily": 10**9} | terms))
    async with Client(Wire(rest.url), token, allowance, retry=AT_ONCE) as client:
        yield Reader(client, persisting(pool), company, need, 1, on_page)


@asynccontextmanager
async def accounts_of(
    pool: Pool,
    company: Company,
    rest: Rest,
    token: str = TOKEN,
    *,
    metrics: Metrics | None = None,
    terms: Terms = _BOUNDLESS,
) -> AsyncIterator[Accounts]:
    """As a worker has them, once the company's token is stored."""
    async with pool.acquire() as connection:
        await VAULT.put(connection, StoredToken(company.id, "api", token, rest.url, 1, is_admin=True))
    accounts = Accounts(pool, persisting(pool), VAULT, terms, metrics or Metrics())
    try:
        yield accounts
    finally:
        await accounts.aclose()


def scheduled(pool: Pool, accounts: Accounts, *, todo: Sequence[Job] = JOBS, **more: Any) -> Schedule:
    """What a worker does by itself, each job when it is due."""
    touched, metrics = more.pop("touched", Touched()), more.pop("metrics", Metrics())
    return Schedule(Means(pool, accounts, **more), persisting(pool), touched, metrics, todo=todo)


async def once(schedule: Schedule, account: Account) -> None:
    """What a worker does in one round, one after the other."""
    await schedule.promptly(account)
    await schedule.at_length(account, Length.WHILE)
    await schedule.at_length(account, Length.LONG)


async def served(schedule: Schedule, company_id: int) -> None:
    """The same, as its rounds do it: whatever the account answers."""
    for course in schedule._courses:
        await schedule._serve(company_id, course)


def persisting(pool: Pool) -> Persist:
    return Persistence(pool, Metrics(), HeldCompanies(), backoff=AT_ONCE, tries=5).persist


async def differing(pool: Pool, company: Company, cloud: Cloud) -> list[str]:
    """What a mirror that has read everything has otherwise than the account."""
    async with pool.acquire() as connection:
        return differences(listed(cloud), await mirrored.read(connection, company.id))
