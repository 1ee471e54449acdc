"""`pipemirror sandbox`: the stand-in Pipedrive alone, posting to a receiver until it is stopped."""

import asyncio
import random
import time

import typer

from runtime.settings import Settings, signing_secrets
from sandbox.cloud import Company
from sandbox.ledger import Counters
from sandbox.live import run
from schema.credentials import derive

_TOLD_EVERY = 5.0


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
    try:
        await run(company, target, str(company_id), password, rate=rate, stop=stop, rng=rng, counters=counters)
    finally:
        telling.cancel()
        _tell_once(counters)


async def _tell(counters: Counters) -> None:
    while True:
        await asyncio.sleep(_TOLD_EVERY)
        _tell_once(counters)


def _tell_once(counters: Counters) -> None:
    refused = f", {counters.failed} not taken: see the receiver's log" if counters.failed else ""
    typer.echo(f"{counters.sent} sent, {counters.acked} acknowledged{refused}")
