"""Writers: what a batch holds is dealt out to appliers that work side by side, each on a connection of its own.

While Postgres answers one, this process works for another, or reads what comes next. What touches one record always
goes to one writer, in the order it came: no event is late for its record's history because of us.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Final

from schema.event import Readable
from worker import groups
from worker.applying import marks
from worker.applying.applier import Applier
from worker.division import Division, Homes
from worker.groups import Group

WRITERS: Final = 4
"""One alone leaves this process idle for a fifth of its time, and for half of it where transactions are small."""

_FEW: Final = WRITERS
"""Of so many companies in a batch, or fewer, each is divided among the writers; of more, each has one writer."""

_DEALT: Final = 2 * WRITERS
"""Parts of divided groups that are held as objects at most. A writer that is slow may let so many pile up before the
others have to wait for it."""

_Work = Coroutine[Any, Any, Any]

_Queue = asyncio.Queue[Sequence[Readable] | None]
"""What one writer is to do next; None at the end."""


class Writers:
    """Applies the groups of one batch at a time."""

    def __init__(self, appliers: Sequence[Applier]) -> None:
        """They must share what they know (see worker.applying.applier.Shared)."""
        self.appliers = appliers
        self._homes = Homes(len(appliers))
        self.alone = appliers[0]
        """For what is to be applied by itself while nothing else is under way."""

    @property
    def stalled(self) -> bool:
        """Whether one of them cannot go on just now; the others soon have to wait for it."""
        return any(applier.stalled for applier in self.appliers)

    async def read(self, group: Group) -> Sequence[Readable]:
        """What is in the group; read only once."""
        return await groups.read(self.alone.read, group)

    async def apply(self, waiting: list[Group]) -> None:
        """Return once all are committed. Raise what the first applier raises, the others being stopped.

        `waiting` is emptied: each group is let go of when it is written.
        """
        met: list[Readable] = []
        few = len({group.company_id for group in waiting}) <= _FEW
        await _all(self._divide(waiting, met) if few else self._share(waiting, met))
        if met:
            # A mark says that what was queued before it is done with, whoever did it.
            await self.alone.apply_read(met)

    def _share(self, waiting: list[Group], met: list[Readable]) -> list[_Work]:
        """Companies are shared out as wholes. Nobody waits for anybody."""
        shares: list[deque[Group]] = [deque() for _ in self.appliers]
        for group in waiting:
            shares[group.company_id % len(shares)].append(group)
        waiting.clear()
        return [self._work_off(*each, met) for each in zip(self.appliers, shares, strict=True)]

    async def _work_off(self, applier: Applier, share: deque[Group], met: list[Readable]) -> None:
        """While one group is written, the next one is read."""
        if not share:
            return
        part = await self._read(share.popleft(), met)
        while share:
            part, _ = await _all([self._read(share.popleft(), met), applier.apply_read(part)])
        await applier.apply_read(part)

    def _divide(self, waiting: list[Group], met: list[Readable]) -> list[_Work]:
        """Each group is divided by what its events are about, which shows when it is read: one task reads for all."""
        queues = [_Queue() for _ in self.appliers]
        room = asyncio.Semaphore(_DEALT)
        writing = [_write(*each, room) for each in zip(self.appliers, queues, strict=True)]
        return [self._deal(waiting, queues, room, met), *writing]

    async def _deal(
        self, waiting: list[Group], queues: Sequence[_Queue], room: asyncio.Semaphore, met: list[Readable]
    ) -> None:
        division = Division(self._homes)
        while waiting:
            for number, part in division.of(await self._read(waiting.pop(0), met)):
                await room.acquire()
                queues[number].put_nowait(part)
        for queue in queues:
            queue.put_nowait(None)

    async def _read(self, group: Group, met: list[Readable]) -> Sequence[Readable]:
        """What is in the group but marks, which are added to `met`."""
        found, readable = marks.part(await self.read(group))
        met += [refusal for _, refusal in found]
        return readable


async def _write(applier: Applier, queue: _Queue, room: asyncio.Semaphore) -> None:
    while (part := await queue.get()) is not None:
        await applier.apply_read(part)
        del part  # before it waits for the next one
        room.release()


async def _all(work: Iterable[_Work]) -> list[Any]:
    """What comes of each, done side by side. The first failure ends all."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await _end(tasks)


async def _end(tasks: Sequence["asyncio.Task[Any]"]) -> None:
    for task in tasks:
        if not task.cancelling():  # asked twice, one would not even roll back
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
