"""Pipedrive's REST API on loopback, answered from a made-up company that goes on changing."""

import random
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from aiohttp import web

from sandbox.cloud import Company
from sandbox.deliveries import Pace
from sandbox.mischief import Mischief
from sandbox.rest.api import Handler, Rest
from sandbox.rest.changelog import keep
from sandbox.rest.limits import Gate, Limits
from sandbox.rest.mischief import RestMischief
from sandbox.rest.refusals import Refused
from sandbox.rest.routes import Question, Reply, Route, reading, subscribing
from sandbox.rest.subscriptions import Subscriptions
from sandbox.rest.tokens import Tokens
from sandbox.rest.view import Rules, View

TOKEN: Final = "a-token-of-the-sandbox"  # noqa: S105 - of a made-up company
"""Valid unless `serve` is given others."""


@asynccontextmanager
async def serve(
    company: Company,
    *,
    tokens: Collection[str] = (TOKEN,),
    bearer: Collection[str] = (),
    user_id: int = 1,
    rules: Rules | None = None,
    limits: Limits | None = None,
    mischief: RestMischief | None = None,
    deliveries: Mischief | None = None,
    pace: Pace | None = None,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[Rest]:
    """Serve `company` until the block is left. It may change meanwhile: nothing is copied.

    tokens      API tokens that are valid; `bearer` likewise access tokens; all of the user `user_id`, an admin if 1
    deliveries  mischief done to events on their way to webhooks made through the API; `pace` is theirs, too
    seed        of all mischief; the company's own history does not depend on it
    clock       of the limits, in seconds
    port        0: any that is free
    """
    rng, pace = random.Random(seed), pace or Pace()  # noqa: S311 - mischief, no secret
    view, gate = View(company, rules or Rules(), user_id), Gate(limits or Limits(), clock)
    keep(company)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=pace.concurrency)) as session:
        told = Subscriptions(company, session, user_id=user_id, rng=rng, mischief=deliveries, pace=pace)
        rest = Rest(view, Tokens(tokens, bearer), gate, told, rng, mischief or RestMischief())
        try:
            async with listening(application(rest), host, port) as rest.url:
                yield rest
        finally:
            await told.close()


def application(rest: Rest, answering: Callable[[Route], Handler] | None = None) -> web.Application:
    """Every route there is, answered as `rest` does unless there is another way."""
    app = web.Application()
    for route in (*reading(rest.view), *subscribing(rest.subscriptions), *_UNKNOWN):
        app.router.add_route(route.method, route.path, (answering or rest.answering)(route))
    return app


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """The URL of its root."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _nothing(_question: Question) -> Reply:
    raise Refused(404, "Unknown method .")


_UNKNOWN: Final = (Route("/{tail:.*}", 0, _nothing, "*"),)
