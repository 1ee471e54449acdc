"""Replays from the journal: what was asked for, and how far it came. Asked for again, an unfinished one goes on."""

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from schema.errors import Problem
from store.database import Connection


class ReplayRemoved(Problem):
    """A replay was removed while it ran: its company was purged meanwhile."""

    code = "replay_removed"
    remedy = "Look at `companies list`. If the company is not purged, give the command again: it begins anew."


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which journaled events to apply again; None does not restrict.

    since, until  of the event's own time, of its receipt where it tells none; `until` is exclusive, None: now
    kept_only     only those that were journaled without being applied, as while a company is paused. Of these there are
                  no more to come, so that None as `until` is no bound: Pipedrive's clock may be ahead of ours
    """

    company_id: int | None = None
    entity: str | None = None
    entity_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    kept_only: bool = False

    @property
    def digest(self) -> str:
        return hashlib.blake2b(orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Position:
    """Where a replay goes on: behind the event `after` in one of a company's two walks, or with the next company."""

    company: int
    kept: bool
    after: list[str] | None = None
    done: bool = False


@dataclass(slots=True)
class Replay:
    """One replay under way.

    until     fixed when it began, so that it ends although events keep coming; `Wanted` says when it is no bound
    position  where it goes on; None at the start
    total     events that were there when it began; live ones may be met beside them
    applied, passed, refused  events so far: applied again, without a table, refused by the database
    left_out  company -> the state that forbade it
    """

    id: str
    until: datetime
    position: Position | None
    total: int
    applied: int
    passed: int
    refused: int
    left_out: dict[str, str]
    finished: bool = False

    @property
    def done(self) -> int:
        return self.applied + self.passed + self.refused


_COLUMNS = "id, until, position, total, applied, passed, refused, left_out, finished_at IS NOT NULL AS finished"


async def find(connection: Connection, wanted: Wanted) -> Replay | None:
    """The unfinished replay of this wish."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM pipemirror.replays WHERE id = $1 AND finished_at IS NULL", wanted.digest
    )
    return _replay(row) if row else None


async def lock(connection: Connection, wanted: Wanted) -> None:
    """Nobody goes on with the replay of this wish before the caller's transaction ends."""
    await connection.execute("SELECT FROM pipemirror.replays WHERE id = $1 FOR UPDATE", wanted.digest)


async def begin(connection: Connection, wanted: Wanted, until: datetime, total: int) -> Replay:
    """A new one; the finished one of the same wish is forgotten. Of two that begin at once, both get the first.

    One of kept events alone is walked from the first again, also by who is under way with it: what it applied is none
    of them any more, and what was kept since may stand before its place. Both in the caller's transaction.
    """
    row = await connection.fetchrow(
        f"""
        INSERT INTO pipemirror.replays AS known (id, wanted, until, total) VALUES ($1, $2, $3, $4)
        ON CONFLICT (id) DO UPDATE SET until = excluded.until, position = NULL, passed = 0, refused = 0,
            applied = CASE WHEN known.finished_at IS NULL THEN known.applied ELSE 0 END,
            total = CASE WHEN known.finished_at IS NULL THEN known.applied ELSE 0 END + excluded.total,
            left_out = '{{}}', begun_at = now(), moved_at = now(), finished_at = NULL
            WHERE known.finished_at IS NOT NULL OR $5
        RETURNING {_COLUMNS}
        """,
        wanted.digest, orjson.loads(orjson.dumps(asdict(wanted))), until, total, wanted.kept_only,
    )  # fmt: skip
    # Where it is another's and unfinished, it was locked all the same, and so can neither end nor be removed.
    found = _replay(row) if row else await find(connection, wanted)
    assert found is not None
    return found


async def take(connection: Connection, replay_id: str) -> Replay:
    """The replay as it stands, locked for the caller's transaction: whoever else works on it comes after.

    Raise ReplayRemoved.
    """
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM pipemirror.replays WHERE id = $1 FOR UPDATE", replay_id)
    if row is None:
        raise ReplayRemoved("the replay was removed while it ran, as the purge of its company does")
    return _replay(row)


async def save(connection: Connection, replay: Replay) -> None:
    """In the transaction that applied the events, so that what is counted is what was done."""
    await connection.execute(
        """
        UPDATE pipemirror.replays SET position = $2, applied = $3, passed = $4, refused = $5, left_out = $6,
               moved_at = now(), finished_at = CASE WHEN $7 THEN now() END WHERE id = $1
        """,
        replay.id, replay.position and asdict(replay.position), replay.applied, replay.passed, replay.refused,
        replay.left_out, replay.finished,
    )  # fmt: skip


async def unfinished(connection: Connection) -> list[dict[str, Any]]:
    """What was begun and not ended, oldest first."""
    rows = await connection.fetch(
        "SELECT id, wanted, applied + passed + refused AS done, total, begun_at, moved_at FROM pipemirror.replays "
        "WHERE finished_at IS NULL ORDER BY begun_at"
    )
    return [dict(row) for row in rows]


async def expire(connection: Connection, before: datetime) -> None:
    """Forget replays that nothing moved since; a cursor older than the journal means nothing."""
    await connection.execute("DELETE FROM pipemirror.replays WHERE moved_at < $1", before)


def _replay(row: asyncpg.Record) -> Replay:
    position = row["position"]
    return Replay(**{**row, "position": position and Position(**position)})
