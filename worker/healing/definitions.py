"""Custom fields as their definitions tell them: types, and the options of those that have some."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from schema.columns import TIMESTAMP
from schema.custom_fields import TYPES, is_custom
from schema.ddl import quoted, table
from schema.entities import ENTITIES
from schema.entity import Entity
from schema.rest import Row
from store import fields, walks
from store.companies import Company
from store.database import Connection

_OF_OPTIONS: Final = frozenset({"enum", "set"})


async def learn(connection: Connection, company: Company, entity: Entity, rows: Iterable[Row]) -> None:
    """From rows of a list of definitions, in the transaction that writes them."""
    assert entity.definitions is not None
    [(key, _)] = entity.key
    told = {str(row.get(key)): str(row.get("field_type")) for row in rows}
    learnt = {(entity.definitions, name, kind) for name, kind in told.items() if is_custom(name) and kind in TYPES}
    if learnt:
        await fields.learn(connection, company.id, learnt)
        company.learn(learnt)


async def lack_options(connection: Connection, company: Company, entity: Entity, rows: Iterable[Row]) -> bool:
    """Whether rows as REST v2 tells them hold an option that was made since the definitions were read.

    No definition has it then. Those that were deleted stay in the records: what was updated before is none of them.
    """
    types = company.types_of(entity.custom_fields or "")
    read_at = await _read_at(connection, company, entity.custom_fields or "")
    told: dict[str, set[str]] = {}
    for row in rows:
        if read_at is not None and _updated_before(row.get(entity.updated), read_at):
            continue
        fields_told = row.get("custom_fields")
        for key, value in fields_told.items() if isinstance(fields_told, Mapping) else ():
            if types.get(key) in _OF_OPTIONS and value is not None:
                told.setdefault(key, set()).update(map(str, value if isinstance(value, list) else [value]))
    if not told:
        return False
    known = await _options(connection, company, entity.custom_fields or "", list(told))
    return any(ids - known.get(key, set()) for key, ids in told.items())


async def _read_at(connection: Connection, company: Company, of: str) -> datetime | None:
    """Since when these definitions are known, on Pipedrive's clock; None: nobody has read them so far."""
    lists = [(one.name, listing.label) for one in ENTITIES if one.definitions == of for listing in one.listings]
    found = [await walks.whole_at(connection, company.id, *one) for one in lists]
    return min((at for at in found if at is not None), default=None)


def _updated_before(told: Any, moment: datetime) -> bool:
    """By a time that is told to the second."""
    with suppress(ValueError):
        at = None if told is None else TIMESTAMP.read(told)
        return at is not None and at + timedelta(seconds=1) < moment
    return False


async def _options(connection: Connection, company: Company, of: str, keys: list[str]) -> Mapping[str, set[str]]:
    """Field -> ids of its options, by the definitions that are mirrored."""
    found: dict[str, set[str]] = {}
    for entity in ENTITIES:
        if entity.definitions != of:
            continue
        [(key, _)] = entity.key
        rows = await connection.fetch(
            f"SELECT {quoted(key)} AS field, options FROM {table(company.slug, entity)} WHERE {quoted(key)} = ANY($1)",
            keys,
        )
        for row in rows:
            options = row["options"] if isinstance(row["options"], list) else []
            known = found.setdefault(row["field"], set())
            known.update(str(option.get("id")) for option in options if isinstance(option, Mapping))
    return found
