"""Reading many envelopes without keeping the event loop from everything else."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from schema.envelope import Envelope
from schema.event import Readable

AT_ONCE: Final = 16
"""Events, about a millisecond: then it is looked whether the database has answered."""

Read = Callable[[Sequence[Envelope]], Sequence[Readable]]


async def in_portions(read: Read, envelopes: Sequence[Envelope]) -> list[Readable]:
    """What is in each, in their order."""
    readable: list[Readable] = []
    for start in range(0, len(envelopes), AT_ONCE):
        readable += read(envelopes[start : start + AT_ONCE])
        await asyncio.sleep(0)
    return readable
