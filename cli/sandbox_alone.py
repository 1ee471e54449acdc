"""`pipemirror sandbox`: the sandbox alone, until it is stopped. It posts to a receiver or serves the REST API."""

import asyncio
import random
import time
from collections.abc import Coroutine
from typing import Any

import typer

from runtime.keys import signing_secrets
from runtime.settings import Settings
from sandbox.cloud import Company
from sandbox.ledger import Counters
from sandbox.live import Outcome, run, run_subscribed
from sandbox.rest.limits import Limits
from sandbox.rest.server import TOKEN, serve
from schema.credentials import derive

_TOLD_EVERY = 5.0
LIMITS = Limits(burst=480, tells_daily=True, daily=2_100_000)
"""Those of an OAuth app in an account of ten seats at Pipedrive's largest plan."""

_GRACE = 2.0
"""Seconds that POSTs under way have to end in after a stop. Retries wait for up to 150 s: they are given up."""


async def run_sandbox(
    settings: Settings, company_id: int, url: str | None, stop: asyncio.Event, *, rate: float, deals: int
) -> None:
    """Tell a receiver of everything, as if it had always been subscribed."""
    company, rng = _made(company_id, deals)
    password = derive(signing_secrets(settings)[0], company_id)
    target = url or f"http://{settings.receiver_host}:{settings.receiver_port}/webhooks/{company_id}"
    typer.echo(f"posting to {target}")
    counters = Counters()
    life = run(company, target, str(company_id), password, rate=rate, stop=stop, rng=rng, counters=counters)
    await _lived(life, counters, stop)


async def serve_sandbox(
    settings: Settings, company_id: int, port: int, stop: asyncio.Event, *, rate: float, deals: int
) -> None:
    """Answer like Pipedrive, and tell whoever subscribes there; what happens before that, a reader has to find."""
    company, _ = _made(company_id, deals)
    async with serve(company, port=port, limits=LIMITS) as rest:
        typer.echo("serving Pipedrive's REST API; this connects to it, live where `pipemirror up` runs:")
        public_url = settings.public_url or f"http://{settings.receiver_host}:{settings.receiver_port}"
        where = f"PUBLIC_URL={public_url} PIPEDRIVE_API_URL={rest.url}"
        typer.echo(f"{where} PIPEDRIVE_API_TOKEN={TOKEN} pipemirror connect")
        life = run_subscribed(company, rest.subscriptions, rate=rate, stop=stop)
        await _lived(life, rest.subscriptions.ledger.counters, stop)


def _made(company_id: int, deals: int) -> tuple[Company, random.Random]:
    typer.echo(f"making up company {company_id} with {deals:,} deals")
    rng = random.Random()  # noqa: S311 - a made-up company, not a secret
    return Company(rng, company_id, lambda: time.time_ns() // 1_000, deals=deals), rng


async def _lived(life: Coroutine[Any, Any, Outcome], counters: Counters, stop: asyncio.Event) -> None:
    telling = asyncio.create_task(_tell(counters))
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
