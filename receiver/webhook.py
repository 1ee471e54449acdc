"""One POST: credentials, size, body as it is, durable, 200. The body is not read: that is the workers' business."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import structlog
from aiohttp import ClientPayloadError, StreamReader, hdrs, web

from runtime.metrics import ACK_SECONDS, BODY_BYTES, RECEIVED, REFUSED_LARGE, SECRET_USED, Metrics
from schema.credentials import header, parse_company, verify
from schema.envelope import Envelope
from schema.errors import NotNow

_log = structlog.stdlib.get_logger(__name__)

_COMPANIES_REMEMBERED: Final = 4096
_CURRENT: Final = "current"

Clock = Callable[[], int]
"""Microseconds since 1970."""


def wall_clock() -> int:
    return time.time_ns() // 1000


class Sender(NamedTuple):
    """Who a path speaks of, and the header it should bring; remembered, since HMAC costs more than comparing."""

    company_id: int
    header: bytes


class Webhook:
    """Answers the POSTs of all companies.

    put         makes an envelope durable or raises NotNow
    secrets     master secrets, the one that signs first
    body_within seconds that a sender may take to send its body
    """

    def __init__(
        self,
        put: Callable[[Envelope], Awaitable[None]],
        secrets: Sequence[str],
        *,
        max_body_bytes: int,
        metrics: Metrics,
        clock: Clock = wall_clock,
        body_within: float = 30.0,
    ) -> None:
        self._put = put
        self._secrets = tuple(secrets)
        self._max_body_bytes = max_body_bytes
        self._metrics = metrics
        self._clock = clock
        self._body_within = body_within
        self._sender = lru_cache(_COMPANIES_REMEMBERED)(self._derive_sender)

    async def answer(self, request: web.BaseRequest, company: str) -> web.Response:
        """Answer a POST to the address of `company`, the text that stands in the path."""
        started = time.perf_counter()
        sender = self._sender(company)
        if sender is None or not self._authentic(sender, request.headers.get(hdrs.AUTHORIZATION, "")):
            response = web.Response(status=401, headers={hdrs.WWW_AUTHENTICATE: 'Basic realm="pipemirror"'})
        else:
            response = await self._receive(request, sender.company_id)
        self._metrics.count(RECEIVED, str(response.status))
        if response.status == 200:  # noqa: PLR2004 - the HTTP status of that number
            self._metrics.observe(ACK_SECONDS, time.perf_counter() - started)
        return response

    async def _receive(self, request: web.BaseRequest, company_id: int) -> web.Response:
        if (request.content_length or 0) > self._max_body_bytes:
            return self._too_large(company_id)
        await _continue_if_expected(request)
        try:
            body = await self._read(request.content)
        except TimeoutError:
            return web.Response(status=408)
        except (ConnectionError, ClientPayloadError):
            return web.Response(status=400)  # to nobody: the sender is gone before its body was complete
        if body is None:
            return self._too_large(company_id)
        return await self._store(company_id, body)

    async def _store(self, company_id: int, body: bytes) -> web.Response:
        self._metrics.observe(BODY_BYTES, len(body))
        try:
            await self._put(Envelope(company_id, self._clock(), body))
        except NotNow as problem:
            _log.warning("refused", code=problem.code, reason=problem.reason, company_id=company_id)
            return web.Response(status=503, headers={hdrs.RETRY_AFTER: "1"})
        return web.Response()

    def _derive_sender(self, company: str) -> Sender | None:
        company_id = parse_company(company)
        return None if company_id is None else Sender(company_id, header(self._secrets[0], company_id).encode())

    def _authentic(self, sender: Sender, authorization: str) -> bool:
        if not authorization.isascii():
            return False
        if hmac.compare_digest(authorization.encode(), sender.header):
            self._metrics.count(SECRET_USED, _CURRENT)
            return True
        index = verify(self._secrets, sender.company_id, authorization)
        if index is None:
            return False
        self._metrics.count(SECRET_USED, f"old-{index}" if index else _CURRENT)
        return True

    async def _read(self, content: StreamReader) -> bytes | None:
        """The whole body; None as soon as it exceeds the limit. Most bodies have arrived with their headers."""
        body = await content.readany() if content.total_bytes else b""
        if content.at_eof():
            return body if len(body) <= self._max_body_bytes else None
        chunks, size = [body], len(body)
        async with asyncio.timeout(self._body_within):
            while size <= self._max_body_bytes:
                chunk = await content.readany()
                if not chunk:
                    return b"".join(chunks)
                chunks.append(chunk)
                size += len(chunk)
        return None

    def _too_large(self, company_id: int) -> web.Response:
        self._metrics.count(REFUSED_LARGE)
        _log.error("refused_large", company_id=company_id, limit_bytes=self._max_body_bytes)
        return web.Response(status=413)


async def _continue_if_expected(request: web.BaseRequest) -> None:
    # Only now: a sender that asks first is spared the upload that would have been refused.
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
