"""A made-up company that lives: changes at a steady rate, each told to a receiver."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from sandbox.cloud import Company, Truth
from sandbox.deliveries import Deliveries, Endpoint, Pace
from sandbox.events import Event
from sandbox.ledger import Counters, Ledger
from sandbox.mischief import Mischief
from sandbox.rest.subscriptions import Subscriptions
from sandbox.script import step


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was sent, and what a mirror of it must hold."""

    ledger: Ledger
    truth: Truth


async def run(
    company: Company,
    url: str,
    user: str,
    password: str,
    *,
    rate: float,
    stop: asyncio.Event,
    rng: random.Random,
    mischief: Mischief | None = None,
    pace: Pace | None = None,
    announce: bool = True,
    counters: Counters | None = None,
) -> Outcome:
    """Change the company at `rate` events/s until `stop`, then wait for the last retry.

    That takes 183 s times `clock_scale` and four timeouts at most.

    rng       of the mischief, seeded; not the company's own, so that its history is the same under any mischief
    announce  first tell of every record there is, as fast as the receiver takes it; else a backfill has to find them
    counters  counted into, for a caller who shows them meanwhile
    """
    mischief, pace = mischief or Mischief(), pace or Pace()
    ledger = Ledger(counters, whole_states=company.account.lists_empty_fields)
    endpoint = Endpoint(url, user, password)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=pace.concurrency)) as session:
        deliveries = Deliveries(session, endpoint, company.account, ledger, rng=rng, mischief=mischief, pace=pace)
        try:
            for event in company.announce() if announce else ():
                await deliveries.send(event)
            await _live(company, deliveries.send, rate, stop)
            await deliveries.drain()
        finally:
            await deliveries.close()
    return Outcome(ledger, company.snapshot(mischief.versions, ledger.unsettled()))


async def run_subscribed(
    company: Company, subscriptions: Subscriptions, *, rate: float, stop: asyncio.Event
) -> Outcome:
    """Change the company at `rate` events/s until `stop`, telling whoever has subscribed by then through the REST API.

    What happens while nobody has is lost, and so is what there was at the start: a backfill has to find it.
    """
    company.announce()
    await _live(company, subscriptions.send, rate, stop)
    await subscriptions.drain()
    ledger = subscriptions.ledger
    return Outcome(ledger, company.snapshot(subscriptions.versions, ledger.unsettled()))


async def _live(company: Company, send: Callable[[Event], Awaitable[None]], rate: float, stop: asyncio.Event) -> None:
    """A receiver slower than `rate` slows the company down; of what was missed at most one second is made up for."""
    clock = asyncio.get_running_loop().time
    due = clock()
    while not stop.is_set():
        events = step(company)
        for event in events:
            await send(event)
        due = max(due + len(events) / rate, clock() - 1)
        await _until(due - clock(), stop)


async def _until(seconds: float, stop: asyncio.Event) -> None:
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
