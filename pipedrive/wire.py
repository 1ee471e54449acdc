"""One exchange over HTTP: a request goes out with a token, an answer of bounded size and time comes back."""

import time
from typing import Final

import aiohttp
import orjson
from yarl import URL

from pipedrive.answer import Answer
from pipedrive.clock import began
from pipedrive.errors import PipedriveUnavailable, UnexpectedAnswer
from pipedrive.request import Request
from pipedrive.token import Token
from runtime.release import RELEASE

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of a body, decompressed. A page of 500 deals with a hundred custom fields each has three million."""

TIMEOUT: Final = aiohttp.ClientTimeout(total=120, sock_connect=10, sock_read=40)
CONNECTIONS: Final = 32


class Wire:
    """Connections to one address. A redirect is an answer like others: the token goes nowhere else."""

    def __init__(
        self,
        base: str,
        *,
        connections: int = CONNECTIONS,
        timeout: aiohttp.ClientTimeout = TIMEOUT,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._base = base.rstrip("/")
        self._connections = connections
        self._timeout = timeout
        self._most_bytes = most_bytes
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request, token: Token) -> Answer:
        """Raise PipedriveUnavailable if no whole answer came, UnexpectedAnswer if it is too large."""
        sent, start = time.time_ns() // 1000, time.monotonic_ns()
        try:
            async with self._asked(request, token) as response:
                elapsed = (time.monotonic_ns() - start) // 1000
                body = await self._body(request, response)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # Only the kind: its text repeats the address with all parameters.
            raise PipedriveUnavailable(f"{request.name}: no answer of {self._base}: {type(error).__name__}") from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, body, began(headers.get("date"), sent, elapsed))

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _asked(self, request: Request, token: Token) -> "aiohttp.client._RequestContextManager":
        name, value = token.header
        headers = {name: value} | ({} if request.json is None else {"content-type": "application/json"})
        return self._opened().request(
            request.method,
            URL(self._base + request.path, encoded=True).with_query(dict(request.params)),
            data=None if request.json is None else orjson.dumps(request.json),
            headers=headers,
            allow_redirects=False,
        )

    def _opened(self) -> aiohttp.ClientSession:
        """Made with the first request, as it belongs to the loop that runs then."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                headers={"accept": "application/json", "user-agent": f"pipemirror/{RELEASE}"},
            )
        return self._session

    async def _body(self, request: Request, response: aiohttp.ClientResponse) -> bytes:
        parts, size = [], 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > self._most_bytes:
                raise UnexpectedAnswer(f"{request.name}: more than {self._most_bytes} bytes")
        return b"".join(parts)
