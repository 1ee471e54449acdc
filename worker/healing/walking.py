"""A walk through one list of the REST API, from where it stands to its end.

A page is asked for while the one before is written; rows and the place of the next page are committed together. So a
process that dies has read at most one page in vain.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from pipedrive.budget import Need
from pipedrive.client import Client, Reply
from pipedrive.errors import CursorRejected, Gone, UnexpectedAnswer
from pipedrive.paging import Page
from pipedrive.position import BEGINNING
from schema.entities import BY_NAME
from schema.entity import Entity
from schema.errors import CompanyInactive, Problem
from schema.listing import Listing
from schema.rest import Answer, Row
from store import walks
from store.companies import Company
from store.database import NO_FSYNC, Connection
from store.walks import DONE, FAILED, Walk
from worker.applying.loading import Loaded, load
from worker.applying.persistence import Persist
from worker.healing import course, definitions
from worker.healing.asking import page_of, refusal

_log = structlog.stdlib.get_logger(__name__)

_PARENTS_AT_ONCE: Final = 1_000

_MOST_BEGINNINGS: Final = 3
"""Times that a list is read from its beginning, because the place where to go on is not accepted any more."""


Write = Callable[[Connection, Company, Answer, Sequence[Row]], Awaitable[Loaded | None]]
"""`loading.load`, or what does the like."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What every walk of one undertaking shares.

    mine     id of the token's own user
    on_page  is told how a walk stands, after each page and at its end
    write    what is done with the rows of a page, within the transaction that notes where the walk stands
    marks    whether a walk that ends says up to when its list is known
    """

    client: Client
    persist: Persist
    company: Company
    need: Need
    mine: int | None = None
    on_page: Callable[[Walk], None] = lambda _: None
    write: Write = load
    marks: bool = True


async def walk_through(reader: Reader, entity: Entity, listing: Listing, walk: Walk) -> Walk:
    """Go on to the end; how it stands then. A list that cannot be read is a walk that failed, and no error.

    Raise what concerns more than this list: AccountRefused, NotNow of Pipedrive; the walk goes on from here later.
    """
    way = _Way(reader, entity, listing, walk)
    going = way.to_end(()) if listing.parent is None else way.through_parents()
    problem = await refusal(reader.client, going, need=reader.need)
    await (way.ended() if problem is None else way.failed(problem))
    return way.walk


class _Way:
    def __init__(self, reader: Reader, entity: Entity, listing: Listing, walk: Walk) -> None:
        self._reader = reader
        self._entity = entity
        self._listing = listing
        self.walk = walk
        self._params = course.params(listing, walk.since, walk.until)

    async def through_parents(self) -> None:
        """Those without children that can be read are passed over, unless that is what all of them are."""
        gone: Gone | None = None
        answered = self.walk.calls > 0
        async for parents in self._parents():
            if self.walk.position != BEGINNING and self.walk.parents != _named(parents):
                # Some came or went since: it would be a place among the children of others.
                await self._save(replace(self.walk, position=BEGINNING))
            try:
                await self._of_parents(parents)
                answered = True
            except Gone as problem:
                gone = problem
                await self._save(course.past(self.walk, parents))
        if gone is not None and not answered:
            raise gone

    async def _parents(self) -> AsyncIterator[Sequence[Any]]:
        """Ids of as many as one call may name, in order, from where the walk stands."""
        parent = self._listing.parent
        assert parent is not None
        entity, slug = BY_NAME[parent.entity], self._reader.company.slug

        def following(connection: Connection) -> Awaitable[Sequence[Any]]:
            return walks.parents(
                connection, slug, entity, counter=parent.counter, after=self.walk.parent, most=_PARENTS_AT_ONCE
            )

        while True:
            found = await self._reader.persist(following)
            for start in range(0, len(found), parent.batch):
                yield found[start : start + parent.batch]
            if len(found) < _PARENTS_AT_ONCE:
                return

    async def _of_parents(self, parents: Sequence[Any]) -> None:
        """Of fewer at once, where they have more children than an answer that cannot be continued holds."""
        try:
            await self.to_end(parents)
        except _CutError:
            half = len(parents) // 2
            for some in (parents[:half], parents[half:]):
                await self._save(replace(self.walk, position=BEGINNING))
                await self._of_parents(some)

    async def to_end(self, parents: Sequence[Any]) -> None:
        for beginnings in range(_MOST_BEGINNINGS + 1):
            try:
                await self._pages(parents)
            except CursorRejected:
                if beginnings == _MOST_BEGINNINGS or self.walk.position == BEGINNING:
                    raise
                _log.info("walk_begins_anew", company_id=self.walk.company_id, entity=self._entity.name)
                await self._save(replace(self.walk, position=BEGINNING))
            except _CutError as cut:
                if len(parents) > 1:
                    raise
                raise UnexpectedAnswer(str(cut)) from None
            else:
                return

    async def _pages(self, parents: Sequence[Any]) -> None:
        ahead: asyncio.Task[tuple[Page, Reply]] | None = asyncio.create_task(self._ask(self.walk.position, parents))
        try:
            while ahead is not None:
                page, reply = await ahead
                ahead = None
                if page.next is not None and not course.is_enough(page, self.walk, self._entity, self._listing):
                    ahead = asyncio.create_task(self._ask(page.next, parents))
                await self._commit(page, reply, parents, last=ahead is None and not page.cut)
                if page.cut:
                    raise _CutError(f"{self._listing.path}: {len(page.rows)} rows, and no word whether there are more")
        finally:
            if ahead is not None:
                ahead.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await ahead

    async def _ask(self, position: str, parents: Sequence[Any]) -> tuple[Page, Reply]:
        reader = self._reader
        return await page_of(reader.client, self._listing, position, self._params, parents, need=reader.need)

    async def _commit(self, page: Page, reply: Reply, parents: Sequence[Any], *, last: bool) -> None:
        """The rows, with where the walk stands then: after the last page, past the list or these parents."""
        answer = Answer(
            self._entity,
            reply.began,
            self.walk.kind,
            self._reader.company.types_of(self._entity.custom_fields or ""),
            self._listing,
            parents[0] if len(parents) == 1 else None,
            self._reader.mine,
        )

        async def work(connection: Connection) -> tuple[Walk, Loaded]:
            async with connection.transaction():
                # A crash of the server forgets half a second of pages, and with them the place: they are read again.
                # What is live need not wait for their fsync.
                await connection.execute(NO_FSYNC)
                loaded = await self._reader.write(connection, self._reader.company, answer, page.rows)
                if loaded is None:
                    raise CompanyInactive(f"company {self.walk.company_id} is paused or was purged")
                if self._entity.definitions is not None:
                    await definitions.learn(connection, self._reader.company, self._entity, page.rows)
                walk = course.advanced(self.walk, page, reply, loaded, entity=self._entity, cost=self._listing.cost)
                walk.parents = _named(parents)
                if last:
                    walk = course.past(walk, parents)
                await self._note(connection, walk)
            return walk, loaded

        walk, loaded = await self._reader.persist(work)
        for problem in loaded.refused:
            _log.warning("row_refused", code=problem.code, company_id=walk.company_id, reason=problem.reason)
        self._stands(walk)

    async def ended(self) -> None:
        if self.walk.state != DONE:
            await self._save(replace(self.walk, state=DONE))

    async def failed(self, problem: Problem) -> None:
        _log.info(
            "list_refused",
            code=problem.code,
            company_id=self.walk.company_id,
            entity=self._entity.name,
            reason=problem.reason,
        )
        await self._save(replace(self.walk, state=FAILED, code=problem.code, reason=problem.reason))

    async def _save(self, walk: Walk) -> None:
        async def work(connection: Connection) -> None:
            async with connection.transaction():
                await self._note(connection, walk)

        await self._reader.persist(work)
        self._stands(walk)

    async def _note(self, connection: Connection, walk: Walk) -> None:
        """How it stands, and only at its end up to when the list is known."""
        await walks.save(connection, walk)
        # While all of it was read what had been read already may have changed: that is asked for again.
        watermark = walk.began_at if walk.since is None else walk.newest
        if walk.state == DONE and watermark is not None and self._reader.marks and walk.until is None:
            await walks.mark(connection, walk, watermark)

    def _stands(self, walk: Walk) -> None:
        self.walk = walk
        self._reader.on_page(walk)


def _named(parents: Sequence[Any]) -> str:
    return ",".join(map(str, parents))


class _CutError(Exception):
    """An answer is as long as it may be, and does not say how to go on."""
