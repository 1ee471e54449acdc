"""Meeting the marks of purges among what a queue hands out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from schema.event import Event, Refusal
from schema.mark import Mark
from store import purges
from worker import parking

if TYPE_CHECKING:  # the applier hands marks over to here
    from worker.applier import Applier

Readable = Event | Refusal
Met = tuple[Mark, Refusal]
"""What has the form of a mark; as it is no event, it was read as a refusal."""


def part(readable: Sequence[Readable]) -> tuple[list[Met], Sequence[Readable]]:
    """The marks, and the rest."""
    met = [
        (mark, refusal)
        for refusal in readable
        if isinstance(refusal, Refusal) and (mark := Mark.of(refusal.envelope.body)) is not None
    ]
    if not met:
        return met, readable
    refusals = {id(refusal) for _, refusal in met}
    return met, [other for other in readable if id(other) not in refusals]


async def note(applier: "Applier", company_id: int, met: Sequence[Met]) -> None:
    """To be called when what was queued before is done with. A mark that nobody sent is a refusal like others."""
    known = await applier.persist(
        lambda connection: purges.pass_marks(connection, company_id, [mark for mark, _ in met])
    )
    strange = [parking.of_refusal(refusal) for mark, refusal in met if mark not in known]
    if strange:
        await applier.park(strange)
