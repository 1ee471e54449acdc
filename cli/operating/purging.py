"""`pipemirror companies purge`: delete a company whole, with a receipt that says whether it is final.

Deleted is what the database holds. Final is the purge once every event that was taken in before it is gone too: no
spool holds one, and every queue was passed by a mark that was sent after it. See docs/decisions/0007-purge.md.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from cli import receivers, spooled
from cli.command import Json, Yes, confirm, operate_long, pool
from cli.lanes import consumed
from cli.operating.unsubscribing import BY_HAND, NO_TOKEN, unsubscribe
from cli.output import show
from cli.progress import progress
from cli.values import address, identity
from runtime import amqp
from runtime.amqp import AmqpPublisher
from runtime.settings import Settings, load
from schema.columns import microseconds
from schema.envelope import Envelope, pack
from schema.errors import NotNow
from schema.mark import Mark
from schema.topology import DEAD, Queue
from store import companies, purges
from store.companies import PURGED, Company
from store.database import Pool
from store.purges import Purge
from worker.healing.alone import alone
from worker.operations import purge as worker_purge

WAIT: Final = 15.0
"""Seconds to wait for workers to meet the marks."""
_LOOK: Final = 0.2
_CONNECTIONS: Final = 4
_GO_ON = "the same command goes on"


@dataclass(frozen=True, slots=True)
class Wish:
    """`receivers` are URLs to ask for their spools; `spools_empty`: somebody looked at those that cannot be asked."""

    company_id: int
    receivers: tuple[str, ...]
    spools_empty: bool
    as_json: bool


def purge(
    company_id: Annotated[int, typer.Argument(parser=identity, metavar="ID", help="Id of the company.")],
    receiver: Annotated[
        list[str] | None,
        typer.Option(parser=address, metavar="URL", help="Ask this receiver whether its spool is empty; repeatable."),
    ] = None,
    spools_empty: Annotated[
        bool, typer.Option("--spools-empty", help="You saw every receiver's spool empty since the purge began.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete a company whole, for ever, with a receipt.

    Exit code 0 once it is final, else 1: repeat it then.
    """
    wish = Wish(company_id, tuple(receiver or ()), spools_empty, as_json)
    operate_long(_purge, load(), wish, yes=yes)


async def _purge(dsn: str, settings: Settings, wish: Wish, *, yes: bool, stop: asyncio.Event) -> bool:
    async with pool(dsn, size=_CONNECTIONS) as found:
        async with found.acquire() as connection:
            known = await companies.find(connection, wish.company_id)
        if known is None:
            typer.echo(f"company {wish.company_id} is not known", err=True)
            return False
        if known.state != PURGED:
            everything = f"everything of company {known.id} ({known.slug})"
            confirm(f"Delete {everything}, for ever?", f"{everything} would be deleted, for ever", yes=yes)
        company = await worker_purge.mark(found, wish.company_id)
        assert company is not None
        await unsubscribe(settings, found, company.id)
        if not await _delete(found, company, stop):
            typer.echo(f"stopped; nothing of company {company.id} is applied any more; {_GO_ON}", err=True)
            return False
        still = await _passed(found, settings, wish)
        return await _receipt(found, wish, still)


async def _delete(found: Pool, company: Company, stop: asyncio.Event) -> bool:
    """Whether it came to its end."""
    done, total = 0, await worker_purge.to_delete(found, company)
    # A worker that is just reading its account notices with the next page, and would write down how far it came.
    async with alone(found, company.id, within=WAIT):
        with progress(f"purging company {company.id}", total) as advance:
            async for more in worker_purge.delete(found, company):
                done += more
                advance(done)
                if stop.is_set():
                    return False
    return True


async def _passed(found: Pool, settings: Settings, wish: Wish) -> list[str]:
    """Look at the spools, then send marks and wait for them; what still stands in the way of being final."""
    state = await _state(found, wish.company_id)
    if state.final_at is not None:
        return []
    if state.deleted_at is None:
        return ["rows came while it deleted: repeat it"]
    still = [] if state.spools_passed_at else await _spools(found, settings, wish, state)
    if not still and settings.amqp_url is not None:
        still = await _queues(found, settings.amqp_url.get_secret_value(), settings.lanes, state)
    if not still:
        async with found.acquire() as connection:
            held = await purges.final(connection, wish.company_id)
        still = [f"held events: {held} wait until a worker discards them"] if held else []
    return still


async def _spools(found: Pool, settings: Settings, wish: Wish, state: Purge) -> list[str]:
    begun = microseconds(state.begun_at)
    seen = await asyncio.to_thread(spooled.of_company, settings.data_dir / "spool", wish.company_id, before=begun)
    for url in wish.receivers:
        seen[url] = await _of_receiver(url)
    if wish.spools_empty:
        seen["others"] = 0
    still = [
        f"spool {where}: {what if isinstance(what, str) else f'{what} events'}" for where, what in seen.items() if what
    ]
    if settings.amqp_url is not None and not (wish.receivers or wish.spools_empty):
        still.append("spools of receivers: name each with --receiver URL, or look yourself and say --spools-empty")
    async with found.acquire() as connection:
        await purges.saw_spools(connection, wish.company_id, seen, passed=not still)
    return still


