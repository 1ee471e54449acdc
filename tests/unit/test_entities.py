"""The entity catalogue: complete against REST, and free of contradictions within itself."""

import json
import re
from itertools import chain
from typing import Any

import pytest
from rig.samples import FOLDER, all_samples

from schema import ddl
from schema.catalogue import unmirrored
from schema.columns import ADDRESS_PARTS
from schema.custom_fields import HASH_LENGTH
from schema.entities import BY_NAME, ENTITIES, HEARD
from schema.entity import DELETED_AT, GROUPS, MERGED_INTO, Entity
from schema.reading import read_object, says_deleted

REST: dict[str, dict[str, str]] = json.loads((FOLDER / "rest_columns.json").read_bytes())
"""Entity -> root field of REST -> Postgres type, as Pipedrive's OpenAPI gives them."""

DIFFERENT = {
    ("user", "lang"): "text",  # events send a locale code such as `en-GB`, REST a number
    ("organization", "annual_revenue"): "numeric",  # an amount of money may have decimals
    # REST v1 sends an object of the other record: its id is kept.
    ("deal_participant", "person_id"): "bigint",
    ("deal_participant", "added_by_user_id"): "bigint",
    ("organization_relationship", "rel_owner_org_id"): "bigint",
    ("organization_relationship", "rel_linked_org_id"): "bigint",
}
"""Types that differ from REST's on purpose."""

AS_TEXT = {("activity", "lead_id"), ("note_comment", "object_id"), ("file", "mail_message_id")}
"""References that stand in a text column, as REST documents them."""

INVENTED = {"user_connection": {"third_party_id"}, "follower_change": {"item_type"}}
"""Columns of what a listing says without naming it."""

each_entity = pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.name)


def test_every_entity_is_declared_once() -> None:
    assert sorted(entity.name for entity in ENTITIES) == sorted(REST)
    assert len({entity.plural for entity in ENTITIES}) == len(ENTITIES) == 65
    assert not unmirrored.ENTITIES.keys() & BY_NAME.keys()


def test_events_tell_of_those_that_pipedrive_documents_them_for() -> None:
    core = {"deal", "lead", "person", "organization", "activity", "product", "note"}
    newer = {"deal_product", "deal_installment", "project", "task", "board", "phase"}
    assert HEARD.keys() == core | newer | {"pipeline", "stage", "user", "activity_type"}


@each_entity
def test_every_root_field_of_rest_is_a_column_of_its_type(entity: Entity) -> None:
    declared = {column.name: column.type.sql for column in entity.columns}
    declared |= {name: kind.sql for name, kind in entity.key}
    if entity.custom_fields is not None:
        declared["custom_fields"] = "jsonb"
    kept = {name: kind for name, kind in REST[entity.name].items() if name not in entity.left_out}
    expected = {name: DIFFERENT.get((entity.name, name), kind) for name, kind in kept.items()}
    assert {name: declared.get(name) for name in expected} == expected


@each_entity
def test_no_column_is_invented(entity: Entity) -> None:
    parents = {listing.parent.column for listing in entity.listings if listing.parent}
    known = REST[entity.name].keys() - {*entity.key_names, "custom_fields"} | parents
    assert {column.name for column in entity.columns} <= known | INVENTED.get(entity.name, set())


@each_entity
def test_what_is_left_out_is_known_to_rest_and_kept_nowhere(entity: Entity) -> None:
    assert entity.left_out.keys() <= REST[entity.name].keys()
    assert not [name for name in entity.left_out if entity.has(name) or name in entity.key_names]
    assert read_object(entity, dict.fromkeys(entity.left_out, "kept?"), {}).cells == {}


def test_no_password_of_a_subscription_is_kept() -> None:
    assert "http_auth_password" in BY_NAME["webhook"].left_out


def test_the_deliberate_differences_are_differences() -> None:
    for (entity, name), kind in DIFFERENT.items():
        assert REST[entity][name] != kind, f"{entity}.{name} is what REST says: drop it from the list"


def test_custom_fields_stand_where_rest_has_them_or_events_tell_them() -> None:
    told = {name for name, fields in REST.items() if "custom_fields" in fields}
    # REST v1 spreads those of leads over flat keys, and v2 events of activities carry an empty object.
    assert {entity.name for entity in ENTITIES if entity.custom_fields} == told | {"lead", "activity"}
    assert BY_NAME["lead"].custom_fields == "deal"
    assert [entity.name for entity in ENTITIES if entity.flat_fields] == ["lead"]


def test_each_kind_of_custom_fields_has_its_definitions() -> None:
    defined = {entity.definitions for entity in ENTITIES if entity.definitions}
    assert {entity.custom_fields for entity in ENTITIES if entity.custom_fields} <= defined <= BY_NAME.keys()


@each_entity
def test_a_columns_names_are_unambiguous(entity: Entity) -> None:
    names = [column.name for column in entity.columns]
    words = [*names, *chain.from_iterable(column.aliases for column in entity.columns)]
    flat = {f"{c.name}_{part}" for c in entity.columns for part in ADDRESS_PARTS if c.type.sql == "jsonb"}
    assert len(set(words)) == len(words), "a word means two columns"
    assert not flat & set(words), "a part of a flat address passes for a column"
    assert not set(words) & {*entity.key_names, "custom_fields"}
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
    for column in entity.columns:
        if column.ref is not None:
            target = BY_NAME[column.ref].id_type.sql
            expected = {"text"} if (entity.name, column.name) in AS_TEXT else {target, f"{target}[]"}
            assert column.type.sql in expected, column.name


@each_entity
def test_what_only_repeats_existence_is_a_flag_or_absent(entity: Entity) -> None:
    for name in entity.deleted_columns:
        assert not entity.has(name) or entity.column(name).type.sql == "boolean"


@pytest.mark.parametrize("name", ["user", "role", "currency", "webhook", "goal", "role_assignment"])
def test_what_is_inactive_and_still_listed_is_no_tombstone(name: str) -> None:
    entity = BY_NAME[name]
    assert not says_deleted(entity, dict.fromkeys(filter(entity.has, ("active_flag", "is_active")), False))


def test_the_times_of_a_record_are_columns_where_it_has_any() -> None:
    without = {entity.name for entity in ENTITIES if not entity.has(entity.updated) and not entity.has(entity.created)}
    assert {entity.name for entity in ENTITIES if entity.webhook} & without == {"deal_installment"}
    for entity in ENTITIES:
        for name in (entity.updated, entity.created):
            assert not entity.has(name) or entity.column(name).type.sql == "timestamptz"


def test_every_entity_that_sends_webhooks_has_samples_of_every_action() -> None:
    """A new entity is one declaration and its samples."""
    told: dict[str, set[Any]] = {}
    for sample in all_samples():
        journal = sample.expected["journal"]
        told.setdefault(journal["entity"], set()).add((sample.version, journal["action"]))
    both = {"activity", "deal", "note", "organization", "person", "pipeline", "product", "stage", "user"}
    for entity in HEARD.values():
        versions = {"v1", "v2"} if entity.name in both else {"v1"} if entity.name == "activity_type" else {"v2"}
        actions = {(version, action) for version in versions for action in ("create", "change", "delete")}
        # v2 tells the deletion of a user as a change.
        assert actions - told[entity.name] == ({("v2", "delete")} if entity.name == "user" else set()), entity.name


def test_the_fingerprint_of_the_catalogue_is_made_once() -> None:
    """Whoever starts compares it with every company's."""
    assert ddl.fingerprint() is ddl.fingerprint()
