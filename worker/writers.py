"""Writers: what a batch holds is dealt out to appliers that work side by side, each on a connection of its own.

While Postgres answers one, this process works for another, or reads what comes next. What touches one record always
goes to one writer, in the order it came: no event is late for its record's history because of us.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from schema.event import Event, Readable
from worker import groups
from worker.applying import marks
from worker.applying.applier import Applier
from worker.groups import Group

WRITERS: Final = 4
"""One alone leaves this process idle for a fifth of its time, and for half of it where transactions are small."""

_FEW: Final = WRITERS
"""Of so many companies in a batch, or fewer, each is divided among the writers; of more, each has one writer."""

_Queue = asyncio.Queue[Sequence[Readable] | None]
"""What one writer is to do next: one part at most, so that little is held as objects."""


class Writers:
    """Applies the groups of one batch at a time."""

    def __init__(self, appliers: Sequence[Applier]) -> None:
        """They must share what they know (see worker.applying.applier.Shared)."""
        self.appliers = appliers
        self._division = _Division(len(appliers))
        self.alone = appliers[0]
        """For what is to be applied by itself while nothing else is under way."""

    @property
    def holding(self) -> bool:
        """Whether one of them cannot go on just now; the others soon have to wait for it."""
        return any(applier.holding for applier in self.appliers)

    async def read(self, group: Group) -> Sequence[Readable]:
        """What is in the group; read only once."""
        return await groups.read(self.alone.read, group)

    async def apply(self, waiting: list[Group]) -> None:
        """Return once all are committed. Raise what the first applier raises, the others being stopped."""
        queues = [_Queue(maxsize=1) for _ in self.appliers]
        met: list[Readable] = []
        tasks = [asyncio.create_task(self._deal(waiting, queues, met))]
        tasks += [asyncio.create_task(_write(*each)) for each in zip(self.appliers, queues, strict=True)]
        try:
            await asyncio.gather(*tasks)
        finally:
            await _end(tasks)
        if met:
            # A mark says that what was queued before it is done with, whoever did it.
            await self.alone.apply_read(met)

    async def _deal(self, waiting: list[Group], queues: Sequence[_Queue], met: list[Readable]) -> None:
        few = len({group.company_id for group in waiting}) <= _FEW
        while waiting:
            group = waiting.pop(0)  # and let go of when it is written
            found, readable = marks.part(await self.read(group))
            met += [refusal for _, refusal in found]
            parts = self._division.of(readable) if few else [(group.company_id % len(queues), readable)]
            for number, part in parts:
                await queues[number].put(part)
        for queue in queues:
            await queue.put(None)


class _Division:
    """Which writer an entity's events go to: settled when it is first met, for the one that had the fewest so far."""

    def __init__(self, writers: int) -> None:
        self._dealt = [0] * writers
        self._settled: dict[str, int] = {}

    def of(self, readable: Iterable[Readable]) -> Iterator[tuple[int, Sequence[Readable]]]:
        by_entity: dict[str, list[Readable]] = {}
        for found in readable:
            by_entity.setdefault(found.entity if isinstance(found, Event) else "", []).append(found)
        parts: list[list[Readable]] = [[] for _ in self._dealt]
        for entity, events in sorted(by_entity.items(), key=lambda item: -len(item[1])):
            number = self._settled.setdefault(entity, self._dealt.index(min(self._dealt)))
            self._dealt[number] += len(events)
            parts[number] += events
        return ((number, part) for number, part in enumerate(parts) if part)


async def _write(applier: Applier, queue: _Queue) -> None:
    while (part := await queue.get()) is not None:
        await applier.apply_read(part)


async def _end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        if not task.cancelling():  # asked twice, one would not even roll back
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
