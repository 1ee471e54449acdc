"""Rows of the REST API that could not be read, and why: kept until they can, or are gone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from schema.entity import Entity, id_text
from store.database import Connection

_NOTE: Final = (
    "INSERT INTO pipemirror.refused_rows AS known (company_id, entity, entity_id, code, reason) "
    "SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[]) ON CONFLICT (company_id, entity, entity_id) "
    "DO UPDATE SET code = excluded.code, reason = excluded.reason, last_at = excluded.last_at"
)

_FORGET: Final = (
    "DELETE FROM pipemirror.refused_rows WHERE company_id = $1 AND entity = $2 AND entity_id = ANY($3::text[])"
)

_TOLD: Final = (
    "SELECT entity, code, count(*) AS rows, min(first_at) AS since, "
    "(array_agg(entity_id ORDER BY last_at DESC, entity_id))[1:5] AS ids, "
    "(array_agg(reason ORDER BY last_at DESC, entity_id))[1] AS reason "
    "FROM pipemirror.refused_rows WHERE company_id = $1 GROUP BY entity, code ORDER BY entity, code"
)


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that cannot be read; `id` is the key of its record as text, empty where it names none."""

    id: str
    code: str
    reason: str


async def note(
    connection: Connection, company_id: int, entity: Entity, read: Iterable[Any], refused: Sequence[Refused]
) -> None:
    """What became of the rows of one answer, in the transaction that writes them. `read` are keys."""
    by_id = {one.id: one for one in refused}
    await connection.execute(_FORGET, company_id, entity.name, list(set(map(id_text, read)) - by_id.keys()))
    if by_id:
        ordered = [by_id[one] for one in sorted(by_id)]  # as everybody locks them
        columns = ([getattr(one, name) for one in ordered] for name in ("id", "code", "reason"))
        await connection.execute(_NOTE, company_id, entity.name, *columns)


async def ids(connection: Connection, company_id: int) -> dict[str, list[str]]:
    """Entity -> ids of records whose rows could not be read."""
    rows = await connection.fetch(
        "SELECT entity, array_agg(entity_id ORDER BY entity_id) AS ids FROM pipemirror.refused_rows "
        "WHERE company_id = $1 AND entity_id <> '' GROUP BY entity",
        company_id,
    )
    return {row["entity"]: row["ids"] for row in rows}


async def settle(
    connection: Connection, company_id: int, entity: Entity, before: datetime, *, ids: Sequence[str] | None = None
) -> None:
    """All of the entity, or these, were asked for since `before`: what was not refused again is read, or gone."""
    await connection.execute(
        "DELETE FROM pipemirror.refused_rows WHERE company_id = $1 AND entity = $2 AND last_at < $3 "
        "AND ($4::text[] IS NULL OR entity_id = ANY($4))",
        company_id, entity.name, before, ids,
    )  # fmt: skip


async def told(connection: Connection, company_id: int) -> list[dict[str, Any]]:
    """For `status`: how many of each entity and code, since when, a few of the ids, the last reason."""
    return [dict(row) for row in await connection.fetch(_TOLD, company_id)]
