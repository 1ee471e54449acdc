"""One POST: credentials, size, body as it is, durable, 200. The body is not read: that is the workers' business."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import structlog
from aiohttp import ClientPayloadError, hdrs, web

from receiver.acknowledgement import Acknowledgement, may_be_prepared
from receiver.budget import Budget
from runtime.backoff import Repeated
from runtime.http import unnamed
from runtime.measurements import ACK_SECONDS, BODY_BYTES, RECEIVED, REFUSED_LARGE, SECRET_USED
from runtime.metrics import Metrics
from schema.credentials import header, parse_company, verify
from schema.envelope import Envelope
from schema.errors import NotNow

_log = structlog.stdlib.get_logger(__name__)

_COMPANIES_REMEMBERED: Final = 4096
_READ_AT_ONCE: Final = 64 * 1024 * 1024
_CURRENT: Final = "current"
_DURABLE: Final = 200
_CREDENTIALS: Final = "pipemirror webhooks credentials"
_HEADERS: Final = {401: {hdrs.WWW_AUTHENTICATE: 'Basic realm="pipemirror"'}, 503: {hdrs.RETRY_AFTER: "1"}}

Clock = Callable[[], int]
"""Microseconds since 1970."""


def wall_clock() -> int:
    return time.time_ns() // 1000


class _TooLargeError(Exception):
    """The body exceeds the limit."""


class Sender(NamedTuple):
    """Who a path speaks of, and the header it should bring; remembered, since HMAC costs more than comparing."""

    company_id: int
    header: str


class Webhook:
    """Answers the POSTs of all companies.

    put         makes an envelope durable or raises NotNow
    secrets     master secrets, the one that signs first
    body_within seconds that a sender may take to send its body, from when there is room for it
    room_within seconds that it waits for that room, less than Pipedrive waits for an answer
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
        room_within: float = 5.0,
    ) -> None:
        self._put = put
        self._secrets = tuple(secrets)
        self._max_body_bytes = max_body_bytes
        self._metrics = metrics
        self._acknowledgement = Acknowledgement()
        self._signed_currently = metrics.counter(SECRET_USED, _CURRENT)
        self._acknowledged = metrics.counter(RECEIVED, str(_DURABLE))
        self._ack_seconds = metrics.distribution(ACK_SECONDS)
        self._body_bytes = metrics.distribution(BODY_BYTES)
        self._clock = clock
        self._body_within = body_within
        self._room_within = room_within
        self._reading = Budget(max(_READ_AT_ONCE, max_body_bytes))
        self._refusals = Repeated()
        self._sender = lru_cache(_COMPANIES_REMEMBERED)(self._derive_sender)

    async def answer(self, request: web.BaseRequest, company: str) -> web.StreamResponse:
        """Answer a POST to the address of `company`, the text that stands in the path."""
        started = time.perf_counter()
        sender = self._sender(company)
        if sender is None or not self._authentic(sender, request.headers.get(hdrs.AUTHORIZATION, "")):
            status = 401
            self._warn_of_credentials(sender)
        else:
            status = await self._receive(request, sender.company_id)
        if status != _DURABLE:
            self._metrics.count(RECEIVED, str(status))
            return unnamed(web.Response(status=status, headers=_HEADERS.get(status)))
        self._acknowledged.add()
        self._ack_seconds.observe(time.perf_counter() - started)
        return self._acknowledgement if may_be_prepared(request) else unnamed(web.Response())

    def _warn_of_credentials(self, sender: Sender | None) -> None:
        """Once a minute at most: anybody can be refused as often as they like."""
        if refused := self._refusals.due():
            company = sender.company_id if sender else None
            _log.warning("credentials_refused", last_company_id=company, refused=refused, compare_with=_CREDENTIALS)

    def _warn_of_refusals(self, problem: NotNow, company_id: int) -> None:
        """Once a minute at most: on a full disk above all, each request would be a line."""
        if refused := self._refusals.due(problem.code):
            _log.warning(
                "refused", code=problem.code, reason=problem.reason, last_company_id=company_id, refused=refused
            )

    async def _receive(self, request: web.BaseRequest, company_id: int) -> int:
        """Take the body and make it durable; the HTTP status that says how that went."""
        try:
            body = self._at_hand(request) or await self._read(request)
            self._body_bytes.observe(len(body))
            await self._put(Envelope(company_id, self._clock(), body))
        except NotNow as problem:
            self._warn_of_refusals(problem, company_id)
            return 503
        except _TooLargeError:
            self._metrics.count(REFUSED_LARGE)
            _log.error("refused_large", company_id=company_id, limit_bytes=self._max_body_bytes)
            return 413
        except TimeoutError:
            return 408
        except (ConnectionError, ClientPayloadError):
            return 400  # to nobody: the sender left before its body was complete
        return _DURABLE

    def _at_hand(self, request: web.BaseRequest) -> bytes:
        """The body if it has arrived with its headers, as most have: then nothing is to be waited for. Else empty."""
        content = request.content
        if not content.is_eof() or not 0 < content.total_bytes <= self._max_body_bytes:
            return b""
        return content.read_nowait()

    async def _read(self, request: web.BaseRequest) -> bytes:
        """The body as it arrives. Raise _TooLargeError as soon as it is, or says it will be; NoRoom; TimeoutError."""
        if (request.content_length or 0) > self._max_body_bytes:
            raise _TooLargeError
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            # Only now: a sender that asks first is spared the upload that would have been refused.
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        chunks, size = [], 0
        most = self._max_body_bytes if request.content_length is None else request.content_length
        # The time it waits for room is ours, not the sender's.
        async with self._reading.room(most, within=self._room_within), asyncio.timeout(self._body_within):
            while chunk := await request.content.readany():
                chunks.append(chunk)
                size += len(chunk)
                if size > self._max_body_bytes:
                    raise _TooLargeError
        return b"".join(chunks)

    def _derive_sender(self, company: str) -> Sender | None:
        company_id = parse_company(company)
        return None if company_id is None else Sender(company_id, header(self._secrets[0], company_id))

    def _authentic(self, sender: Sender, authorization: str) -> bool:
        if not authorization.isascii():
            return False
        if hmac.compare_digest(authorization, sender.header):
            self._signed_currently.add()
            return True
        index = verify(self._secrets, sender.company_id, authorization)
        if index is None:
            return False
        self._metrics.count(SECRET_USED, f"old-{index}" if index else _CURRENT)
        return True