async def _of_receiver(url: str) -> int | str:
    """Messages in a receiver's spool, of whichever company; or why that is not known."""
    try:
        asked = await receivers.ask(url)
    except NotNow as problem:
        return problem.reason
    if asked.spool_pending is None:
        return "it has not counted its spool yet"
    return int(asked.spool_pending)


async def _queues(found: Pool, url: str, lanes: int, state: Purge) -> list[str]:
    queues = [queue for queue in await consumed(url, lanes) if queue != DEAD]
    passed = await _passed_queues(found, state.company_id)
    waiting = [queue for queue in queues if queue.name not in passed]
    if waiting:
        await _send(found, url, waiting, state)
        await _met(found, state.company_id, {queue.name for queue in queues})
    passed = await _passed_queues(found, state.company_id)
    still = [f"queue {queue.name}: no worker has met its mark yet" for queue in queues if queue.name not in passed]
    dead = (await amqp.waiting(url, [DEAD])).get(DEAD.name, 0)
    return still + ([f"queue {DEAD.name}: {dead} messages wait"] if dead else [])


async def _send(found: Pool, url: str, queues: Sequence[Queue], state: Purge) -> None:
    """A mark through each. Noted before it is sent, so that one that a worker meets at once is known."""
    publisher = AmqpPublisher(url, queues, confirm_timeout=5.0)
    await publisher.start()
    try:
        for queue in queues:
            async with found.acquire() as connection:
                await purges.send_mark(connection, state.company_id, queue.name)
            mark = Mark(state.token, queue.name)
            envelope = Envelope(state.company_id, time.time_ns() // 1_000, mark.body)
            await publisher.publish(queue.routing_key, pack([envelope]))
    finally:
        await publisher.close()


async def _met(found: Pool, company_id: int, names: set[str]) -> None:
    """Wait until workers have met all marks, or long enough."""
    end = time.monotonic() + WAIT
    while not names <= await _passed_queues(found, company_id):
        if time.monotonic() > end:
            return
        await asyncio.sleep(_LOOK)


async def _passed_queues(found: Pool, company_id: int) -> set[str]:
    async with found.acquire() as connection:
        return {mark["queue"] for mark in await purges.marks(connection, company_id) if mark["passed_at"]}


async def _state(found: Pool, company_id: int) -> Purge:
    async with found.acquire() as connection:
        state = await purges.find(connection, company_id)
    assert state is not None
    return state


async def _receipt(found: Pool, wish: Wish, still: list[str]) -> bool:
    state = await _state(found, wish.company_id)
    async with found.acquire() as connection:
        marks = await purges.marks(connection, wish.company_id)
    told: dict[str, Any] = {
        "company_id": state.company_id,
        "slug": state.slug,
        "begun_at": state.begun_at,
        "deleted": dict(sorted(state.deleted.items())),
        "deleted_at": state.deleted_at,
        "webhooks": _webhooks(state),
        "spools": state.spools,
        "spools_passed_at": state.spools_passed_at,
        "queues": marks,
        "final": state.final_at is not None,
        "final_at": state.final_at,
        "not_final_because": still,
    }
    show(told if wish.as_json else _words(told), as_json=wish.as_json)
    return state.final_at is not None


def _webhooks(state: Purge) -> dict[str, Any]:
    """What became of ours at Pipedrive, and what a person has to do about it, if anything."""
    told = state.webhooks or {"removed": [], "problem": NO_TOKEN}
    return told | {"by_hand": None if told["problem"] is None else BY_HAND}


def _at_pipedrive(told: dict[str, Any]) -> str:
    removed = f"removed {', '.join(map(str, told['removed']))}" if told["removed"] else ""
    if told["problem"] is None:
        return removed or "there was none of ours"
    left = f"if there is one of ours, it still posts to us; {told['by_hand']} ({told['problem']})"
    return f"{removed}; {left}" if removed else left


def _words(told: dict[str, Any]) -> dict[str, Any]:
    deleted = ", ".join(f"{what} {rows:,}" for what, rows in told["deleted"].items() if rows)
    words = {
        "company": f"{told['company_id']} ({told['slug']})",
        "purged": told["begun_at"],
        "deleted rows": deleted or "none",
        "deleted by": told["deleted_at"],
        "webhooks at Pipedrive": _at_pipedrive(told["webhooks"]),
        "final": told["final_at"] or f"not yet; {_GO_ON}",
    }
    return words | {f"open {number}": reason for number, reason in enumerate(told["not_final_because"], 1)}
