"""Groups: the events of a batch cut into portions of one company that are read, and written, together.

Only a few of them are held as Python objects, four times the size of their bodies, however large the batch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from schema.envelope import Envelope
from schema.event import Readable
from worker.applying.reading import Read, in_portions

MOST_TOGETHER: Final = 500
"""Events of one portion: more of them in a transaction win nothing, and hold their rows' locks for longer."""


@dataclass(slots=True)
class Group:
    """Envelopes of one company, in the order they came; `readable` once they are read."""

    company_id: int
    envelopes: Sequence[Envelope]
    readable: Sequence[Readable] | None = None


def of(envelopes: Iterable[Envelope]) -> list[Group]:
    """By company id, as every worker takes them."""
    by_company: dict[int, list[Envelope]] = {}
    for envelope in envelopes:
        by_company.setdefault(envelope.company_id, []).append(envelope)
    return [
        Group(company_id, found[start : start + MOST_TOGETHER])
        for company_id, found in sorted(by_company.items())
        for start in range(0, len(found), MOST_TOGETHER)
    ]


async def read(read_now: Read, group: Group) -> Sequence[Readable]:
    """What is in the group; read only once."""
    if group.readable is None:
        group.readable = await in_portions(read_now, group.envelopes)
    return group.readable
