"""A queue for tests of the worker: no transport, no waiting."""

import asyncio
from collections.abc import Sequence

from runtime.transport import Message
from schema.envelope import Envelope, pack


class Scripted:
    """A queue that hands out what it is given and remembers what was acknowledged."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[Message] = asyncio.Queue()
        self.acked: list[Message] = []

    def put(self, *envelopes: Envelope, redeliveries: int = 0, given_up: bool = False) -> Message:
        return self.put_raw(pack(envelopes), redeliveries, given_up=given_up)

    def put_raw(self, body: bytes, redeliveries: int = 0, *, given_up: bool = False) -> Message:
        message = Message(body, redeliveries, "lane", given_up, tag=None)
        self.waiting.put_nowait(message)
        return message

    async def receive(self) -> Message:
        return await self.waiting.get()

    def receive_nowait(self) -> Message | None:
        return None if self.waiting.empty() else self.waiting.get_nowait()

    async def ack(self, messages: Sequence[Message]) -> None:
        self.acked += messages

    async def backlog(self) -> dict[str, int]:
        return {"lane": self.waiting.qsize()}

    async def close(self) -> None:
        """Nothing to give back."""
