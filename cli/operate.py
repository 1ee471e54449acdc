"""Commands that look at or mend what is in the database. Each returns whether all went well."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any

import asyncpg
import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import roles
from cli.doctor import examine
from runtime.settings import Settings, signing_secrets
from sandbox.cloud import Company as SandboxCompany
from sandbox.ledger import Counters
from sandbox.live import run as run_company
from schema.credentials import derive
from schema.errors import Misconfigured
from store import companies as company_store
from store import dead_letters
from store import status as status_store
from store.database import Pool, create_pool
from worker import journal
from worker.migrate import migrate as run_migrations
from worker.replay_letter import replay_letter


def show(document: Any, *, as_json: bool) -> None:
    """To stdout: as JSON, or as lines a person reads."""
    if as_json:
        typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    elif isinstance(document, Mapping):
        width = max(map(len, document), default=0)
        for name, value in document.items():
            typer.echo(f"{name:<{width}}  {_plain(value)}")
    else:
        _print_table(document)


_WIDE = 400


async def migrate(dsn: str) -> bool:
    applied = await run_migrations(dsn)
    typer.echo(f"applied {', '.join(applied)}" if applied else "everything is up to date")
    return True


async def list_letters(dsn: str, *, as_json: bool, limit: int | None) -> bool:
    async with _pool(dsn) as pool, pool.acquire() as connection:
        letters = await dead_letters.open_letters(connection, limit)
    if letters or as_json:
        show(letters, as_json=as_json)
    else:
        typer.echo("no dead letters")
    return True


async def show_letter(dsn: str, letter_id: int, *, as_json: bool) -> bool:
    async with _pool(dsn) as pool, pool.acquire() as connection:
        letter = await dead_letters.load(connection, letter_id)
    if letter is None:
        typer.echo(f"there is no dead letter {letter_id}", err=True)
        return False
    body = journal.decompress(letter.pop("payload"))
    letter.pop("digest")
    show(letter | {"body": body.decode(errors="backslashreplace")}, as_json=as_json)
    return True


async def replay_letters(dsn: str, ids: list[int] | None, *, numbered_slugs: bool) -> bool:
    failed = 0
    async with _pool(dsn) as pool:
        chosen = await _chosen(pool, ids)
        for letter_id in chosen:
            reason = await replay_letter(pool, letter_id, numbered_slugs=numbered_slugs)
            failed += reason is not None
            typer.echo(f"{letter_id}: {'applied' if reason is None else reason}")
    typer.echo(f"{len(chosen) - failed} applied, {failed} not")
    return failed == 0


async def discard_letters(dsn: str, ids: list[int] | None) -> bool:
    async with _pool(dsn) as pool:
        chosen = await _chosen(pool, ids)
        async with pool.acquire() as connection:
            closed = [await dead_letters.resolve(connection, letter_id, "discarded") for letter_id in chosen]
    typer.echo(f"{sum(closed)} discarded")
    return all(closed)


async def list_companies(dsn: str, *, as_json: bool) -> bool:
    async with _pool(dsn) as pool, pool.acquire() as connection:
        found = await company_store.all_companies(connection)
    rows = [{"id": company.id, "slug": company.slug, "state": company.state} for company in found]
    if rows or as_json:
        show(rows, as_json=as_json)
    else:
        typer.echo("no companies yet: the first authentic webhook of a company makes it known")
    return True


async def status(dsn: str, settings: Settings, *, as_json: bool) -> bool:
    async with _pool(dsn) as pool, pool.acquire() as connection:
        found = await status_store.status(connection) | {"backlog": await roles.backlog(settings)}
    if as_json:
        show(found, as_json=True)
        return True
    for company in found["companies"]:
        typer.echo(f"company {company['id']} ({company['slug']}, {company['state']})")
        live = {name: count for name, count in company["rows"].items() if count}
        typer.echo("  rows: " + (", ".join(f"{name} {count}" for name, count in live.items()) or "none"))
        _print_table(company["entities"])
    waiting = {queue: messages for queue, messages in found["backlog"].items() if messages}
    typer.echo("backlog: " + (", ".join(f"{queue} {count} messages" for queue, count in waiting.items()) or "none"))
    letters = found["dead_letters"]
    typer.echo("dead letters: " + (", ".join(f"{code} {count}" for code, count in letters.items()) or "none"))
    return True


async def doctor(settings: Settings, *, as_json: bool) -> bool:
    async with roles.database(settings) as dsn:
        findings = await examine(settings, dsn)
    show([asdict(finding) for finding in findings], as_json=as_json)
    return all(finding.well for finding in findings)


async def run_sandbox(
    settings: Settings, company_id: int, url: str | None, stop: asyncio.Event, *, rate: float, deals: int
) -> None:
    rng = random.Random()  # noqa: S311 - a made-up company, not a secret
    company = SandboxCompany(rng, company_id, lambda: time.time_ns() // 1_000, deals=deals)
    password = derive(signing_secrets(settings)[0], company_id)
    target = url or f"http://{settings.receiver_host}:{settings.receiver_port}/webhooks/{company_id}"
    typer.echo(f"posting to {target}")
    counters = Counters()
    telling = asyncio.create_task(_tell(counters))
    try:
        await run_company(company, target, str(company_id), password, rate=rate, stop=stop, rng=rng, counters=counters)
    finally:
        telling.cancel()
        _tell_once(counters)


async def _tell(counters: Counters) -> None:
    while True:
        await asyncio.sleep(5)
        _tell_once(counters)


def _tell_once(counters: Counters) -> None:
    refused = f", {counters.failed} not taken: see the receiver's log" if counters.failed else ""
    typer.echo(f"{counters.sent} sent, {counters.acked} acknowledged{refused}")


async def _chosen(pool: Pool, ids: list[int] | None) -> list[int]:
    if ids is not None:
        return ids
    async with pool.acquire() as connection:
        return [letter["id"] for letter in reversed(await dead_letters.open_letters(connection))]


@asynccontextmanager
async def _pool(dsn: str) -> AsyncIterator[Pool]:
    pool = await create_pool(dsn, size=1, application="pipemirror cli")
    try:
        yield pool
    except asyncpg.UndefinedTableError as error:
        raise Misconfigured(
            "the database has no pipemirror schema: run `pipemirror migrate`, or start a worker"
        ) from error
    finally:
        await pool.close()


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_plain(value)) for value in row.values()))
    # Without a terminal there is no width to keep to: a line is for grep then.
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def _plain(value: Any) -> str:
    """What is shown may come from anybody: no markup is read in it, and no control character reaches the terminal."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)
