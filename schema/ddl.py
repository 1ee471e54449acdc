"""DDL of a company's tables, generated from the entity catalogue. It only adds: no statement drops or rewrites."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache

from schema.entities import ENTITIES
from schema.entity import Entity
from schema.row import VERSION_COLUMNS

OPS = "pipemirror"
HISTORY = "field_changes"
MERGES = "merges"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def raw_schema(slug: str) -> str:
    """The schema of a company's tables; the one named by the slug alone is for views."""
    return f"{slug}_raw"


def table(slug: str, entity: Entity) -> str:
    """The qualified name of an entity's table."""
    return f"{quoted(raw_schema(slug))}.{quoted(entity.plural)}"


def columns(entity: Entity) -> dict[str, str]:
    """Column name -> its definition, in the order of the table."""
    own = {column.name: column.type.sql for column in entity.columns}
    custom = {"custom_fields": "jsonb"} if entity.custom_fields is not None else {}
    return {
        **{name: f"{kind.sql} NOT NULL" for name, kind in entity.key},
        **own,
        **custom,
        "_extra": "jsonb",
        **dict.fromkeys(VERSION_COLUMNS.values(), 'text COLLATE "C"'),
        "_versions": "jsonb",
        "_untyped": "text[]",
        "_revision": "integer",
        "_source": "text",
        "_synced_at": "timestamptz",
        "_deleted_at": "timestamptz",
        "_merged_into": entity.id_type.sql,
    }


def create_schemas(slug: str) -> Iterator[str]:
    yield f"CREATE SCHEMA IF NOT EXISTS {quoted(raw_schema(slug))}"
    yield f"CREATE SCHEMA IF NOT EXISTS {quoted(slug)}"


def create_tables(slug: str) -> Iterator[str]:
    """Every table of a company that does not exist yet."""
    for entity in ENTITIES:
        body = ", ".join(f"{quoted(name)} {definition}" for name, definition in columns(entity).items())
        key = ", ".join(map(quoted, entity.key_names))
        yield f"CREATE TABLE IF NOT EXISTS {table(slug, entity)} ({body}, PRIMARY KEY ({key}))"
    schema = quoted(raw_schema(slug))
    yield f"""CREATE TABLE IF NOT EXISTS {schema}.{HISTORY} (
        entity text NOT NULL, entity_id text NOT NULL, field text NOT NULL, old_value jsonb, new_value jsonb,
        changed_at timestamptz NOT NULL, user_id bigint, source text NOT NULL, version text COLLATE "C" NOT NULL)"""
    yield f"""CREATE TABLE IF NOT EXISTS {schema}.{MERGES} (
        entity text NOT NULL, loser_id text NOT NULL, winner_id text NOT NULL, merged_at timestamptz NOT NULL,
        PRIMARY KEY (entity, loser_id, winner_id))"""


def create_indexes(slug: str) -> Iterator[str]:
    """After the columns: an index of an upgrade may be on a column of the same upgrade."""
    for entity in ENTITIES:
        for column in _indexed(entity):
            name = quoted(f"{entity.plural}_{column.strip('_')}")
            yield f"CREATE INDEX IF NOT EXISTS {name} ON {table(slug, entity)} ({quoted(column)})"
        if entity.custom_fields is not None:
            # Few rows ever have one: the index costs nothing and finds what to normalise once a type is learnt.
            name = quoted(f"{entity.plural}_untyped")
            yield f"CREATE INDEX IF NOT EXISTS {name} ON {table(slug, entity)} (id) WHERE _untyped IS NOT NULL"
    history = f"{quoted(raw_schema(slug))}.{HISTORY}"
    yield f"CREATE INDEX IF NOT EXISTS {HISTORY}_record ON {history} (entity, entity_id, changed_at)"


def _indexed(entity: Entity) -> Iterator[str]:
    """What is asked for by time is: which row was written last, and which changed since. Not of lists read whole."""
    if entity.webhook:
        yield "_synced_at"
    if entity.has(entity.updated) and (entity.webhook or any(listing.delta for listing in entity.listings)):
        yield entity.updated


@cache
def fingerprint() -> str:
    """Changes whenever this release's catalogue makes other tables than an earlier one: then they are completed."""
    statements = (*create_tables(""), *create_indexes(""))
    return hashlib.blake2b("\n".join(statements).encode(), digest_size=8).hexdigest()


def add_columns(slug: str, entity: Entity, existing: Iterable[str]) -> Iterator[str]:
    """What the catalogue declares and an older table lacks. Adding a nullable column rewrites nothing."""
    present = set(existing)
    for name, definition in columns(entity).items():
        if name not in present:
            yield f"ALTER TABLE {table(slug, entity)} ADD COLUMN IF NOT EXISTS {quoted(name)} {definition}"
