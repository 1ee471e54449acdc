"""How far each list of the REST API was read: walks that can go on where they stood, and watermarks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from schema.ddl import quoted, table
from schema.entity import Entity
from store.database import Connection

BACKFILL: Final = "backfill"
SWEEP: Final = "sweep"
RECONCILE: Final = "reconcile"

RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"


_KNOWN_WHOLE: Final = (
    "INSERT INTO pipemirror.watermarks AS known (company_id, entity, list, watermark, whole_at) "
    "VALUES ($1, $2, $3, $4, $4) ON CONFLICT (company_id, entity, list) DO UPDATE SET "
    "watermark = greatest(known.watermark, excluded.watermark), whole_at = excluded.whole_at"
)
_KNOWN_FURTHER: Final = (
    "UPDATE pipemirror.watermarks SET watermark = greatest(watermark, $4) "
    "WHERE company_id = $1 AND entity = $2 AND list = $3 AND watermark >= $5"
)


@dataclass(slots=True)
class Walk:
    """A walk through one list, as it stands; the columns of `pipemirror.walks` say what each is."""

    company_id: int
    kind: str
    entity: str
    list: str
    state: str = RUNNING
    since: datetime | None = None
    until: datetime | None = None
    parent: str | None = None
    parents: str = ""
    position: str = ""
    reached: int | None = None
    began_at: datetime | None = None
    newest: datetime | None = None
    rows: int = 0
    made: int = 0
    refused: int = 0
    calls: int = 0
    tokens: int = 0
    code: str | None = None
    reason: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


_KEY: Final = ("company_id", "kind", "entity", "list")
_TOLD: Final = (
    "state", "since", "until", "parent", "parents", "position", "reached", "began_at", "newest",
    "rows", "made", "refused", "calls", "tokens", "code", "reason",
)  # fmt: skip


async def find(connection: Connection, company_id: int, kind: str, entity: str, listing: str) -> Walk | None:
    row = await connection.fetchrow(
        "SELECT * FROM pipemirror.walks WHERE company_id = $1 AND kind = $2 AND entity = $3 AND list = $4",
        company_id, kind, entity, listing,
    )  # fmt: skip
    return None if row is None else Walk(**row)


async def of_company(connection: Connection, company_id: int) -> list[Walk]:
    rows = await connection.fetch(
        "SELECT * FROM pipemirror.walks WHERE company_id = $1 ORDER BY kind, entity, list", company_id
    )
    return [Walk(**row) for row in rows]


async def started_at(connection: Connection, company_id: int, kind: str) -> dict[str, datetime]:
    """Entity -> when a walk of this kind through one of its lists was begun last."""
    rows = await connection.fetch(
        "SELECT entity, max(started_at) AS at FROM pipemirror.walks WHERE company_id = $1 AND kind = $2 "
        "GROUP BY entity",
        company_id,
        kind,
    )
    return {row["entity"]: row["at"] for row in rows}


async def begin(connection: Connection, walk: Walk) -> None:
    """A walk from the beginning, in the place of the one before."""
    await _write(connection, walk, "started_at = now(), finished_at = NULL")


async def save(connection: Connection, walk: Walk) -> None:
    """How it stands: in the transaction that writes the rows it has read."""
    await _write(connection, walk, "finished_at = CASE WHEN excluded.state = 'running' THEN NULL ELSE now() END")


async def _write(connection: Connection, walk: Walk, times: str) -> None:
    names = (*_KEY, *_TOLD)
    values = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    told = ", ".join(f"{name} = excluded.{name}" for name in _TOLD)
    await connection.execute(
        f"INSERT INTO pipemirror.walks ({', '.join(names)}) VALUES ({values}) "
        f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET {told}, {times}",
        *(getattr(walk, name) for name in names),
    )


async def watermark(connection: Connection, company_id: int, entity: str, listing: str) -> datetime | None:
    found: datetime | None = await connection.fetchval(
        "SELECT watermark FROM pipemirror.watermarks WHERE company_id = $1 AND entity = $2 AND list = $3",
        company_id, entity, listing,
    )  # fmt: skip
    return found


async def whole_at(connection: Connection, company_id: int, entity: str, listing: str) -> datetime | None:
    """When all of the list was read last, on Pipedrive's clock."""
    found: datetime | None = await connection.fetchval(
        "SELECT whole_at FROM pipemirror.watermarks WHERE company_id = $1 AND entity = $2 AND list = $3",
        company_id, entity, listing,
    )  # fmt: skip
    return found


async def mark(connection: Connection, walk: Walk, watermark: datetime) -> None:
    """A walk ended: all that changed before `watermark` is known. It never goes back.

    Who read what changed since a moment says nothing of what lies before: it moves a watermark that had come so far.
    """
    is_whole = walk.since is None
    await connection.execute(
        _KNOWN_WHOLE if is_whole else _KNOWN_FURTHER,
        walk.company_id, walk.entity, walk.list, watermark, *(() if is_whole else (walk.since,)),
    )  # fmt: skip


async def parents(
    connection: Connection, slug: str, entity: Entity, *, counter: str | None, after: str | None, most: int
) -> Sequence[Any]:
    """Ids, in order, of the live records that may have children.

    Those whose `counter` says so, and those that REST was never asked for, of which nobody knows.
    """
    [(key, kind)] = entity.key
    rows = await connection.fetch(
        f"SELECT {quoted(key)} FROM {table(slug, entity)} WHERE {_may_have_children(counter)} "
        f"AND ($1::{kind.sql} IS NULL OR {quoted(key)} > $1) "
        f"ORDER BY {quoted(key)} LIMIT $2",
        kind.of(after), most,
    )  # fmt: skip
    return [row[key] for row in rows]


async def number_of_parents(connection: Connection, slug: str, entity: Entity, *, counter: str | None) -> int:
    """How many `parents` there are."""
    found: int = await connection.fetchval(
        f"SELECT count(*) FROM {table(slug, entity)} WHERE {_may_have_children(counter)}"
    )
    return found


def _may_have_children(counter: str | None) -> str:
    if counter is None:
        return "_deleted_at IS NULL"
    return f"_deleted_at IS NULL AND ({quoted(counter)} > 0 OR ({quoted(counter)} IS NULL AND _rest_version IS NULL))"
