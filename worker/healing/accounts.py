"""The way to each company's account, made when it is needed and kept for as long as its token is the same."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from pipedrive.allowance import Allowance
from pipedrive.budget import Need, Terms
from pipedrive.client import Asked, Client
from pipedrive.errors import AccountRefused
from pipedrive.ledger import Ledger
from pipedrive.token import Kind, Token
from pipedrive.wire import Wire
from runtime.measurements import PIPEDRIVE_SECONDS, PIPEDRIVE_TOKENS
from runtime.metrics import Metrics
from store import allowances, companies, fields, tokens
from store.allowances import InPostgres
from store.companies import Company
from store.database import Connection, Pool
from store.tokens import StoredToken, Vault
from worker.applying.persistence import Persist
from worker.healing.walking import Reader

_log = structlog.stdlib.get_logger(__name__)

_CONNECTIONS: Final = 8


@dataclass(frozen=True, slots=True)
class Account:
    """One company's, as long as its token is this one."""

    company: Company
    token: StoredToken
    client: Client


class Accounts:
    """Of all companies that have a token which Pipedrive accepts."""

    def __init__(self, pool: Pool, persist: Persist, vault: Vault, terms: Terms, metrics: Metrics) -> None:
        self._pool = pool
        self._persist = persist
        self._vault = vault
        self._terms = terms
        self._metrics = metrics
        self._open: dict[int, Account] = {}
        self._users: Counter[Client] = Counter()
        self._changing = asyncio.Lock()

    async def companies(self) -> Sequence[int]:
        return await self._persist(tokens.of_companies)

    async def get(self, company_id: int) -> Account | None:
        """None where there is no token, or none that is accepted, or the company is not active."""

        async def work(connection: Connection) -> tuple[Company | None, StoredToken | None]:
            company = await companies.find(connection, company_id)
            if company is None or company.state != companies.ACTIVE:
                return None, None
            # What was learnt meanwhile, by whomever: values are read by it.
            company.types = await fields.types(connection, company_id)
            return company, await self._vault.get(connection, company_id)

        company, token = await self._persist(work)
        async with self._changing:
            if company is None or token is None:
                await self._close(company_id)
                return None
            known = self._open.get(company_id)
            if known is None or known.token != token:
                await self._close(company_id)
                known = Account(company, token, self._client(token))
            self._open[company_id] = Account(company, token, known.client)
            return self._open[company_id]

    @asynccontextmanager
    async def kept(self, account: Account) -> AsyncIterator[Account]:
        """Its way stays open within the block, although another one may be opened meanwhile, or none be allowed."""
        self._users[account.client] += 1
        try:
            yield account
        finally:
            self._users[account.client] -= 1
            known = self._open.get(account.company.id)
            if known is None or known.client is not account.client:
                await self._let_go(account.client)

    def reader(self, account: Account, need: Need) -> Reader:
        # Tables of one company that cannot be used hold up neither its other lists nor other companies.
        persist = partial(self._persist, company_id=account.company.id)
        return Reader(account.client, persist, account.company, need, account.token.user_id)

    async def apart(self, company_id: int, cost: int) -> timedelta:
        """Between two sweeps of so many tokens: an account of few seats has few."""

        async def work(connection: Connection) -> timedelta:
            ledger = await allowances.find(connection, company_id)
            return timedelta(seconds=(Ledger() if ledger is None else ledger).budget.apart(cost, self._terms))

        return await self._persist(work)

    async def refused(self, account: Account, problem: AccountRefused) -> None:
        """A person must do something: until a new token is stored, nobody asks again."""
        _log.warning("account_refused", code=problem.code, company_id=account.company.id, reason=problem.reason)
        await self._persist(lambda connection: tokens.refused(connection, account.token, problem))

    async def aclose(self) -> None:
        for company_id in list(self._open):
            await self._close(company_id)

    async def _close(self, company_id: int) -> None:
        known = self._open.pop(company_id, None)
        if known is not None:
            await self._let_go(known.client)

    async def _let_go(self, client: Client) -> None:
        """Closed by its last user: who waits for an answer of it would else wait in vain, or never know why."""
        if self._users[client] <= 0:
            del self._users[client]
            await client.aclose()

    def _client(self, token: StoredToken) -> Client:
        async def current() -> Token:
            return Token(token.value, Kind(token.kind))

        books = InPostgres(self._pool, token.company_id)
        allowance = Allowance(books, self._terms)
        return Client(Wire(token.api_url, connections=_CONNECTIONS), current, allowance, on_asked=self._asked)

    def _asked(self, asked: Asked) -> None:
        self._metrics.observe(PIPEDRIVE_SECONDS, asked.seconds, asked.result)
        self._metrics.count(PIPEDRIVE_TOKENS, by=asked.cost)
