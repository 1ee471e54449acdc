"""The answer to nearly every request, made once instead of each time.

An ordinary response is an object, a case-insensitive dictionary of headers and their text, all anew for every request:
a sixth of what a request costs. What says "durable" is the same bytes for a second long, until its Date changes.
"""

import time
from email.utils import formatdate

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter


def may_be_prepared(request: web.BaseRequest) -> bool:
    """Whether the sender speaks HTTP/1.1 and lets the connection live, as all but a few do."""
    return request.keep_alive and request.version == HttpVersion11


class Acknowledgement(web.StreamResponse):
    """200 without a body, shared by all requests for which `may_be_prepared`.

    Once forced to close it closes every connection it answers: whoever forces one is about to stop.
    """

    def __init__(self) -> None:
        super().__init__(status=200)
        self._keep_alive = True
        self._made = (0, True)
        self._bytes = b""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        writer = request.writer
        await writer.write(self._head())
        await writer.drain()
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing follows."""

    def _head(self) -> bytes:
        made = (int(time.time()), self._keep_alive is True)
        if made != self._made:
            second, stays = made
            lines = ["HTTP/1.1 200 OK", "Content-Length: 0", f"Date: {formatdate(second, usegmt=True)}"]
            lines += [] if stays else ["Connection: close"]
            self._made, self._bytes = made, "\r\n".join((*lines, "", "")).encode()
        return self._bytes
