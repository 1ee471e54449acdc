"""A wire that a test can hurt: it passes bytes on between a port of its own and a service, until told to misbehave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]

_CHUNK: Final = 64 * 1024


@dataclass(slots=True, eq=False)
class _Link:
    """A connection of a client and the one behind it. `left`: bytes it may still pass, both ways counted together."""

    writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    left: int | None
    severed: bool = False

    def abort(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    """`cuts` and `held` count what it did, so that a test can see that its fault happened."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._links: set[_Link] = set()
        self._most: int | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._serving: set[asyncio.Task[None]] = set()
        self.cuts = 0
        self.held = 0

    def cut_after(self, most: int) -> None:
        """Reset each connection, new ones too, once it has passed `most` bytes from now on."""
        self._most = most
        for link in self._links:
            link.left = most

    def stall(self) -> None:
        """Connections stay open, new ones are accepted, and nothing passes any more."""
        self._flowing.clear()

    def sever(self) -> None:
        """Connections that exist stay open and pass nothing for ever, as behind a firewall that forgot them."""
        for link in self._links:
            link.severed = True

    def heal(self) -> None:
        """New connections work. What a stall held back goes on its way late, if anybody still waits for it."""
        self._most = None
        for link in self._links:
            link.left = None
        self._flowing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._passed(reader, writer)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._serving.discard(task)

    async def close(self) -> None:
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _passed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await self._connect()
        link = _Link((writer, behind_writer), self._most)
        self._links.add(link)
        pumps = [
            asyncio.ensure_future(self._pump(reader, behind_writer, link)),
            asyncio.ensure_future(self._pump(behind_reader, writer, link)),
        ]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            self._links.discard(link)
            link.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: _Link) -> None:
        while data := await reader.read(_CHUNK):
            if link.severed:
                self.held += 1
                continue
            if not self._flowing.is_set():
                self.held += 1
                await self._flowing.wait()
            if link.left is not None:
                data = data[: link.left]
                link.left -= len(data)
            writer.write(data)
            await writer.drain()
            if link.left == 0:
                self.cuts += 1
                raise ConnectionResetError
        if link.severed:
            await asyncio.Event().wait()  # nor does the end of one side reach the other
        with suppress(OSError, RuntimeError):
            writer.write_eof()


@asynccontextmanager
async def proxy(connect: Connect, listen: int | Path) -> AsyncIterator[Proxy]:
    """Listens on a port of 127.0.0.1, or on a Unix socket; `connect` opens a connection to what is behind."""
    found = Proxy(connect)
    if isinstance(listen, int):
        server = await asyncio.start_server(found.serve, "127.0.0.1", listen)
    else:
        server = await asyncio.start_unix_server(found.serve, listen)
    try:
        yield found
    finally:
        server.close()
        await found.close()


def to_port(port: int) -> Connect:
    return lambda: asyncio.open_connection("127.0.0.1", port)


def to_socket(path: str) -> Connect:
    return lambda: asyncio.open_unix_connection(path)
