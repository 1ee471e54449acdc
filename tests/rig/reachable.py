"""An address that Pipedrive reaches: no webhook can be made for another."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def receiving() -> AsyncIterator[str]:
    """An address that answers when it is probed."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response()

    runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
