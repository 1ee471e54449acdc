"""From a source's object to cells: renaming into the REST v2 vocabulary, typing, custom fields, what is left over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from schema.change import Cells
from schema.columns import ADDRESS, ADDRESS_PARTS, address
from schema.custom_fields import (
    CANONICAL_PARTS,
    HASH_LENGTH,
    Types,
    is_custom,
    is_flat,
    read_flat,
    read_typed,
    split_flat,
)
from schema.entity import DELETED_AT, MERGED_INTO, Column, Entity
from schema.errors import BadValue


@dataclass(slots=True)
class Reading:
    """Cells read from one object, and what was learnt of custom field types on the way.

    empty  custom fields that the object lists as empty, where it tells of all there are; else None
    """

    cells: Cells = field(default_factory=dict)
    empty: frozenset[str] | None = None
    types: dict[str, str] = field(default_factory=dict)
    untyped: set[str] = field(default_factory=set)


def read_object(entity: Entity, found: Mapping[str, Any], types: Types) -> Reading:
    """Raise BadValue, naming the field, where a column cannot hold what the object says."""
    reading = Reading()
    _read_columns(entity, found, reading.cells)
    _read_addresses(entity, found, reading.cells)
    if entity.custom_fields is not None:
        _read_custom_fields(found, types, reading)
    return reading


def read_listed(entity: Entity, found: Mapping[str, Any], types: Types) -> Reading:
    """The same of a row of the REST API, which tells of all custom fields or of none."""
    reading = Reading()
    _read_columns(entity, found, reading.cells)
    _read_addresses(entity, found, reading.cells)
    blank = read_set_fields(entity, found, types, reading)
    if blank is not None:
        reading.empty = frozenset(blank | _left_empty(found, types, reading.cells))
    return reading


def read_set_fields(entity: Entity, found: Mapping[str, Any], types: Types, reading: Reading) -> set[str] | None:
    """Add the custom fields of a listed row that are set; those whose value is blank, as empty as one that is null.

    None where the row does not tell of custom fields.
    """
    nested = found.get("custom_fields") if entity.custom_fields is not None else None
    if isinstance(nested, dict):
        for name, value in nested.items():
            if len(name) != HASH_LENGTH:
                reading.cells[custom_cell(name)] = value
            elif value is not None:
                _read_nested(reading, name, value, types)
    elif entity.custom_fields is not None and entity.flat_fields:
        _read_flat_fields(found, types, reading)
    else:
        return None
    blank = {name for name, value in reading.cells.items() if value is None and is_custom(name)}
    for name in blank:
        del reading.cells[name]
    return blank


def _left_empty(found: Mapping[str, Any], types: Types, cells: Cells) -> set[str]:
    """REST v2 lists what is empty as null, v1 leaves it out."""
    nested = found.get("custom_fields")
    if isinstance(nested, dict):
        return {name for name, value in nested.items() if value is None and len(name) == HASH_LENGTH}
    return types.keys() - cells.keys()


def _read_columns(entity: Entity, found: Mapping[str, Any], cells: Cells) -> None:
    """One loop with as few calls as can be: it runs for every field of every event."""
    columns, apart = targets(entity), handled_apart(entity)
    key = ""
    try:
        for key, value in found.items():
            target = columns.get(key)
            if target is None:
                if key not in apart and not (entity.custom_fields is not None and is_flat(key)):
                    cells[key] = value
            elif key == target.name or target.name not in cells:
                kind = target.type
                cells[target.name] = kind.read(value) if value is not None else [] if kind.is_list else None
    except (ValueError, TypeError, OverflowError) as error:
        raise BadValue(f"field `{key}`: {error}") from None


def custom_cell(key: str) -> str:
    """The cell of a key in `custom_fields`. One that is no hash, such as `birthday`, must not pass for a column."""
    return key if len(key) == HASH_LENGTH else f"custom_fields.{key}"


def says_deleted(entity: Entity, found: Mapping[str, Any]) -> bool:
    """Whether a body says of its own record that it is deleted, whatever the action is called."""
    for key, value in entity.deleted_when.items():  # noqa: SIM110 - any() costs twice as much, for every event
        if key in found and found[key] == value:
            return True
    return False


def existence(entity: Entity, deleted_at: Any, merged_into: Any = None) -> Cells:
    """The cells that say whether the record exists: `_deleted_at` and the columns that only repeat it."""
    cells: Cells = {DELETED_AT: deleted_at, **_repeating(entity, deleted=deleted_at is not None)}
    if deleted_at is None or merged_into is not None:
        # A plain delete does not tell about merges: a merge of the same record told elsewhere must stand.
        cells[MERGED_INTO] = merged_into
    return cells


@cache
def _repeating(entity: Entity, *, deleted: bool) -> Cells:
    columns = entity.deleted_columns.items()
    return {name: when_deleted is deleted for name, when_deleted in columns if entity.has(name)}


@cache
def targets(entity: Entity) -> dict[str, Column]:
    """Key of an object -> column. A column's own name is always understood."""
    aliases = {alias: column for column in entity.columns for alias in column.aliases}
    return aliases | {column.name: column for column in entity.columns}


