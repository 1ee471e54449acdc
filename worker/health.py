"""Where a worker answers /livez, /readyz and /metrics."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog
from aiohttp import web

from runtime.health import Check, answer
from runtime.http import Listener, unnamed
from runtime.metrics import Metrics

_log = structlog.stdlib.get_logger(__name__)


async def serve(
    checks: Sequence[Check], metrics: Metrics, *, host: str, port: int, fixed: bool, note: Path
) -> web.ServerRunner:
    """Answer /livez, /readyz and /metrics. `note` gets the port: a free one where `port` is taken.

    Raise OSError for a taken port that is `fixed`.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return unnamed(answer(request.path, checks, metrics) or web.Response(status=404))

    runner = web.ServerRunner(Listener(handle, metrics))
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        if fixed:
            await runner.cleanup()
            raise
        await web.TCPSite(runner, host, 0).start()
    await asyncio.to_thread(_write_note, note, runner.addresses[0][1])
    return runner


def _write_note(note: Path, port: int) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{port}\n")
    except OSError as error:
        # A full disk above all: the worker that empties the spool must not need room to start.
        _log.warning("port_not_noted", port=port, file=str(note), reason=error.strerror)
