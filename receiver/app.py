"""The receiver as a process: addresses to answers, listening, and a stop that loses nothing.

It is aiohttp's low-level server: five addresses need no router, middlewares or signals.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

from receiver.outlet import Outlet
from receiver.webhook import Webhook
from runtime.garbage import collect_seldom
from runtime.health import Check, answer
from runtime.http import Listener, unnamed
from runtime.metrics import Metrics
from runtime.shutdown import stop_in_order

_WEBHOOKS: Final = "/webhooks/"
_READ_METHODS: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
_CLOSE_SECONDS: Final = 2.0
_NEW_OBJECTS: Final = 10_000
"""More than the requests of a moment make. A connection that is closed leaves some, a kilobyte, to be looked for."""


class Door:
    """Answers every request that reaches the receiver."""

    def __init__(self, webhook: Webhook, checks: Sequence[Check], metrics: Metrics) -> None:
        self._webhook = webhook
        # Kept as it is given: the other parts of a process add theirs after the door is made.
        self._checks = checks
        self.metrics = metrics
        self._open = 0
        self._none_open = asyncio.Event()
        self._stopping = False

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self._open += 1
        try:
            path = request.raw_path.partition("?")[0]
            if request.method == hdrs.METH_POST and path.startswith(_WEBHOOKS):
                response = await self._webhook.answer(request, path[len(_WEBHOOKS) :].removesuffix("/"))
            else:
                response = unnamed(self._answer(request.method, path))
        finally:
            self._open -= 1
            if not self._open:
                self._none_open.set()
        if self._stopping:
            response.force_close()  # the next request of this sender goes to another receiver
        return response

    async def finish(self, within: float) -> None:
        """From now on answer each connection once more at most; wait up to `within` seconds for open requests."""
        self._stopping = True
        if self._open:
            self._none_open.clear()
            async with asyncio.timeout(within):
                await self._none_open.wait()

    def _answer(self, method: str, path: str) -> web.Response:
        if path.startswith(_WEBHOOKS):  # Pipedrive looks whether the address answers when a subscription is made
            if method in _READ_METHODS:
                return web.Response()
            return web.Response(status=405, headers={hdrs.ALLOW: "GET, HEAD, POST"})
        response = answer(path, self._checks, self.metrics) if method in _READ_METHODS else None
        return web.Response(status=404) if response is None else response


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver that listens on `port`."""

    port: int
    door: Door
    outlet: Outlet
    site: web.TCPSite
    runner: web.ServerRunner

    async def stop(self, deadline: float = 10.0) -> bool:
        """Stop listening, finish open requests, flush the outlet, close; True if all of it went well and in time.

        Half of `deadline` (seconds) is for requests still sending their body, half for what is not yet confirmed.
        """
        half = deadline / 2
        return await stop_in_order(
            [
                ("listener", self.site.stop),
                ("requests", lambda: self.door.finish(half)),
                ("outlet", lambda: self.outlet.close(half)),
                ("connections", self.runner.cleanup),
            ],
            deadline=deadline + _CLOSE_SECONDS,
        )


async def serve(door: Door, outlet: Outlet, *, host: str, port: int, shared: bool = True) -> Receiver:
    """Begin to listen; port 0 takes a free one. On a `shared` port several processes may listen.

    Bodies stay compressed if they came so: inflating could fail, and content must never cause a refusal.
    """
    server = Listener(door, door.metrics, auto_decompress=False)
    runner = web.ServerRunner(server, shutdown_timeout=_CLOSE_SECONDS / 2)
    await runner.setup()
    site = web.TCPSite(runner, host, port, reuse_port=shared)
    try:
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    outlet.start()
    collect_seldom(_NEW_OBJECTS)
    return Receiver(runner.addresses[0][1], door, outlet, site, runner)
