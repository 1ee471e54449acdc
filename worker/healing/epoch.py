"""Noticing that the database was set back: restored from a backup, or replaced by a copy of former days.

Each worker counts in the database, and remembers in a file of its own how far it had come. A database that has come
less far than that has forgotten what was written since; no event will tell it again.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import orjson
import structlog

from store import companies, gaps, jobs, upkeep
from store.companies import PURGED
from store.database import Connection, Pool, borrowed, describe
from worker.healing.jobs import RECONCILE_WHOLE

_log = structlog.stdlib.get_logger(__name__)

EVERY: Final = 30.0

_BEAT: Final = "UPDATE pipemirror.epoch SET beats = beats + 1 RETURNING id::text, beats"


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a database had come."""

    id: str
    beats: int

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """What is no such file remembers nothing."""
        with suppress(OSError, ValueError, TypeError):
            return cls(**orjson.loads(path.read_bytes()))
        return None

    def keep(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        beside.write_bytes(orjson.dumps(self))
        beside.replace(path)


class Epoch:
    """Counts and compares until it is cancelled."""

    def __init__(self, pool: Pool, memory: Path) -> None:
        self._pool = pool
        self._memory = memory

    async def run(self, every: float = EVERY) -> None:
        while True:
            try:
                await self.once()
            except Exception as error:  # noqa: BLE001 - the next round must come
                _log.warning("epoch_failed", reason=describe(error))
            await asyncio.sleep(every)

    async def once(self) -> bool:
        """Whether the database was set back since somebody with our memory looked last. Then all is wanted anew."""
        before = await asyncio.to_thread(Reached.read, self._memory)
        async with borrowed(self._pool) as connection, connection.transaction():
            row = await connection.fetchrow(_BEAT)
            assert row is not None  # the migration made it
            reached = Reached(row["id"], row["beats"])
            set_back = before is not None and before.id == reached.id and before.beats >= reached.beats
            if set_back:
                await _want_all(connection)
        await asyncio.to_thread(reached.keep, self._memory)
        if set_back:
            _log.warning("database_set_back", beats=reached.beats)
        return set_back


async def _want_all(connection: Connection) -> None:
    """A sweep from the watermarks as they are now, and a comparison of everything."""
    now = await upkeep.now(connection)
    for company in await companies.all_companies(connection):
        if company.state != PURGED:
            await gaps.note(connection, company.id, now, "the database was set back")
            await jobs.want(connection, company.id, RECONCILE_WHOLE.name)
