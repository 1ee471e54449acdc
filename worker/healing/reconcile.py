"""Comparing an account with its mirror, list by list, and mending what differs."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from schema import dml
from schema.entity import Entity
from schema.errors import BadContent
from schema.listing import Listing
from schema.rest import Answer, Row, change_of, completed
from schema.row import load as as_record
from store import companies, reconciled, refused, seen, upkeep, walks
from store.companies import ACTIVE, Company
from store.database import Connection
from store.reconciled import Reconciled
from store.walks import FAILED, RECONCILE, Walk
from worker.applying.loading import Loaded, load, refused_row
from worker.healing.absent import Absences
from worker.healing.asking import refusal
from worker.healing.drift import Drift
from worker.healing.order import Wanted, side_by_side
from worker.healing.walking import Reader, walk_through

Window = tuple[datetime | None, datetime | None]
"""Update times from (inclusive) and until (exclusive); None: without that bound."""

WHOLE: Window = (None, None)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Of one entity by its lists.

    repair   mend what differs, beside counting it
    trusted  whether the token's user sees everything: only then is what it does not see gone
    """

    reader: Reader
    entity: Entity
    listings: Sequence[Listing]
    repair: bool = False
    trusted: bool = True

    async def run(self, window: Window = WHOLE) -> Drift:
        """All of the entity, or what was updated within `window`, by the lists that can tell."""
        drift = Drift(self.entity.name)
        began = await self.reader.persist(self._begin)
        comparing = _Comparing(drift, repair=self.repair)

        def committed(walk: Walk) -> None:
            comparing.committed()
            self.reader.on_page(walk)

        reader = replace(self.reader, write=comparing.write, marks=self.repair, on_page=committed)
        ended = [await self._walk(reader, listing, window, drift) for listing in self.listings]
        if not drift.unread and not self.entity.log:
            absences = Absences(reader, self.entity, self.listings, drift, repair=self.repair, trusted=self.trusted)
            listed = max((walk.began_at for walk in ended if walk.began_at is not None), default=began)
            drift.unread = await self._unread(absences.settle(began, listed, window))
        await self.reader.persist(lambda connection: self._end(connection, drift, began, window))
        return drift

    async def _unread(self, work: Awaitable[None]) -> str:
        """Why it could not be done to its end; empty if it was."""
        problem = await refusal(self.reader.client, work, need=self.reader.need)
        return "" if problem is None else f"{problem.code}: {problem.reason}"

    @property
    def _company(self) -> Company:
        return self.reader.company

    async def _begin(self, connection: Connection) -> datetime:
        await seen.forget(connection, self._company.id, self.entity)
        return await upkeep.now(connection)

    async def _end(self, connection: Connection, drift: Drift, began: datetime, window: Window) -> None:
        async with connection.transaction():
            await seen.forget(connection, self._company.id, self.entity)
            if self.repair and window == WHOLE and not drift.unread:
                await refused.settle(connection, self._company.id, self.entity, began)
            await reconciled.note(connection, self._company.id, _ended(drift, window, repaired=self.repair), began)

    async def _walk(self, reader: Reader, listing: Listing, window: Window, drift: Drift) -> Walk:
        since, until = window
        walk = Walk(self._company.id, RECONCILE, self.entity.name, listing.label, since=since, until=until)
        await self.reader.persist(lambda connection: walks.begin(connection, walk))
        ended = await walk_through(reader, self.entity, listing, walk)
        drift.calls += ended.calls
        drift.tokens += ended.tokens
        drift.refused += ended.refused
        if ended.state == FAILED:
            drift.unread = f"{ended.code}: {ended.reason}"
        return ended


def _ended(drift: Drift, window: Window, *, repaired: bool) -> Reconciled:
    since, until = window
    return Reconciled(
        drift.entity,
        repaired,
        since,
        until,
        drift.rows,
        drift.missing,
        drift.different,
        drift.superfluous,
        drift.doubted,
        drift.hidden,
        drift.unread or None,
    )


def _nobody(_: str, __: Drift) -> None:
    """For a reconcile whose end alone matters."""


async def reconcile(
    reader: Reader,
    wanted: Wanted,
    *,
    repair: bool = False,
    trusted: bool = True,
    window: Window = WHOLE,
    on_end: Callable[[str, Drift], object] = _nobody,
) -> list[Drift]:
    """Of each of these entities; `on_end` is told each as soon as it is known, by the entity's name.

    Raise what concerns all of them: AccountRefused, NotNow of Pipedrive.
    """

    async def one(entity: Entity, listings: Sequence[Listing]) -> Drift:
        drift = await Reconciliation(reader, entity, listings, repair, trusted).run(window)
        on_end(entity.name, drift)
        return drift

    return await side_by_side(wanted, one)


@dataclass(slots=True)
class _Comparing:
    """In the place of `load`: counts what differs, notes what was seen, and loads if it is to be mended.

    page  what was found of the page at hand; it may be looked at more than once before it is committed
    """

    drift: Drift
    repair: bool
    page: Drift | None = None

    def committed(self) -> None:
        if self.page is not None:
            self.drift.add(self.page)
            self.page = None

    async def write(
        self, connection: Connection, company: Company, answer: Answer, rows: Sequence[Row]
    ) -> Loaded | None:
        # Of a company that was purged there is nothing to compare with, and nothing must come back.
        if await companies.lock_shared(connection, company) != ACTIVE:
            return None
        changes, unreadable = [], []
        for row in completed(answer, rows):
            try:
                changes.append(change_of(answer, row))
            except BadContent as problem:
                unreadable.append(refused_row(answer.entity, row, problem))
        ids = list(dict.fromkeys(change.id for change in changes))
        found = await connection.fetch(dml.rows(company.slug, answer.entity), *dml.ids(answer.entity, ids))
        records = {answer.entity.id_of(row): as_record(answer.entity, dict(row)) for row in found}
        self.page = Drift(answer.entity.name)
        self.page.compare(changes, records)
        await seen.add(connection, company.id, answer.entity, ids)
        if self.repair:
            return await load(connection, company, answer, rows)
        return Loaded(ids, 0, unreadable)
