"""The statements of the hot path that depend on the catalogue, as text. Values are always parameters."""

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any, Final

from schema.change import RecordId
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
    """The columns of an upsert's parameters, in order; the key comes first."""
    return tuple(name for name in columns(entity) if name != "_synced_at")


@cache
def copied(entity: Entity) -> tuple[str, ...]:
    """The columns of a row that is copied in: those of an upsert, and when that was."""
    return (*written(entity), "_synced_at")


def ids(entity: Entity, record_ids: Iterable[RecordId]) -> tuple[list[Any], ...]:
    """The parameters that stand for several records: one array for each part of the key."""
    if len(entity.key) == 1:
        return (list(record_ids),)
    return tuple(map(list, zip(*record_ids, strict=True))) or tuple([] for _ in entity.key)


def _one_of(entity: Entity) -> str:
    """The parameters are `ids`, from $1 on."""
    arrays = [f"${number}::{kind.sql}[]" for number, (_, kind) in enumerate(entity.key, start=1)]
    if len(arrays) == 1:
        return f"{_key(entity)} = ANY({arrays[0]})"
    return f"({_key(entity)}) IN (SELECT * FROM unnest({', '.join(arrays)}))"


def _key(entity: Entity) -> str:
    return ", ".join(map(quoted, entity.key_names))


@lru_cache(_KEPT)
def lock_rows(slug: str, entity: Entity) -> str:
    """Parameters: `ids`. Locks in the key's order, as every writer does: no two writers wait for each other."""
    names = ", ".join(quoted(name) for name in written(entity))
    return (
        f"SELECT {names} FROM {table(slug, entity)} WHERE {_one_of(entity)} ORDER BY {_key(entity)} FOR NO KEY UPDATE"
    )


@lru_cache(_KEPT)
def rows(slug: str, entity: Entity) -> str:
    """Parameters: `ids`. Their rows as they stand, without a lock."""
    names = ", ".join(quoted(name) for name in written(entity))
    return f"SELECT {names} FROM {table(slug, entity)} WHERE {_one_of(entity)}"


@lru_cache(_KEPT)
def known(slug: str, entity: Entity) -> str:
    """Parameters: `ids`. Those of them that have a row."""
    return f"SELECT {_key(entity)} FROM {table(slug, entity)} WHERE {_one_of(entity)}"


@lru_cache(_KEPT)
def upsert(slug: str, entity: Entity) -> str:
    """Parameters as `written`. Returns the key, or nothing if the row moved since it was read: then fold again."""
    names = written(entity)
    listed = ", ".join(quoted(name) for name in names)
    values = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    changed = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in names if name not in entity.key_names)
    return (
        f"INSERT INTO {table(slug, entity)} AS mirrored ({listed}, _synced_at) VALUES ({values}, now()) "
        f"ON CONFLICT ({_key(entity)}) DO UPDATE SET {changed}, _synced_at = excluded._synced_at "
        f"WHERE mirrored._revision = excluded._revision - 1 "
        f"RETURNING {_key(entity)}"
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
    """$1 entity, $2 entity_ids, $3 of each, changed_at before, $4 fields. Of each of them the last change by an event,
    by a read, and by one that found nothing: which of these is the newest, `changed_at` does not tell.
    """
    kind = "version LIKE 'r%', version LIKE '%-'"
    return (
        "SELECT number, told.* FROM unnest($2::text[], $3::timestamptz[]) WITH ORDINALITY "
        "AS asked (record_id, since, number) CROSS JOIN LATERAL ("
        f"SELECT DISTINCT ON (field, {kind}) field, version, new_value FROM {_history(slug)} "
        "WHERE entity = $1 AND entity_id = record_id AND changed_at < since AND field = ANY($4::text[]) "
        f"ORDER BY field, {kind}, changed_at DESC, version DESC) AS told"
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
        f"ORDER BY {_key(entity)} LIMIT $2 FOR NO KEY UPDATE"
    )


def read_outgrown(slug: str, entity: Entity, *, further: bool) -> str:
    """$1 names of columns, $2 how many rows, $3 and further ones (if `further`) the key after which.

    The next keys, and of each whether its row holds in `_extra` what by now has a column. Two statements, for in one
    the planner would have to read from the first row on.
    """
    key = _key(entity)
    last = ", ".join(f"${number}::{kind.sql}" for number, (_, kind) in enumerate(entity.key, start=3))
    after = f"WHERE ({key}) > ({last}) " if further else ""
    return f"SELECT {key}, _extra ?| $1::text[] AS outgrown FROM {table(slug, entity)} {after}ORDER BY {key} LIMIT $2"
