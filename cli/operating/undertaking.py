"""Reading an account in the foreground: one process alone, with progress, in order when stopped.

Where the tokens of the day are spent it waits for the next day.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar

import typer

from cli.command import UsageError
from cli.reading import reading
from cli.remedies import remedy_of
from cli.values import identity, text
from cli.walks import Telling, Walks, shown
from pipedrive.budget import Need
from pipedrive.errors import BudgetExhausted, FeatureOff, Gone, NotBefore
from runtime.settings import Settings
from schema.entities import BY_NAME, ENTITIES
from schema.errors import Misconfigured, NotNow
from store import companies, status, upkeep
from store.allowances import count_seats
from store.companies import Company
from store.database import Pool
from store.tokens import StoredToken
from store.walks import FAILED, Walk
from worker.healing import price
from worker.healing.alone import alone
from worker.healing.order import Wanted, lists
from worker.healing.walking import Reader

T = TypeVar("T")

CONNECTIONS: Final = 8

_YIELDS: Final = 10
"""Of who reads for hours to who applies events on the same machine: by so much its priority is lowered."""

_PATIENCE: Final = 10.0
"""Seconds that a worker is given to end what it does now and then; who reads for longer reads all of it."""

NOT_THERE: Final = frozenset({FeatureOff.code, Gone.code})
"""What the company does not have is told, and is no failure."""

CompanyOption = Annotated[
    int | None, typer.Option("--company", parser=identity, metavar="ID", help="Of this company; default: the only one.")
]
EntityOption = Annotated[
    list[str] | None,
    typer.Option("--entity", parser=text, metavar="NAME", help="Of this entity alone, such as deal; may be repeated."),
]


@dataclass(frozen=True, slots=True)
class Undertaking:
    """What is done in the foreground.

    title  what it is, as the progress says it
    lists  how many it reads; 0 where that shows as it goes
    """

    settings: Settings
    pool: Pool
    company: Company
    token: StoredToken
    need: Need
    title: str
    stop: asyncio.Event
    lists: int = 0

    async def run(self, work: Callable[[Reader, Walks], Awaitable[T]]) -> tuple[Walks, T | None] | None:
        """What `work` came to, or None instead if it was stopped; None for all where another process is at it.

        `work` is begun again after a wait: it must go on where it was.
        """
        os.nice(_YIELDS)
        async with alone(self.pool, self.company.id, within=_PATIENCE) as ours:
            if not ours:
                told = f"company {self.company.id} is being read by another process: see `pipemirror status`"
                typer.echo(told, err=True)
                return None
            walks = Walks(self.title, self.lists)
            with shown(walks):
                async with reading(
                    self.settings, self.pool, self.company, self.token, need=self.need, on_page=Telling(walks)
                ) as reader:
                    return walks, await self._until_done(reader, lambda reader: work(reader, walks))

    async def _until_done(self, reader: Reader, work: Callable[[Reader], Awaitable[T]]) -> T | None:
        while not self.stop.is_set():
            try:
                return await self._unless_stopped(work(reader))
            except NotBefore as problem:
                if await self._has_more(problem):
                    continue
                at = datetime.fromtimestamp(problem.until, UTC)
                typer.echo(f"{problem.code}: {problem.reason}; goes on at {at:%Y-%m-%d %H:%M} UTC", err=True)
                await self._until(problem.until)
        return None

    async def _has_more(self, problem: NotNow) -> bool:
        """Whether the account has more tokens than was thought, by its users: those have been read by now."""
        if not isinstance(problem, BudgetExhausted):
            return False
        async with self.pool.acquire() as connection:
            return await count_seats(connection, self.company)

    async def _unless_stopped(self, work: Awaitable[T]) -> T | None:
        task, stopping = asyncio.ensure_future(work), asyncio.ensure_future(self.stop.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for one in (task, stopping):
                one.cancel()
            await asyncio.gather(task, stopping, return_exceptions=True)

    async def _until(self, moment: float) -> None:
        """By the clock of the database, as what may be asked is kept there."""
        async with self.pool.acquire() as connection:
            now = (await upkeep.now(connection)).timestamp()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(moment - now, 1.0)):
                await self.stop.wait()


def chosen(settings: Settings, names: list[str] | None) -> Wanted:
    """The lists of these entities; of all, without those that are dear and not opted in. Raise UsageError."""
    unknown = [name for name in names or () if name not in BY_NAME]
    if unknown:
        raise UsageError(f"--entity {unknown[0]!r} is not valid: expected one of {', '.join(sorted(BY_NAME))}")
    if not names:
        return lists(ENTITIES, settings.opted_in)
    return lists([one for one in ENTITIES if one.name in names], frozenset(names))


async def the_company(found: Pool, company_id: int | None) -> Company:
    """The one that is named, or the only one there is. Raise UsageError or Misconfigured."""
    async with found.acquire() as connection:
        known = [one for one in await companies.all_companies(connection) if one.state != companies.PURGED]
    if company_id is not None:
        known = [one for one in known if one.id == company_id]
    if len(known) > 1:
        raise UsageError(f"--company is missing: expected one of {', '.join(str(one.id) for one in known)}")
    if not known:
        raise Misconfigured("no such company is mirrored here: run `pipemirror connect` first")
    return known[0]


async def tell_price(found: Pool, company: Company, wanted: Wanted) -> None:
    async with found.acquire() as connection:
        rows = await status.rows(connection, company.slug)
        parents = await price.parents_of(connection, company.slug, wanted)
    tokens = price.least(wanted, rows, parents)
    typer.echo(f"{number_of(wanted)} lists to read, at least {tokens:,} tokens: 10 or 20 for each 500 rows", err=True)


def number_of(wanted: Wanted) -> int:
    """How many lists these are."""
    return sum(len(listings) for _, listings in wanted)


def tell_walks(walks: Walks, *, ended: bool) -> bool:
    """What could not be read and what to do about it, and whether all could that the company has."""
    for walk in walks.refused:
        typer.echo(f"{walk.entity} ({walk.list}): {_refusal(walk)}", err=True)
    tell_remedies(walk.code for walk in walks.refused if walk.code)
    if not ended:
        typer.echo("stopped: the same command goes on where this one ended", err=True)
    return ended and all(walk.code in NOT_THERE for walk in walks.refused)


def tell_remedies(codes: Iterable[str]) -> None:
    """What to do about each of these problems, once for all lists that have it."""
    for code in dict.fromkeys(codes):
        typer.echo(f"{code}: {remedy_of(code)}", err=True)


def _refusal(walk: Walk) -> str:
    if walk.state == FAILED:
        return f"not read, {walk.code}: {walk.reason}"
    return f"{walk.refused:,} rows left out, the last for {walk.code}: {walk.reason}"
