"""`pipemirror dead-letters`: look at what could not be applied, apply it again or close it, one by one or in bulk.

Letters are read in pages, so that a hundred thousand of them need no more memory than one page.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import takewhile
from typing import Annotated, Any

import orjson
import typer

from cli.command import Json, UsageError, Yes, confirm, operate, operate_long, pool
from cli.moments import Since, Until
from cli.output import show, table
from cli.progress import progress
from cli.values import identity, text
from runtime.settings import load
from store import dead_letters
from store.database import Pool
from store.dead_letters import Chosen
from store.payload import decompress
from worker.operations.replay_letter import replay_letter

PAGE = 500
SHOWN = 100
"""Letters of a list for people, unless --limit or --all says otherwise."""
_REASONS = 20

app = typer.Typer(help="Events that could not be applied.", no_args_is_help=True)

LetterId = Annotated[int, typer.Argument(parser=identity, metavar="ID", help="Id of the dead letter.")]
SomeLetters = Annotated[
    list[int] | None, typer.Argument(parser=identity, metavar="[ID]...", help="Ids of dead letters.")
]
All = Annotated[bool, typer.Option("--all", help="Every open one.")]
Company = Annotated[int | None, typer.Option("--company", parser=identity, metavar="ID", help="Of this company.")]
Entity = Annotated[
    str | None, typer.Option("--entity", parser=text, metavar="NAME", help="About this entity, such as deal.")
]
Code = Annotated[str | None, typer.Option("--code", parser=text, metavar="CODE", help="With this code.")]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", help="At most so many.", min=1)]


@app.command("list")
def list_letters(
    *,
    as_json: Json = False,
    limit: Limit = None,
    company: Company = None,
    entity: Entity = None,
    code: Code = None,
    since: Since = None,
    until: Until = None,
    every: Annotated[bool, typer.Option("--all", help=f"More than the newest {SHOWN}.")] = False,
) -> None:
    """Open dead letters, newest first."""
    shown = limit or (None if as_json or every else SHOWN)
    operate(_list, Chosen(None, company, entity, code, since, until), as_json=as_json, limit=shown)


@app.command("show")
def show_letter(letter_id: LetterId, as_json: Json = False) -> None:
    """One of them, with the body as received."""
    operate(_show, letter_id, as_json=as_json)


@app.command("replay")
def replay_letters(
    *,
    ids: SomeLetters = None,
    every: All = False,
    limit: Limit = None,
    company: Company = None,
    entity: Entity = None,
    code: Code = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Apply dead letters again; what still fails stays.

    The oldest first.
    """
    chosen = _chosen(ids, Chosen(None, company, entity, code, since, until), every=every)
    numbered = load().pipedrive_client_id is not None
    operate_long(_replay, chosen, limit=limit, numbered_slugs=numbered)


@app.command("discard")
def discard_letters(
    *,
    ids: SomeLetters = None,
    every: All = False,
    limit: Limit = None,
    company: Company = None,
    entity: Entity = None,
    code: Code = None,
    since: Since = None,
    until: Until = None,
    yes: Yes = False,
) -> None:
    """Close dead letters unapplied, the oldest first."""
    chosen = _chosen(ids, Chosen(None, company, entity, code, since, until), every=every)
    operate_long(_discard, chosen, limit=limit, yes=yes or chosen.ids is not None)


def _chosen(ids: list[int] | None, filtered: Chosen, *, every: bool) -> Chosen:
    """Named by ids, by filters, or all; never all by having forgotten to say which."""
    filters = filtered != dead_letters.ALL
    if bool(ids) + filters != 1 and not (every and not ids):
        raise UsageError("name the ids of dead letters, or filters such as --code, or --all")
    if ids and every:
        raise UsageError("name the ids of dead letters, or --all, not both")
    return replace(filtered, ids=tuple(ids)) if ids else filtered


async def _list(dsn: str, chosen: Chosen, *, as_json: bool, limit: int | None) -> bool:
    async with pool(dsn) as found:
        number = 0
        async for page in _pages(found, chosen, limit):
            if as_json:
                _print_part(page, first=number == 0)
            else:
                table(page)
            number += len(page)
        if as_json:
            typer.echo("\n]" if number else "[]")
        else:
            async with found.acquire() as connection:
                total, _ = await dead_letters.count(connection, chosen)
            more = f"{total - number:,} more: see --limit, --all and the filters" if total > number else ""
            typer.echo(more if number else "no dead letters", nl=bool(more or not number))
    return True