@cache
def handled_apart(entity: Entity) -> frozenset[str]:
    """Keys that are no cells of their own: the id, what says "deleted", custom fields, parts of flat addresses.

    And those that are left out on purpose: not even `_extra` keeps them.
    """
    flat = {key for keys in flat_addresses(entity).values() for key in keys}
    custom = {"custom_fields"} if entity.custom_fields is not None else set()
    # `status` tells more than whether the record is deleted, so it is kept.
    existence = {DELETED_AT, MERGED_INTO, *entity.deleted_when} - {"status"}
    return frozenset({*entity.key_names, *entity.left_out} | existence | flat | custom)


@cache
def flat_addresses(entity: Entity) -> dict[str, dict[str, str]]:
    """Column of an address -> the flat keys that v1 spreads it over, and the part that each tells."""
    names = [column.name for column in entity.columns if column.type is ADDRESS]
    return {name: {f"{name}_{part}": part for part in ADDRESS_PARTS} for name in names}


def _read_addresses(entity: Entity, found: Mapping[str, Any], cells: Cells) -> None:
    """v1 spreads an address over flat keys: `address`, `address_locality`, ..."""
    for name, keys in flat_addresses(entity).items():
        if keys.keys().isdisjoint(found):
            continue
        parts = {part: found[key] for key, part in keys.items() if key in found}
        shaped = address({"value": found.get(name), **parts})
        cells[name] = shaped if shaped and any(part is not None for part in shaped.values()) else None


def _read_custom_fields(found: Mapping[str, Any], types: Types, reading: Reading) -> None:
    nested = found.get("custom_fields")
    for name, value in nested.items() if isinstance(nested, dict) else ():
        if len(name) != HASH_LENGTH:
            reading.cells[custom_cell(name)] = value
        elif value is None:
            reading.cells[name] = None
        else:
            _read_nested(reading, name, value, types)
    _read_flat_fields(found, types, reading)


def _read_flat_fields(found: Mapping[str, Any], types: Types, reading: Reading) -> None:
    for name, parts in split_flat(found).items():
        kind, reading.cells[name] = read_flat(parts, types.get(name))
        if kind is None and reading.cells[name] is not None:
            reading.untyped.add(name)
        # What the canonical shape has no place for, such as the coordinates of an address, stays a cell of its own.
        reading.cells |= {f"{name}_{part}": value for part, value in parts.items() if part not in CANONICAL_PARTS}


def _read_nested(reading: Reading, name: str, value: Any, types: Types) -> None:
    kind, shaped = read_typed(value)
    if kind is not None:
        reading.types[name] = kind
    else:
        # The newer entities' events are undocumented: they may carry plain REST values.
        kind, shaped = read_flat({"": value}, types.get(name))
        if kind is None and shaped is not None:
            reading.untyped.add(name)
    reading.cells[name] = shaped
