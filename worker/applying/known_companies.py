"""The companies a worker has met: loaded once, made when they are new, forgotten when they may have changed."""

import asyncio
from collections.abc import Iterable
from weakref import WeakValueDictionary

import structlog

from schema.custom_fields import Types
from schema.envelope import Envelope
from schema.errors import CompanyHeld
from schema.event import Readable, read
from store import companies, fields
from store.companies import Company
from store.database import Connection, describe
from worker.applying import provision
from worker.applying.persistence import Persist

_log = structlog.stdlib.get_logger(__name__)


class KnownCompanies:
    """What this process remembers of companies and of their custom fields' types. Any number of tasks may ask."""

    def __init__(self, *, numbered_slugs: bool) -> None:
        self._numbered_slugs = numbered_slugs
        self._known: dict[int, Company] = {}
        self._making: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._known)

    def read(self, envelopes: Iterable[Envelope]) -> list[Readable]:
        """Read them by the types that are known now."""
        known = self._known
        return [
            read(envelope, _no_types if (company := known.get(envelope.company_id)) is None else company.types_of)
            for envelope in envelopes
        ]

    async def get(self, company_id: int, persist: Persist) -> Company:
        """One that nobody has registered yet has no slug."""
        if company_id in self._known:
            return self._known[company_id]
        company = await persist(lambda connection: _load(connection, company_id))
        if company is None:
            return Company(company_id, "", companies.ACTIVE)
        if company.state != companies.PURGED:  # such a one may be connected again at any time
            return self._known.setdefault(company_id, company)  # another task may have been as quick
        return company

    async def make(self, company_id: int, persist: Persist) -> Company:
        """Register it and make its tables. Raise CompanyHeld when that cannot be done.

        Of those who ask at once one does it for all; has it tried in vain, `persist` tells the others so.
        """
        lock = self._making.setdefault(company_id, asyncio.Lock())
        async with lock:
            return self._known.get(company_id) or await self._make(company_id, persist)

    async def _make(self, company_id: int, persist: Persist) -> Company:
        try:
            company = await persist(
                lambda connection: _provision(connection, company_id, numbered_slugs=self._numbered_slugs),
                company_id=company_id,
            )
        except CompanyHeld:
            raise
        except Exception as error:
            # Whatever stands in the way stands in this company's only: no reason to end the worker of all.
            _log.exception("provisioning_crashed", company_id=company_id)
            raise CompanyHeld(f"company {company_id}: {describe(error)}") from error
        _log.info("company_provisioned", company_id=company_id, slug=company.slug)
        self._known[company_id] = company
        return company

    def forget(self, company_id: int) -> None:
        """It may not be what it was: look it up again."""
        self._known.pop(company_id, None)


def _no_types(_: str) -> Types:
    return {}


async def _provision(connection: Connection, company_id: int, *, numbered_slugs: bool) -> Company:
    company = await provision.provision(connection, company_id, numbered_slugs=numbered_slugs)
    company.types = await fields.types(connection, company_id)  # another worker may have been first, and learnt some
    return company


async def _load(connection: Connection, company_id: int) -> Company | None:
    company = await companies.find(connection, company_id)
    if company is not None:
        company.types = await fields.types(connection, company_id)
    return company
