"""The proof at the end of the demo: is the mirror what the company is?

In two steps. What webhooks told must be right by itself, once the queue is empty. Then the account is read once more
and what differs is mended, as workers do it every night, for there is much that no webhook tells; all must be right
then. A read is not believed over an event of the last minute (`schema.version.SETTLED`): so of records that a webhook
told of, the columns that it carries are looked at in the first step only.
"""

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from cli import mirrored
from cli.mirrored import Mirrored
from cli.reading import reading, token_of
from pipedrive.budget import Need
from runtime.settings import Settings
from sandbox.carried import V2_LOSSY
from sandbox.cloud import Company, Truth
from sandbox.compare import differences
from sandbox.live import Outcome
from sandbox.rest.truth import listed
from sandbox.shelf import Id
from schema.entities import ENTITIES
from store import companies
from store.database import Pool
from worker.healing.alone import alone
from worker.healing.order import lists
from worker.healing.reconcile import reconcile

CATCH_UP_SECONDS: Final = 60.0
SHOWN_DIFFERENCES: Final = 20

_PASSES: Final = 2
"""What is missed in great number is believed to be gone only when it is missed again."""

_ASKED_FOR: Final[Mapping[str, frozenset[str]]] = {"filter": frozenset(("conditions",))}
"""Columns that cost a call for each record: nobody has asked for them."""


class Verdict(NamedTuple):
    """What the comparison came to, and the lines that say so."""

    lines: list[str]
    equal: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of a company that changes no more.

    outcome   what was sent of its changes
    happened  the records that something happened to
    worker    who applies it; once that has ended nothing more is to be waited for
    """

    pool: Pool
    settings: Settings
    company: Company
    outcome: Outcome
    happened: Collection[tuple[str, Id]]
    worker: "asyncio.Task[None]"

    async def verdict(self) -> Verdict:
        differing = await self._once_caught_up(told(self.company, self.outcome.truth, self.happened))
        if not differing:
            await self._mend()
            found = await self._mirrored()
            truths = read(self.company, self.outcome.truth, self.happened)
            differing = [line for truth in truths for line in differences(truth, found)]
        async with self.pool.acquire() as connection:
            events = await connection.fetchval("SELECT count(*) FROM pipemirror.events")
        return said(differing, await self._mirrored(), events)

    async def _once_caught_up(self, truth: Truth) -> list[str]:
        """The differences that remain once the queue had time to empty."""
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while True:
            found = differences(truth, await self._mirrored())
            if not found or self.worker.done() or time.monotonic() > deadline:
                return found
            await asyncio.sleep(0.25)

    async def _mend(self) -> None:
        company_id = self.company.account.company_id
        async with self.pool.acquire() as connection:
            company = await companies.find(connection, company_id)
        assert company is not None
        token = await token_of(self.settings, self.pool, company_id)
        async with (
            alone(self.pool, company_id, within=CATCH_UP_SECONDS),
            reading(self.settings, self.pool, company, token, need=Need.BULK, on_page=lambda _: None) as reader,
        ):
            for _ in range(_PASSES):
                drifts = await reconcile(reader, lists(ENTITIES), repair=True)
                if not any(drift.doubted for drift in drifts):
                    return

    async def _mirrored(self) -> Mirrored:
        async with self.pool.acquire() as connection:
            return await mirrored.read(connection, self.company.account.company_id)


def told(company: Company, truth: Truth, happened: Collection[tuple[str, Id]]) -> Truth:
    """What webhooks have told, of `truth`: of records that something happened to, in columns that lists tell too."""
    columns = listed(company).carried
    carried = {entity: found & columns[entity] for entity, found in truth.carried.items()}
    known = {(entity, key) for shelf in (truth.live, truth.deleted) for entity in carried for key in shelf[entity]}
    return replace(truth, carried=carried, unsettled=truth.unsettled | (known - set(happened)))


def read(company: Company, truth: Truth, happened: Collection[tuple[str, Id]]) -> tuple[Truth, Truth]:
    """What lists tell: all of the records that no webhook told of, and of all what webhooks do not carry.

    Of the entities that are read without being asked for; `truth` is what webhooks told.
    """
    whole, names = listed(company), {entity.name for entity, _ in lists(ENTITIES)}
    columns = {
        entity: found - _ASKED_FOR.get(entity, frozenset()) if entity in names else frozenset()
        for entity, found in whole.carried.items()
    }
    beside = {
        entity: found - truth.carried.get(entity, frozenset()) - V2_LOSSY.get(entity, frozenset())
        for entity, found in columns.items()
    }
    logs = {log: rows for log, rows in whole.logs.items() if log in names}
    # What sends no webhook happens all the same: that must have been read.
    heard = frozenset(key for key in happened if truth.carried.get(key[0]))
    return replace(whole, carried=columns, logs=logs, unsettled=whole.unsettled | heard), replace(
        whole, carried=beside, logs={}
    )


def said(differing: list[str], found: Mirrored, events: int) -> Verdict:
    if differing:
        shown = [f"  {line}" for line in differing[:SHOWN_DIFFERENCES]]
        return Verdict([f"mirror differs from sandbox: {len(differing)} differences", *shown], equal=False)
    rows = [row for of_entity in found.values() for row in of_entity.values()]
    deleted = sum(row["_deleted_at"] is not None for row in rows)
    kinds = f"{len(rows) - deleted} live and {deleted} deleted records"
    return Verdict([f"mirror equals sandbox: {len(rows)} records, {events} events ({kinds})"], equal=True)
