"""That exactly one webhook of ours tells of everything: checked, made anew where it does not, what was missed noted.

Carries out what `pipedrive.subscriptions` has planned. A webhook is made before those that it replaces are removed, and
is remembered at once; what is killed in between is found by the next check. That events may be missing is noted before
anything is done about it, and a sweep is asked for (`store.gaps`) once there is a webhook again.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Final

import structlog

from pipedrive.account import Account, account_of
from pipedrive.budget import Need
from pipedrive.client import Client
from pipedrive.errors import Gone, ListingRefused
from pipedrive.hooks import LIST, Hook, created, hooks, removal
from pipedrive.request import WHO_AM_I, Request
from pipedrive.subscriptions import Finding, Plan, Wanted, fingerprint, ours, plan
from schema.errors import Problem, WebhooksBusy
from store import companies, gaps, locks, status, subscriptions, upkeep
from store.database import Connection, Pool
from store.subscriptions import Made, Subscription
from worker.healing.alone import locked
from worker.healing.live import NO_ADDRESS, PURGED, SWITCHED_OFF, Entrance, Live, refusal

_log = structlog.stdlib.get_logger(__name__)

PATIENCE: Final = 10.0
"""Seconds that another process is given to end what it does to the same webhooks: it may have been stopped in it."""


async def ensure(
    client: Client,
    pool: Pool,
    company_id: int,
    entrance: Entrance | None,
    *,
    account: Account | None = None,
    by_hand: bool = False,
) -> Live:
    """Check the company's webhook, and do what is to be done. One process at a time does so; others wait a little.

    client    opens the company's account; `account` is asked for if it is not given
    entrance  None where PUBLIC_URL is not set: then nothing is asked and nothing changed
    by_hand   somebody wants it now: also if it was removed by command before

    Raise WebhooksBusy, and what concerns the whole account: AccountRefused, NotNow of Pipedrive. What was done by
    then is remembered.
    """
    async with _turn(pool, company_id) as connection:
        if await _is_purged(connection, company_id):
            return Live(None, (PURGED,))
        if by_hand:
            await subscriptions.switch(connection, company_id, on=True)
        known = await subscriptions.find(connection, company_id)
        if known.off_at is not None:
            return Live(None, (SWITCHED_OFF,), known.gap_since)
        if entrance is None:
            return await _unasked(connection, known)
        try:
            if account is None:
                account = account_of((await client.get(WHO_AM_I, need=Need.LIVE)).content)
            return await _Check(client, connection, known, entrance.wanted(company_id, account.user_id), account).run()
        except Problem:
            if known.webhook_id is None:
                await subscriptions.missing_since(connection, company_id, await upkeep.now(connection))
            raise


async def remove(client: Client, pool: Pool, company_id: int, wanted: Wanted) -> list[int]:
    """Remove every webhook of ours, and let no check make one again; the ids of those that were there.

    Raise as `ensure`, and ListingRefused: then live stays on, and the next check makes anew what is gone by then.
    """
    async with _turn(pool, company_id) as connection:
        await subscriptions.missing_since(connection, company_id, await upkeep.now(connection))
        mine = [one.hook.id for one in await listed(client, connection, company_id, wanted) if one.ours]
        for webhook_id in mine:
            await _remove(client, connection, company_id, webhook_id)
        async with connection.transaction():
            await subscriptions.switch(connection, company_id, on=False)
            await subscriptions.checked(connection, company_id, None, _told([SWITCHED_OFF]), well=False)
    return mine


@dataclass(frozen=True, slots=True)
class Listed:
    """A webhook that Pipedrive lists, and whether it is ours to touch."""

    hook: Hook
    ours: bool


async def listed(client: Client, connection: Connection, company_id: int, wanted: Wanted) -> list[Listed]:
    """All that the token may see. Raise as `remove`."""
    found = hooks((await client.get(LIST, need=Need.LIVE)).content)
    mine = ours(found, wanted, [one.url for one in await subscriptions.made(connection, company_id)])
    return [Listed(hook, hook in mine) for hook in found]


@dataclass(slots=True)
class _Check:
    client: Client
    connection: Connection
    known: Subscription
    wanted: Wanted
    account: Account

    async def run(self) -> Live:
        planned = Plan(None, gap=True)
        there: list[Hook] = []
        try:
            there = hooks((await self.client.get(LIST, need=Need.LIVE)).content)
            made = await subscriptions.made(self.connection, self.known.company_id)
            planned = self._planned(there, made)
            if planned.gap:
                await self._missing()
            webhook, unremoved = await self._carried_out(planned)
        except ListingRefused as problem:
            findings = (*planned.findings, refusal(problem, self.wanted.url))
            return await _off(self.connection, self.known, findings, None if planned.gap else self._still(there))
        await self._remember(webhook, gone={one.webhook_id for one in made} - {hook.id for hook in there})
        return await self._on(webhook, (*planned.findings, *unremoved))

    def _planned(self, there: Sequence[Hook], made: Sequence[Made]) -> Plan:
        made_with = {one.webhook_id: one.fingerprint for one in made}
        return plan(self.wanted, there, self.account, addresses=[one.url for one in made], made_with=made_with)

    async def _missing(self) -> None:
        """Since it was seen well, else since something was told last. Who was never told anything misses nothing."""
        since = self.known.well_at
        company = await companies.find(self.connection, self.known.company_id)
        if since is None and company is not None:
            since = await status.last_told(self.connection, company.slug)
        if since is not None:
            await subscriptions.missing_since(self.connection, self.known.company_id, since)

    async def _carried_out(self, planned: Plan) -> tuple[int, list[Finding]]:
        """The webhook that tells now, and what could not be removed. Raise what keeps it from being made."""
        webhook, unremoved = planned.keep, []
        for step in planned.steps:
            if step.method == "POST":
                webhook = created((await self.client.get(step, need=Need.LIVE)).content)
                await self._remember(webhook)
                _log.info("webhook_made", company_id=self.known.company_id, webhook_id=webhook)
            else:
                unremoved += await self._superfluous(step)
        assert webhook is not None, "a plan keeps one or makes one"
        return webhook, unremoved

    async def _superfluous(self, step: Request) -> list[Finding]:
        """One that stays tells the same events twice, which does no harm."""
        webhook_id = int(step.path.rpartition("/")[2])
        try:
            await _remove(self.client, self.connection, self.known.company_id, webhook_id)
        except ListingRefused as problem:
            return [Finding("not_removed", f"Pipedrive does not let us remove it: {problem.reason}", webhook_id)]
        return []

    async def _remember(self, webhook: int, *, gone: set[int] | frozenset[int] = frozenset()) -> None:
        made = Made(webhook, self.wanted.url, fingerprint(self.wanted.password), self.wanted.user_id)
        await subscriptions.remember(self.connection, self.known.company_id, made)
        for webhook_id in gone - {webhook}:
            await subscriptions.forget(self.connection, self.known.company_id, webhook_id)

    def _still(self, there: Sequence[Hook]) -> int | None:
        """One that told of everything until now, and goes on."""
        return self.known.webhook_id if any(hook.id == self.known.webhook_id for hook in there) else None

    async def _on(self, webhook: int, findings: Sequence[Finding]) -> Live:
        connection, company_id = self.connection, self.known.company_id
        codes = [finding.code for finding in findings]
        async with connection.transaction():
            since = (await subscriptions.find(connection, company_id)).gap_since
            if since is not None:
                await gaps.note(connection, company_id, since, f"webhook: {', '.join(codes) or 'well again'}")
            await subscriptions.checked(connection, company_id, webhook, _told(findings), well="failing" not in codes)
        return Live(webhook, findings, since)


@asynccontextmanager
async def _turn(pool: Pool, company_id: int) -> AsyncIterator[Connection]:
    """Two that find none would make two."""
    async with locked(pool, company_id, locks.SUBSCRIBING, within=PATIENCE) as connection:
        if connection is None:
            raise WebhooksBusy(f"company {company_id}: another process has been at its webhooks for {PATIENCE:.0f} s")
        yield connection


async def _is_purged(connection: Connection, company_id: int) -> bool:
    """Whose webhooks a purge removes: none is made after it by who had begun before it."""
    company = await companies.find(connection, company_id)
    return company is not None and company.state == companies.PURGED


async def _unasked(connection: Connection, known: Subscription) -> Live:
    """Another process may know the address: what it has made is not called into question."""
    if known.webhook_id is not None:
        return Live(known.webhook_id, (NO_ADDRESS,), known.gap_since)
    return await _off(connection, known, (NO_ADDRESS,), None)


async def _off(connection: Connection, known: Subscription, findings: Sequence[Finding], still: int | None) -> Live:
    """From now on at the latest events may be missing; unless an older webhook still tells of them."""
    company_id, since = known.company_id, known.gap_since
    async with connection.transaction():
        if still is None:
            before = known.well_at or await upkeep.now(connection)
            since = await subscriptions.missing_since(connection, company_id, before)
        await subscriptions.checked(connection, company_id, still, _told(findings), well=False)
    return Live(still, findings, since)


async def _remove(client: Client, connection: Connection, company_id: int, webhook_id: int) -> None:
    with suppress(Gone):  # somebody else has removed it
        await client.get(removal(webhook_id), need=Need.LIVE)
    await subscriptions.forget(connection, company_id, webhook_id)
    _log.info("webhook_removed", company_id=company_id, webhook_id=webhook_id)


def _told(findings: Sequence[Finding]) -> list[dict[str, object]]:
    return [asdict(finding) for finding in findings]
