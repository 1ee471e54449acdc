"""`pipemirror status`: how the mirror is doing, on one screen."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer

from cli import roles
from cli.command import Json, operate, pool
from cli.operating.account_status import account_lines
from cli.output import show, table
from cli.reading import vault
from cli.spans import age, spread
from runtime.settings import Settings, load
from schema.entities import HEARD
from schema.errors import Misconfigured, NotNow
from store import status as status_store
from store.database import Connection

_PERCENTILES = ("p50", "p95", "p99")


def status(as_json: Json = False) -> None:
    """Rows, freshness and lag; backlog, dead letters.

    Rows, freshness and lag of the last hour are told per company and entity. Unfinished work is told, too.
    """
    operate(_status, load(), as_json=as_json)


async def _status(dsn: str, settings: Settings, *, as_json: bool) -> bool:
    async with pool(dsn) as found, found.acquire() as connection:
        told = await status_store.status(connection, datetime.now(UTC))
        for company in told["companies"]:
            await _try_keys(settings, connection, company)
    told |= await _backlog(settings)
    if as_json:
        show(told, as_json=True)
    else:
        _print(told)
    return True


async def _try_keys(settings: Settings, connection: Connection, company: Mapping[str, Any]) -> None:
    """Whether what this process knows opens the company's token: a worker with the same settings reads its account."""
    token = (company["account"] or {}).get("token")
    if token is not None:
        try:
            token["unreadable"] = None
            await vault(settings).get(connection, company["id"])
        except Misconfigured as problem:
            token["unreadable"] = problem.reason


async def _backlog(settings: Settings) -> dict[str, Any]:
    """Messages that wait. A broker that is gone is part of the status, not its end."""
    try:
        return {"backlog": await roles.backlog(settings), "backlog_problem": None}
    except NotNow as problem:
        return {"backlog": None, "backlog_problem": f"{problem.code}: {problem.reason}"}


def _print(told: Mapping[str, Any]) -> None:
    if not told["companies"]:
        typer.echo("no companies yet: `pipemirror connect` makes one known, or its first authentic webhook")
    for company in told["companies"]:
        _print_company(company, told["at"])
    for line in _below(told):
        typer.echo(line)


def _print_company(company: Mapping[str, Any], at: datetime) -> None:
    silence = company["silence_seconds"]
    heard = "" if silence is None else f", last written {age(max(silence, 0.0))} ago"
    typer.echo(f"company {company['id']} ({company['slug']}, {company['state']}{heard})")
    told = [entity for entity in company["entities"] if entity["entity"] in HEARD or entity["events_1h"]]
    table([_line(entity, at) for entity in told], indent=2)
    read = {one["entity"]: one["rows"] for one in company["entities"] if one not in told}
    if read:
        typer.echo(f"  only read: {_numbers(read)}")
    for line in account_lines(company["account"], at):
        typer.echo(f"  {line}")
    if company["kept"]:
        typer.echo(f"  kept in the journal, in no table: {company['kept']:,} events")
    if company["dead_letters"]:
        typer.echo(f"  dead letters: {_numbers(company['dead_letters'])}")


def _line(entity: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """What fits into 80 columns; `--json` has all."""
    heard = entity["last_event"]
    rows = f"{'~' if entity['rows_estimated'] else ''}{entity['rows']:,}"
    return {
        "entity": entity["entity"],
        "rows": rows,
        "events/1h": entity["events_1h"],
        "last event": "-" if heard is None else f"{age(max((at - heard).total_seconds(), 0.0))} ago",
        "event to row\np50/p95/p99": _spread(entity, "event_to_row"),
        "receipt to row\np50/p95/p99": _spread(entity, "receipt_to_row"),
    }


def _below(told: Mapping[str, Any]) -> Iterator[str]:
    if told["backlog"] is None:
        yield f"backlog: unknown, {told['backlog_problem']}"
    else:
        waiting = {queue: number for queue, number in told["backlog"].items() if number}
        yield f"backlog: {_numbers(waiting, ' messages') or 'none'}"
    yield f"dead letters: {_numbers(told['dead_letters']) or 'none'}"
    if told["held"]:
        yield f"held, see /readyz of a worker: {_numbers(told['held'], ' events')}"
    for replay in told["unfinished_replays"]:
        asked = {name: value for name, value in replay["wanted"].items() if value}
        yield f"unfinished replay of {asked}: {replay['done']:,} of {replay['total']:,}; repeat its command to go on"
    for purge in told["unfinished_purges"]:
        yield f"purge of company {purge['company_id']} is not final: repeat `companies purge {purge['company_id']}`"


def _numbers(found: Mapping[str, int], unit: str = "") -> str:
    return ", ".join(f"{name} {number:,}{unit}" for name, number in found.items())


def _spread(entity: Mapping[str, Any], kind: str) -> str:
    found: Sequence[float | None] = [entity[f"{kind}_{percentile}_seconds"] for percentile in _PERCENTILES]
    return spread([seconds for seconds in found if seconds is not None])
