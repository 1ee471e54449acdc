"""How many bytes of bodies are read at once, over all requests."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from schema.errors import NoRoom


class Budget:
    """Who finds no room waits for it, first come, first served; what waits is not read from its socket.

    Small bodies, which arrive together with their headers, need none: aiohttp has read them already.
    """

    def __init__(self, most: int) -> None:
        """`most` in bytes; a body that is larger has to be alone."""
        self._most = most
        self._free = most
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def room(self, size: int, *, within: float | None = None) -> AsyncIterator[None]:
        """Room for `size` bytes as long as the context lasts. Raise NoRoom if there is none `within` seconds."""
        size = min(size, self._most)
        try:
            async with asyncio.timeout(within):
                await self._take(size)
        except TimeoutError:
            raise NoRoom(f"{self._most - self._free} bytes of bodies are being read already") from None
        try:
            yield
        finally:
            self._give(size)

    async def _take(self, size: int) -> None:
        if not self._waiting and size <= self._free:
            self._free -= size
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was its turn just when it gave up
                self._give(size)
            self._serve()
            raise

    def _give(self, size: int) -> None:
        self._free += size
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if turn.cancelled():
                self._waiting.popleft()
            elif size <= self._free:
                self._waiting.popleft()
                self._free -= size
                turn.set_result(None)
            else:
                return
