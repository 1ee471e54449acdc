"""Groups: the events of a batch cut into transactions. While one group is being written, the next one is read.

Reading takes this process' time, writing mostly the database's: in turns each would wait for the other. And only two
groups are held as Python objects, four times the size of their bodies, however large the batch.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from schema.envelope import Envelope
from schema.event import Readable
from worker.applier import Applier

MOST_TOGETHER: Final = 1_000
"""Events of one transaction: more of them win nothing, and hold their rows' locks for longer."""

READ_AT_ONCE: Final = 16
"""Events, about a millisecond: then it is looked whether the database has answered."""


@dataclass(slots=True)
class Group:
    """Envelopes of one company, in the order they came; `readable` once they are read."""

    envelopes: Sequence[Envelope]
    readable: Sequence[Readable] | None = None


def of(envelopes: Iterable[Envelope]) -> list[Group]:
    """By company id, as every worker takes them."""
    by_company: dict[int, list[Envelope]] = {}
    for envelope in envelopes:
        by_company.setdefault(envelope.company_id, []).append(envelope)
    return [
        Group(found[start : start + MOST_TOGETHER])
        for _, found in sorted(by_company.items())
        for start in range(0, len(found), MOST_TOGETHER)
    ]


async def read(applier: Applier, group: Group) -> Sequence[Readable]:
    """What is in the group; read only once."""
    if group.readable is None:
        readable: list[Readable] = []
        for start in range(0, len(group.envelopes), READ_AT_ONCE):
            readable += applier.read(group.envelopes[start : start + READ_AT_ONCE])
            await asyncio.sleep(0)
        group.readable = readable
    return group.readable


async def apply(applier: Applier, groups: list[Group]) -> None:
    """Return once all are committed. Raise what the applier raises; what follows is not begun then.

    A read-ahead that fails says nothing: its group is read again when its turn comes, and fails there, in its own name.
    """
    while groups:
        group = groups.pop(0)  # and let go of when it is written
        readable = await read(applier, group)
        ahead = [asyncio.create_task(read(applier, following)) for following in groups[:1]]
        try:
            await applier.apply_read(readable)
        except BaseException:
            for reading in ahead:
                reading.cancel()
            raise
        finally:
            await asyncio.gather(*ahead, return_exceptions=True)
