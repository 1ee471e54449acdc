"""`pipemirror sandbox`: the sandbox alone, posting to a receiver until it is stopped."""

import asyncio
import random
import time

import typer

from runtime.settings import Settings, signing_secrets
from sandbox.cloud import Company
from sandbox.ledger import Counters
from sandbox.live import Outcome, run
from schema.credentials import derive

_TOLD_EVERY = 5.0
_GRACE = 2.0
"""Seconds that POSTs under way have to end in after a stop. Retries wait for up to 150 s: they are given up."""


async def run_sandbox(
    settings: Settings, company_id: int, url: str | None, stop: asyncio.Event, *, rate: float, deals: int
) -> None:
    rng = random.Random()  # noqa: S311 - a made-up company, not a secret
    company = Company(rng, company_id, lambda: time.time_ns() // 1_000, deals=deals)
    password = derive(signing_secrets(settings)[0], company_id)
    target = url or f"http://{settings.receiver_host}:{settings.receiver_port}/webhooks/{company_id}"
    typer.echo(f"posting to {target}")
    counters = Counters()
    telling = asyncio.create_task(_tell(counters))
    life = run(company, target, str(company_id), password, rate=rate, stop=stop, rng=rng, counters=counters)
    try:
        await _until_stopped(asyncio.create_task(life), stop)
    finally:
        telling.cancel()
        _tell_once(counters)


async def _until_stopped(living: "asyncio.Task[Outcome]", stop: asyncio.Event) -> None:
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((living, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    _, late = await asyncio.wait((living,), timeout=_GRACE)
    if late:
        living.cancel()
        await asyncio.wait((living,))
    else:
        living.result()  # raises what it crashed of


async def _tell(counters: Counters) -> None:
    while True:
        await asyncio.sleep(_TOLD_EVERY)
        _tell_once(counters)


def _tell_once(counters: Counters) -> None:
    refused = f", {counters.failed} not taken: is the receiver running? If so, see its log" if counters.failed else ""
    typer.echo(f"{counters.sent} sent, {counters.acked} acknowledged{refused}")
