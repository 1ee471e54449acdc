"""What a reconcile has seen in Pipedrive, and what it missed there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from schema.ddl import quoted, table
from schema.entities import BY_NAME
from schema.entity import Entity, id_text
from schema.version import Version
from store.database import Connection

_ADD: Final = (
    "INSERT INTO pipemirror.seen (company_id, entity, entity_id) SELECT $1, $2, unnest($3::text[]) "
    "ON CONFLICT DO NOTHING"
)

_SEEN_SINCE: Final = (
    "DELETE FROM pipemirror.doubted USING pipemirror.seen "
    "WHERE doubted.company_id = $1 AND doubted.entity = $2 AND (seen.company_id, seen.entity, seen.entity_id) "
    "= (doubted.company_id, doubted.entity, doubted.entity_id)"
)
_DOUBTED: Final = (
    "SELECT entity_id FROM pipemirror.doubted WHERE company_id = $1 AND entity = $2 AND entity_id = ANY($3::text[])"
)
_DOUBT: Final = (
    "INSERT INTO pipemirror.doubted (company_id, entity, entity_id) SELECT $1, $2, unnest($3::text[]) "
    "ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class Missed:
    """A live record that was not seen: its key, the version of what says that it lives, and whose child it is."""

    id: Any
    version: Version
    parent: Any = None


async def forget(connection: Connection, company_id: int, entity: Entity) -> None:
    await connection.execute(
        "DELETE FROM pipemirror.seen WHERE company_id = $1 AND entity = $2", company_id, entity.name
    )


async def add(connection: Connection, company_id: int, entity: Entity, ids: Iterable[Any]) -> None:
    await connection.execute(_ADD, company_id, entity.name, [id_text(one) for one in ids])


async def missed(
    connection: Connection,
    company_id: int,
    slug: str,
    entity: Entity,
    *,
    before: datetime,
    window: tuple[datetime | None, datetime | None],
    most: int,
) -> list[Missed]:
    """Live records that were not seen and that nobody has written since `before`, by key; no children of dead parents.

    window  update_times from (inclusive) and until (exclusive) which records were looked at; None: no bound
    """
    names = entity.key_names
    key = ", ".join(f"mine.{quoted(name)}" for name in names)
    as_text = f"concat_ws(':', {', '.join(f'mine.{quoted(name)}::text' for name in names)})"
    updated = f"mine.{quoted(entity.updated)}" if entity.has(entity.updated) else "NULL::timestamptz"
    parent, alive = _parent(slug, entity)
    rows = await connection.fetch(
        f"SELECT {key}, _version, {parent} AS parent FROM {table(slug, entity)} AS mine "
        "WHERE _deleted_at IS NULL AND _synced_at < $3 "
        f"AND ($4::timestamptz IS NULL OR {updated} >= $4) AND ($5::timestamptz IS NULL OR {updated} < $5) {alive}"
        "AND NOT EXISTS (SELECT FROM pipemirror.seen WHERE seen.company_id = $1 AND seen.entity = $2 "
        f"AND seen.entity_id = {as_text}) ORDER BY {key} LIMIT $6",
        company_id, entity.name, before, *window, most,
    )  # fmt: skip
    return [Missed(entity.id_of(row), Version(row["_version"]), row["parent"]) for row in rows]


def _parent(slug: str, entity: Entity) -> tuple[str, str]:
    """The column that says whose child it is, and the condition that this one lives."""
    parents = [listing.parent for listing in entity.listings if listing.parent is not None]
    if not parents or parents[0].column is None or parents[0].entity == entity.name:
        return "NULL", ""
    other = BY_NAME[parents[0].entity]
    column, [(key, kind)] = f"mine.{quoted(parents[0].column)}", other.key
    # Some name it by text although it is a number.
    as_text = "" if _type_of(entity, parents[0].column) == kind.sql else "::text"
    own, others = f"{column}{as_text}", f"parent.{quoted(key)}{as_text}"
    return column, (
        f"AND EXISTS (SELECT FROM {table(slug, other)} AS parent WHERE {others} = {own} "
        "AND parent._deleted_at IS NULL) "
    )


def _type_of(entity: Entity, column: str) -> str:
    return dict(entity.key)[column].sql if column in entity.key_names else entity.column(column).type.sql


async def live(connection: Connection, slug: str, entity: Entity) -> int:
    found: int = await connection.fetchval(f"SELECT count(*) FROM {table(slug, entity)} WHERE _deleted_at IS NULL")
    return found


async def doubt(connection: Connection, company_id: int, entity: Entity, ids: Sequence[Any], *, more: bool) -> set[str]:
    """Those of `ids` that were missed before, too. They all are remembered as missed if there are `more` than may be.

    Who was seen since is doubted no more. What lies outside of what was looked at stays as it is.
    """
    await connection.execute(_SEEN_SINCE, company_id, entity.name)
    missed = [id_text(one) for one in ids]
    rows = await connection.fetch(_DOUBTED, company_id, entity.name, missed)
    if more:
        await connection.execute(_DOUBT, company_id, entity.name, missed)
    return {row["entity_id"] for row in rows}
