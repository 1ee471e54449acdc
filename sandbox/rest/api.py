"""Answers requests: who asks is checked, limits are kept, mischief is done, and all of it is noted."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

import orjson
from aiohttp import web

from sandbox.rest.limits import Gate
from sandbox.rest.log import Asked, Log
from sandbox.rest.mischief import RestMischief
from sandbox.rest.refusals import Refused, bad
from sandbox.rest.routes import Question, Route
from sandbox.rest.subscriptions import Subscriptions
from sandbox.rest.tokens import Tokens
from sandbox.rest.view import View
from sandbox.script import step

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_OK: Final = 200
_OUR_FAULT: Final = 500


@dataclass(slots=True)
class Rest:
    """A served company, and what may be turned while it is served.

    url       of the API's root, without a slash at its end: what a client has in the place of `https://api.pipedrive.com`
    mischief  may be another at any time; so may `gate.limits`
    """

    view: View
    tokens: Tokens
    gate: Gate
    subscriptions: Subscriptions
    rng: random.Random
    mischief: RestMischief
    log: Log = field(default_factory=Log)
    url: str = ""
    _spoilt: set[str] = field(default_factory=set)

    def answering(self, route: Route) -> Handler:
        """The handler of one route."""

        async def answer(request: web.Request) -> web.StreamResponse:
            cost, mischief = 0, self._mischief(route)
            try:
                headers = self.gate.admit(self.tokens.of(request.headers), route.cost)
                cost = route.cost
                status, body = await self._let_in(route, request, mischief)
                response = _json(status, body, headers)
            except Refused as refused:
                response = _refusal(refused, 1 if "/v1/" in request.path else 2)
            response.headers["Date"] = self._date()
            self.log.note(Asked(request.method, request.path, route.path, dict(request.query), response.status, cost))
            cut = response.status == _OK and self.rng.random() < mischief.cut
            if cut or response.status >= _OUR_FAULT:
                self._spoilt.add(route.path)
            return await _cut(request, response) if cut else response

        return answer

    async def _let_in(self, route: Route, request: web.Request, mischief: RestMischief) -> tuple[int, Any]:
        params = dict(request.query)
        if self.rng.random() < mischief.slow:
            await asyncio.sleep(mischief.delay)
        mischief.refuse(self.rng, route.path, params)
        if "{id" not in route.path:
            await self._change(mischief.changes)
        posted = await _posted(request) if route.method == "POST" else None
        asked = mischief.asked(route.path, params)
        status, body = await route.handle(Question(asked, dict(request.match_info), posted))
        told = mischief.told(self.rng, body)
        if told is None or (told is not body and told["data"] is None):
            self._spoilt.add(route.path)
        return status, told

    def _mischief(self, route: Route) -> RestMischief:
        if route.path not in self._spoilt:
            return self.mischief
        self._spoilt.discard(route.path)
        return self.mischief.asked_again()

    async def _change(self, times: int) -> None:
        for _ in range(times):
            for event in step(self.view.company):
                await self.subscriptions.send(event)

    def _date(self) -> str:
        """By the company's clock."""
        now = datetime.fromtimestamp(self.view.company.now() // 1_000_000, UTC)
        return format_datetime(now, usegmt=True)


def _json(status: int, body: Any, headers: Mapping[str, str]) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)


def _refusal(refused: Refused, version: int) -> web.Response:
    if refused.page is None:
        return _json(refused.status, refused.told(version), refused.headers)
    return web.Response(status=refused.status, text=refused.page, content_type="text/html", headers=refused.headers)


async def _posted(request: web.Request) -> Any:
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise bad("Bad request: the body is not JSON.") from error


async def _cut(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Half of the body, and then nothing more."""
    body = response.body
    assert isinstance(body, bytes)
    half = web.StreamResponse(status=response.status, headers={**response.headers, "Content-Length": str(len(body))})
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return half
