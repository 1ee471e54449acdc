"""The statements of the hot path that depend on the catalogue, as text. Values are always parameters."""

from functools import cache, lru_cache
from typing import Final

from schema.ddl import HISTORY, MERGES, columns, quoted, raw_schema, table
from schema.entity import Entity

_KEPT: Final = 8_192
"""Texts of each kind: as many as the connections of a worker keep prepared. To make one again is little beside
preparing it again."""

HISTORY_COLUMNS = (
    "entity", "entity_id", "field", "old_value", "new_value", "changed_at", "user_id", "source", "version",
)  # fmt: skip


@cache
def written(entity: Entity) -> tuple[str, ...]:
    """The columns of an upsert's parameters, in order; `id` is the first."""
    return tuple(name for name in columns(entity) if name != "_synced_at")


@lru_cache(_KEPT)
def lock_rows(slug: str, entity: Entity) -> str:
    """$1: ids. Locks in id order, as every writer does, so that no two writers wait for each other."""
    names = ", ".join(quoted(name) for name in written(entity))
    return (
        f"SELECT {names} FROM {table(slug, entity)} "
        f"WHERE id = ANY($1::{entity.id_type.sql}[]) ORDER BY id FOR NO KEY UPDATE"
    )


@lru_cache(_KEPT)
def upsert(slug: str, entity: Entity) -> str:
    """Parameters as `written`. Returns the id, or nothing if the row moved since it was read: then fold again."""
    names = written(entity)
    listed = ", ".join(quoted(name) for name in names)
    values = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    changed = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in names if name != "id")
    return (
        f"INSERT INTO {table(slug, entity)} AS mirrored ({listed}, _synced_at) VALUES ({values}, now()) "
        f"ON CONFLICT (id) DO UPDATE SET {changed}, _synced_at = excluded._synced_at "
        "WHERE mirrored._revision = excluded._revision - 1 RETURNING id"
    )


def read_history(slug: str) -> str:
    """$1 entity, $2 entity_ids, $3 and $4 of each, changed_at from and to.

    The rows of each, whose `number` counts from 1, and where they stand as `ctid`.
    """
    return (
        "SELECT number, told.* FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[]) WITH ORDINALITY "
        "AS asked (record_id, since, until, number) CROSS JOIN LATERAL ("
        f"SELECT ctid, {', '.join(HISTORY_COLUMNS)} FROM {_history(slug)} "
        # OFFSET 0: record by record, by the index, however small the table is believed to be.
        "WHERE entity = $1 AND entity_id = record_id AND changed_at BETWEEN since AND until OFFSET 0) AS told"
    )


def read_history_before(slug: str) -> str:
    """$1 entity, $2 entity_ids, $3 of each, changed_at before, $4 fields. The last change of each of them."""
    return (
        "SELECT number, told.* FROM unnest($2::text[], $3::timestamptz[]) WITH ORDINALITY "
        "AS asked (record_id, since, number) CROSS JOIN LATERAL ("
        f"SELECT DISTINCT ON (field) field, new_value FROM {_history(slug)} "
        "WHERE entity = $1 AND entity_id = record_id AND changed_at < since AND field = ANY($4::text[]) "
        "ORDER BY field, changed_at DESC, version DESC) AS told"
    )


def delete_history(slug: str) -> str:
    """$1 the `ctid`s, as they were read in this transaction under the lock of their records."""
    return f"DELETE FROM {_history(slug)} WHERE ctid = ANY($1::tid[])"


def _history(slug: str) -> str:
    return f"{quoted(raw_schema(slug))}.{HISTORY}"


def note_merges(slug: str) -> str:
    """$1 entities, $2 losers, $3 winners, $4 times. Two events tell of one merge; the earlier one dates it."""
    return (
        f"INSERT INTO {quoted(raw_schema(slug))}.{MERGES} AS known (entity, loser_id, winner_id, merged_at) "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) "
        "ON CONFLICT (entity, loser_id, winner_id) DO UPDATE SET merged_at = excluded.merged_at "
        "WHERE known.merged_at > excluded.merged_at"
    )


def lock_untyped(slug: str, entity: Entity) -> str:
    """$1 custom field hashes whose types are known, $2 how many rows at most."""
    names = ", ".join(quoted(name) for name in written(entity))
    return (
        f"SELECT {names} FROM {table(slug, entity)} WHERE _untyped IS NOT NULL AND _untyped && $1::text[] "
        "ORDER BY id LIMIT $2 FOR NO KEY UPDATE"
    )


def read_outgrown(slug: str, entity: Entity, *, further: bool) -> str:
    """$1 names of columns, $2 how many rows, $3 (if `further`) the id after which.

    The next ids, and of each whether its row holds in `_extra` what by now has a column. Two statements, for in one the
    planner would have to read from the first row on.
    """
    after = "WHERE id > $3 " if further else ""
    return f"SELECT id, _extra ?| $1::text[] AS outgrown FROM {table(slug, entity)} {after}ORDER BY id LIMIT $2"
