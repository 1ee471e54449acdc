"""Records that are here and in no list any more: each is asked for before it is declared deleted."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from pipedrive.errors import BadRequest, Gone, RightsMissing
from pipedrive.position import BEGINNING
from pipedrive.request import Request
from schema.columns import microseconds
from schema.entity import Entity, id_text
from schema.errors import BadContent, CompanyInactive
from schema.listing import NOTHING, Listing
from schema.reading import says_deleted
from schema.rest import Answer, Row, absent, completed, read_id
from schema.version import newer, of_absence
from store import companies, seen
from store.companies import ACTIVE
from store.database import Connection
from store.seen import Missed
from worker.applying import mirror
from worker.applying.loading import load
from worker.healing.asking import page_of
from worker.healing.drift import Drift
from worker.healing.walking import Reader

FEW: Final = 50
SHARE: Final = 0.02
"""Of the live records, or `FEW`, whichever is more: so many may be gone at once. More must be missed twice. So must all
of a list whose records cannot be asked for one by one."""

_AT_ONCE: Final = 100
"""As many ids as a list takes."""

_MOST: Final = 100_000


@dataclass(frozen=True, slots=True)
class Absences:
    """Of one entity, once all of its lists have been read. What is found goes into `drift`."""

    reader: Reader
    entity: Entity
    listings: Sequence[Listing]
    drift: Drift
    repair: bool
    trusted: bool

    async def settle(self, began: datetime, listed: datetime, window: tuple[datetime | None, datetime | None]) -> None:
        """Of those that were missed in this window by who began to read at `began`, on the clock of our database.

        listed  when the last list was begun, on Pipedrive's: as of then they are gone, unless they are asked for later
        """
        company = self.reader.company
        missed = await self.reader.persist(
            lambda connection: seen.missed(
                connection, company.id, company.slug, self.entity, before=began, window=window, most=_MOST
            )
        )
        gone: list[tuple[Missed, int]] = []
        for some in _batches(missed, self._asked_at_once):
            gone += await self._verified(some, microseconds(listed))
        # Who asks so soon after an event may be shown the state before it.
        settled = [(one, began) for one, began in gone if newer(of_absence(one.version, began), one.version)]
        self.drift.recent, gone = len(gone) - len(settled), settled
        for one, _ in gone:
            self.drift.sample("superfluous", one.id)
        self.drift.superfluous += len(gone)
        if not self.trusted:
            self.drift.hidden = len(gone)
        elif self.repair:
            for some in _batches(await self._believed(gone), _AT_ONCE):
                await self._bury(some)

    async def _verified(self, missed: Sequence[Missed], listed: int) -> list[tuple[Missed, int]]:
        """Those that are gone, each with when it was asked for. What is still there is written, if it may be.

        Where nobody can be asked for one record, all of the list is read again.
        """
        left = {id_text(one.id): (one, listed) for one in missed}
        for listing in self.listings:
            if not self._askable:
                await self._ask_list(listing, left)
            if listing.ids:
                await self._ask_list(listing, left, params={"ids": ",".join(left)})
            elif listing.parent is not None and listing.parent.entity != self.entity.name:
                parents = list(dict.fromkeys(one.parent for one, _ in left.values() if one.parent is not None))
                for some in _batches(parents, listing.parent.batch):
                    with suppress(Gone):  # a parent that is gone has taken its children with it
                        await self._ask_list(listing, left, parents=some)
        if self.entity.get is not None and len(self.entity.key) == 1:
            await self._ask_each(left)
        return list(left.values())

    async def _ask_list(
        self,
        listing: Listing,
        left: dict[str, tuple[Missed, int]],
        *,
        params: Mapping[str, str] = NOTHING,
        parents: Sequence[Any] = (),
    ) -> None:
        """Whatever it shows is not gone."""
        position: str | None = BEGINNING if left else None
        began = 0
        while position is not None:
            page, reply = await page_of(self.reader.client, listing, position, params, parents, need=self.reader.need)
            self._paid(listing.cost)
            answer = self._answer(reply.began, listing, parents[0] if len(parents) == 1 else None)
            await self._found(answer, page.rows, left)
            began, position = began or reply.began, page.next
        left |= {name: (one, began) for name, (one, _) in left.items() if not parents or one.parent in parents}

    async def _ask_each(self, left: dict[str, tuple[Missed, int]]) -> None:
        assert self.entity.get is not None
        for name, (one, _) in list(left.items()):
            path = self.entity.get.path.replace("{id}", quote(name, safe=""))
            asked = Request("GET", path, cost=self.entity.get.cost, one=True)
            self._paid(asked.cost)
            try:
                reply = await self.reader.client.get(asked, need=self.reader.need)
            except Gone:
                continue
            except (RightsMissing, BadRequest):  # a key that Pipedrive does not even understand holds up no other
                del left[name]
                self.drift.hidden += 1
                continue
            left[name] = one, reply.began
            await self._found(self._answer(reply.began), [reply.content["data"]], left)

    async def _found(self, answer: Answer, rows: Sequence[Row], left: dict[str, tuple[Missed, int]]) -> None:
        shown = []
        for row in completed(answer, rows):
            try:
                name = id_text(read_id(self.entity, row))
            except BadContent:
                continue
            if left.pop(name, None) is None:
                continue
            shown.append(row)
            if says_deleted(self.entity, row):
                self.drift.superfluous += 1
                self.drift.sample("superfluous", name)
        if shown and self.repair:

            async def work(connection: Connection) -> None:
                async with connection.transaction():
                    # They are completed already.
                    await load(connection, self.reader.company, replace(answer, listing=None), shown)

            await self.reader.persist(work)

    async def _believed(self, gone: Sequence[tuple[Missed, int]]) -> list[tuple[Missed, int]]:
        """Few may be gone at once. If they are many, only those that an earlier reconcile has missed as well."""
        company = self.reader.company

        async def doubt(connection: Connection) -> set[str] | None:
            async with connection.transaction():
                live = await seen.live(connection, company.slug, self.entity)
                many = len(gone) > max(FEW, SHARE * live) or (1 < live <= len(gone) and not self._askable)
                before = await seen.doubt(connection, company.id, self.entity, [one.id for one, _ in gone], more=many)
                return before if many else None

        doubted = await self.reader.persist(doubt)
        if doubted is None:
            return list(gone)
        believed = [(one, began) for one, began in gone if id_text(one.id) in doubted]
        self.drift.doubted = len(gone) - len(believed)
        return believed

    @property
    def _asked_at_once(self) -> int:
        """Where all of a list is read again, that is done once for all that were missed."""
        return _AT_ONCE if self._askable or any(listing.ids for listing in self.listings) else _MOST

    @property
    def _askable(self) -> bool:
        """Whether one record can be asked for, be it as a child. Else an empty list is all there is to go by."""
        return self.entity.get is not None or any(listing.parent is not None for listing in self.listings)

    async def _bury(self, gone: Sequence[tuple[Missed, int]]) -> None:
        """A tombstone for each, unless something newer is known of it by now."""
        changes = [absent(self._answer(began), one.id, one.version) for one, began in gone]

        async def work(connection: Connection) -> None:
            async with connection.transaction():
                if await companies.lock_shared(connection, self.reader.company) != ACTIVE:
                    raise CompanyInactive(f"company {self.reader.company.id} is paused or was purged")
                await mirror.write(connection, self.reader.company, changes)

        await self.reader.persist(work)

    def _answer(self, began: int, listing: Listing | None = None, parent: Any = None) -> Answer:
        types = self.reader.company.types_of(self.entity.custom_fields or "")
        return Answer(self.entity, began, "reconcile", types, listing, parent, self.reader.mine)

    def _paid(self, cost: int) -> None:
        self.drift.calls += 1
        self.drift.tokens += cost


def _batches(items: Sequence[Any], size: int) -> Iterator[Any]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
