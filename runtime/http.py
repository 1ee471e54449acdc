"""The HTTP server of every role: aiohttp's low-level one, quiet about strangers and silent about itself."""

from collections.abc import Callable
from typing import Any, Final

import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from runtime.backoff import Seldom
from runtime.measurements import HTTP_MALFORMED
from runtime.metrics import Metrics

_log = structlog.stdlib.get_logger(__name__)

NAME: Final = "pipemirror"
IDLE_SECONDS: Final = 75.0
"""For which a connection may live without a whole request: longer than a proxy's own limit (60 is usual), so that the
proxy closes first; short enough that nobody keeps connections by sending headers drop by drop."""


class Listener(web.Server):
    """Use as `web.Server`. What is no HTTP is answered 400, counted, and logged in a line a minute at most."""

    def __init__(self, handler: Callable[[web.BaseRequest], Any], metrics: Metrics, **options: Any) -> None:
        super().__init__(handler, access_log=None, keepalive_timeout=IDLE_SECONDS, **options)
        self._metrics = metrics
        self._seldom = Seldom()

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    def malformed(self, error: HttpProcessingError) -> None:
        self._metrics.count(HTTP_MALFORMED)
        if self._seldom.due():
            # Only the kind of the error: its text repeats what a stranger sent.
            _log.info("http_malformed", kind=type(error).__name__)


class _Connection(web.RequestHandler):
    __slots__ = ("_listener",)

    def __init__(self, listener: Listener, **options: Any) -> None:
        super().__init__(listener, **options)
        self._listener = listener

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, HttpProcessingError):
            self._listener.malformed(exc)
            response: web.StreamResponse = web.Response(status=status)
            response.force_close()
        else:
            response = super().handle_error(request, status, exc, message)
        return unnamed(response)


def unnamed(response: web.StreamResponse) -> web.StreamResponse:
    """The response, with no word of which libraries made it, and in which release."""
    response.headers[hdrs.SERVER] = NAME
    return response
