"""Telling the marks of purges from the events among which a queue hands them out."""

from collections.abc import Sequence

from schema.event import Readable, Refusal
from schema.mark import Mark

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