def _print_part(page: list[dict[str, Any]], *, first: bool) -> None:
    """A part of one JSON array."""
    lines = (orjson.dumps(letter).decode() for letter in page)
    typer.echo(("[\n  " if first else ",\n  ") + ",\n  ".join(lines), nl=False)


async def _pages(found: Pool, chosen: Chosen, limit: int | None) -> AsyncIterator[list[dict[str, Any]]]:
    below, left = None, limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        async with found.acquire() as connection:
            page = await dead_letters.open_letters(connection, size, chosen, below=below)
        if page:
            yield page
        if len(page) < size:
            return
        below, left = page[-1]["id"], None if left is None else left - size


async def _show(dsn: str, letter_id: int, *, as_json: bool) -> bool:
    async with pool(dsn) as found, found.acquire() as connection:
        letter = await dead_letters.load(connection, letter_id)
    if letter is None:
        typer.echo(f"there is no dead letter {letter_id}", err=True)
        return False
    body = decompress(letter.pop("payload"))
    letter.pop("digest")
    show(letter | {"body": body.decode(errors="backslashreplace")}, as_json=as_json)
    return True


async def _replay(dsn: str, chosen: Chosen, *, limit: int | None, numbered_slugs: bool, stop: asyncio.Event) -> bool:
    reasons: Counter[str] = Counter()
    applied = 0
    async with pool(dsn) as found:
        chosen, total = await _counted(found, chosen, limit)
        with progress("replaying dead letters", total) as advance:
            async for ids in _id_pages(found, chosen, total, stop):
                for letter_id in takewhile(lambda _: not stop.is_set(), ids):
                    reason = await replay_letter(found, letter_id, numbered_slugs=numbered_slugs)
                    applied += reason is None
                    reasons.update([] if reason is None else [reason])
                    if chosen.ids is not None:
                        typer.echo(f"{letter_id}: {reason or 'applied'}")
                    advance(applied + reasons.total())
    if chosen.ids is None:
        table([{"letters": n, "not applied because": reason} for reason, n in reasons.most_common(_REASONS)])
    _tell_end(f"{applied:,} applied, {reasons.total():,} not", applied + reasons.total(), total, stop)
    return not reasons and applied == total


async def _discard(dsn: str, chosen: Chosen, *, limit: int | None, yes: bool, stop: asyncio.Event) -> bool:
    closed = 0
    async with pool(dsn) as found:
        chosen, total = await _counted(found, chosen, limit)
        if total:
            letters = f"{total:,} dead letter{'s' if total > 1 else ''}"
            confirm(f"Close {letters} without applying?", f"{letters} would be closed unapplied", yes=yes)
        with progress("discarding dead letters", total) as advance:
            async for ids in _id_pages(found, chosen, total, stop):
                async with found.acquire() as connection:
                    closed += await dead_letters.discard(connection, ids)
                advance(closed)
    _tell_end(f"{closed:,} discarded", closed, total, stop)
    return closed == total


async def _id_pages(found: Pool, chosen: Chosen, total: int, stop: asyncio.Event) -> AsyncIterator[list[int]]:
    """The ids that are meant, ascending, until `stop`."""
    if chosen.ids is not None:
        yield list(dict.fromkeys(chosen.ids))
        return
    above = 0
    while total > 0 and not stop.is_set():
        async with found.acquire() as connection:
            ids = await dead_letters.next_ids(connection, chosen, above=above, limit=min(PAGE, total))
        if not ids:
            return
        yield ids
        above, total = ids[-1], total - len(ids)


async def _counted(found: Pool, chosen: Chosen, limit: int | None) -> tuple[Chosen, int]:
    """What is meant now: what is parked later is not; and how many that are."""
    async with found.acquire() as connection:
        total, up_to = await dead_letters.count(connection, chosen)
    if chosen.ids is not None:
        return chosen, len(set(chosen.ids))
    return replace(chosen, up_to=up_to), total if limit is None else min(limit, total)


def _tell_end(result: str, done: int, total: int, stop: asyncio.Event) -> None:
    stopped = (
        f"stopped, {total - done:,} are left: the same command goes on; " if stop.is_set() and done < total else ""
    )
    typer.echo(stopped + result)
