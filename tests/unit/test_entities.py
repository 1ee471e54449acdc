"""The entity catalogue: complete against REST, and free of contradictions within itself."""

import json
import re
from itertools import chain
from typing import Any

import pytest
from rig.samples import FOLDER, all_samples

from schema import ddl
from schema.columns import ADDRESS_PARTS
from schema.custom_fields import HASH_LENGTH
from schema.entities import BY_NAME, ENTITIES
from schema.entity import DELETED_AT, GROUPS, MERGED_INTO, Entity

REST: dict[str, dict[str, str]] = json.loads((FOLDER / "rest_columns.json").read_bytes())
"""Entity -> root field of REST -> Postgres type, as Pipedrive's OpenAPI gives them."""

DIFFERENT = {
    ("user", "lang"): "text",  # events send a locale code such as `en-GB`, REST a number
    ("organization", "annual_revenue"): "numeric",  # an amount of money may have decimals
}
"""Types that differ from REST's on purpose."""

BESIDE_THE_COLUMNS = {"id", "custom_fields"}
"""REST's root fields that are no Column: the key, and the one jsonb column of all custom fields."""

each_entity = pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.name)


def test_every_entity_that_sends_webhooks_is_declared_once() -> None:
    assert sorted(entity.name for entity in ENTITIES) == sorted(REST)
    assert len({entity.plural for entity in ENTITIES}) == len(ENTITIES) == 17


@each_entity
def test_every_root_field_of_rest_is_a_column_of_its_type(entity: Entity) -> None:
    declared = {column.name: column.type.sql for column in entity.columns} | {"id": entity.id_type.sql}
    if entity.custom_fields is not None:
        declared["custom_fields"] = "jsonb"
    expected = {name: DIFFERENT.get((entity.name, name), kind) for name, kind in REST[entity.name].items()}
    assert {name: declared.get(name) for name in expected} == expected


@each_entity
def test_no_column_is_invented(entity: Entity) -> None:
    assert {column.name for column in entity.columns} <= REST[entity.name].keys() - BESIDE_THE_COLUMNS


def test_the_deliberate_differences_are_differences() -> None:
    for (entity, name), kind in DIFFERENT.items():
        assert REST[entity][name] != kind, f"{entity}.{name} is what REST says: drop it from the list"


def test_custom_fields_stand_where_rest_has_them_or_events_tell_them() -> None:
    told = {name for name, fields in REST.items() if "custom_fields" in fields}
    # REST v1 spreads those of leads over flat keys, and v2 events of activities carry an empty object.
    assert {entity.name for entity in ENTITIES if entity.custom_fields} == told | {"lead", "activity"}
    assert BY_NAME["lead"].custom_fields == "deal"


@each_entity
def test_a_columns_names_are_unambiguous(entity: Entity) -> None:
    names = [column.name for column in entity.columns]
    words = [*names, *chain.from_iterable(column.aliases for column in entity.columns)]
    flat = {f"{c.name}_{part}" for c in entity.columns for part in ADDRESS_PARTS if c.type.sql == "jsonb"}
    assert len(set(words)) == len(words), "a word means two columns"
    assert not flat & set(words), "a part of a flat address passes for a column"
    assert not set(words) & {"id", "custom_fields"}
    assert not [name for name in names if name.startswith("_")], "`_` is for system columns"
    assert not [name for name in names if len(name) >= HASH_LENGTH], "a name may not pass for a custom field"


@each_entity
def test_names_need_no_quoting_and_fit_postgres(entity: Entity) -> None:
    for name in (entity.plural, *ddl.columns(entity)):
        assert re.fullmatch(r"[a-z_][a-z0-9_]*", name)
        assert len(f"{entity.plural}_{name}") <= 63


@each_entity
def test_each_column_is_in_one_group_and_existence_is_told_by_every_source(entity: Entity) -> None:
    grouped = list(chain.from_iterable(entity.group(group) for group in GROUPS))
    assert sorted(grouped) == sorted([*(column.name for column in entity.columns), DELETED_AT, MERGED_INTO])
    assert entity.group("event")[:2] == (DELETED_AT, MERGED_INTO)


@each_entity
def test_references_point_to_known_kinds_of_record(entity: Entity) -> None:
    unmirrored = {"lead_label", "person_picture", "product_variation", "role"}
    for column in entity.columns:
        if column.ref is not None and column.ref in BY_NAME:
            target = BY_NAME[column.ref].id_type.sql
            # An activity's lead stands in a text column, as REST documents it.
            expected = {target, f"{target}[]"} | ({"text"} if column.ref == "lead" else set())
            assert column.type.sql in expected, column.name
        else:
            assert column.ref is None or column.ref in unmirrored, column.name


@each_entity
def test_what_only_repeats_existence_is_a_flag_or_absent(entity: Entity) -> None:
    for name in entity.deleted_columns:
        assert not entity.has(name) or entity.column(name).type.sql == "boolean"
    if entity.name == "user":
        assert not entity.deleted_when, "a deactivated user is a live row"
        assert not entity.deleted_columns


def test_the_times_of_a_record_are_columns_where_it_has_any() -> None:
    without = {entity.name for entity in ENTITIES if not entity.has(entity.updated) and not entity.has(entity.created)}
    assert without == {"deal_installment"}
    for entity in ENTITIES:
        for name in (entity.updated, entity.created):
            assert not entity.has(name) or entity.column(name).type.sql == "timestamptz"


def test_every_entity_has_samples_of_every_action() -> None:
    """A new entity is one declaration and its samples."""
    told: dict[str, set[Any]] = {}
    for sample in all_samples():
        journal = sample.expected["journal"]
        told.setdefault(journal["entity"], set()).add((sample.version, journal["action"]))
    both = {"activity", "deal", "note", "organization", "person", "pipeline", "product", "stage", "user"}
    for entity in ENTITIES:
        versions = {"v1", "v2"} if entity.name in both else {"v1"} if entity.name == "activity_type" else {"v2"}
        actions = {(version, action) for version in versions for action in ("create", "change", "delete")}
        # v2 tells the deletion of a user as a change.
        assert actions - told[entity.name] == ({("v2", "delete")} if entity.name == "user" else set()), entity.name


def test_the_fingerprint_of_the_catalogue_is_made_once() -> None:
    """Whoever starts compares it with every company's."""
    assert ddl.fingerprint() is ddl.fingerprint()
