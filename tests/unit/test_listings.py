"""How each entity is listed: what the declarations say is what Pipedrive's OpenAPI says."""

import json
from itertools import chain
from typing import Any

import pytest
from rig.samples import FOLDER

from schema.catalogue import unmirrored
from schema.entities import BY_NAME, ENTITIES
from schema.entity import Entity
from schema.listing import Listing, Paging

FACTS: dict[str, dict[str, Any]] = json.loads((FOLDER / "rest_lists.json").read_bytes())
"""Entity -> its lists and what they take, as Pipedrive's OpenAPI gives them."""

FIELDS: dict[str, dict[str, str]] = json.loads((FOLDER / "rest_columns.json").read_bytes())

each_entity = pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.name)
each_listing = pytest.mark.parametrize(
    ("entity", "listing"),
    [(entity, listing) for entity in ENTITIES for listing in entity.listings],
    ids=[f"{entity.name}-{number}" for entity in ENTITIES for number, _ in enumerate(entity.listings)],
)


def path(listing: Listing) -> str:
    """As the facts spell it."""
    return listing.path.replace("{parent}", "{id}")


def is_of_one(entity: Entity, listing: Listing) -> bool:
    """Whether it shows one record at a time, of those that are already known."""
    return listing.parent is not None and listing.parent.entity == entity.name


def test_every_entity_that_pipedrive_lists_is_declared_or_said_not_to_be() -> None:
    assert FACTS.keys() - BY_NAME.keys() == unmirrored.ENTITIES.keys() - {"subscription"}
    assert all(entity.listings for entity in ENTITIES)


@each_entity
def test_a_key_is_the_one_that_pipedrive_names(entity: Entity) -> None:
    expected = FACTS[entity.name]["key"]
    assert entity.log == (expected is None)
    assert list(entity.key_names) == (expected or ["id"])


def test_every_list_there_is_is_read_or_said_not_to_be() -> None:
    told = {found for name in BY_NAME for found in FACTS[name]["lists"]}
    read = {path(listing) for entity in ENTITIES for listing in entity.listings if not is_of_one(entity, listing)}
    assert read <= told
    assert told - read == unmirrored.LISTS.keys()


@each_listing
def test_a_list_costs_and_pages_as_pipedrive_says(entity: Entity, listing: Listing) -> None:
    facts = FACTS[entity.name]
    if is_of_one(entity, listing):
        assert facts["get"] == {path(listing): listing.cost}
        assert listing.paging is Paging.WHOLE
        return
    told = facts["lists"][path(listing)]
    assert listing.cost == told["cost"]
    assert set(listing.scopes) == set(told["scopes"])
    assert listing.paging == facts["paging"]
    assert listing.rows == tuple(facts["rows"])
    assert listing.limit == (facts["limit"] or 500)


@each_listing
def test_a_list_is_asked_only_for_what_it_takes(entity: Entity, listing: Listing) -> None:
    facts = FACTS[entity.name]
    delta = listing.delta
    asked = {*listing.params, *listing.order}
    if delta is not None:
        asked |= {*delta.params, *filter(None, (delta.since, delta.until))}
    if listing.parent is not None and listing.parent.param is not None:
        asked.add(listing.parent.param)
    of_one = {"include_body", "include_field_code"} if is_of_one(entity, listing) else set()
    assert asked <= {*facts["parameters"]} | of_one
    assert listing.ids == facts["ids"] * (not is_of_one(entity, listing))
    assert is_of_one(entity, listing) or {*facts["required"]} <= asked


@each_listing
def test_a_list_that_tells_changes_is_asked_for_them(entity: Entity, listing: Listing) -> None:
    takes = {*FACTS[entity.name]["parameters"]}
    if "updated_since" not in takes or path(listing) == "/v1/leads/archived":
        assert listing.delta is None or listing.delta.since is None
    else:
        assert listing.delta is not None
        assert (listing.delta.since, listing.delta.until) == (
            "updated_since",
            "updated_until" if "updated_until" in takes else None,
        )


@each_listing
def test_every_field_that_is_told_only_on_request_is_requested(entity: Entity, listing: Listing) -> None:
    requested = listing.params.get("include_fields", "")
    assert sorted(filter(None, requested.split(","))) == FACTS[entity.name].get("include_fields", [])
    assert {*filter(None, requested.split(","))} <= {column.name for column in entity.columns}


@each_entity
def test_one_record_is_asked_for_as_pipedrive_says(entity: Entity) -> None:
    known = {found: cost for found, cost in FACTS[entity.name]["get"].items() if found.count("{") == 1}
    told = {found.replace("{field_code}", "{id}"): cost for found, cost in known.items()}
    assert told == ({} if entity.get is None else {entity.get.path: entity.get.cost})


@each_entity
def test_the_times_of_a_record_are_those_that_pipedrive_names(entity: Entity) -> None:
    facts = FACTS[entity.name]
    assert (entity.updated if entity.has(entity.updated) else None) == facts["updated"]
    assert (entity.created if entity.has(entity.created) else None) == facts["created"]


@each_listing
def test_what_a_list_names_exists(entity: Entity, listing: Listing) -> None:
    own = {*entity.key_names, *(column.name for column in entity.columns)}
    assert {*listing.says, *(listing.spread or ()), *filter(None, [listing.mine])} <= own
    if parent := listing.parent:
        assert ("{parent}" in listing.path) == (parent.param is None)
        assert parent.batch == 1 or parent.param is not None
        assert parent.column is None or parent.column in own
        assert parent.counter is None or BY_NAME[parent.entity].has(parent.counter)
    else:
        assert "{" not in listing.path


@each_listing
def test_children_come_after_their_parents(entity: Entity, listing: Listing) -> None:
    order = [found.name for found in ENTITIES]
    if listing.parent is not None and not is_of_one(entity, listing):
        assert order.index(listing.parent.entity) < order.index(entity.name)
    if is_of_one(entity, listing):
        assert entity.listings.index(listing) > 0, "what is shown one at a time must be known already"


@each_entity
def test_a_key_of_which_a_list_leaves_out_a_part_gets_it_from_the_list(entity: Entity) -> None:
    for listing in entity.listings:
        told = {*FIELDS[entity.name], *listing.says, *(listing.spread or ()), *filter(None, [listing.mine])}
        filled = {listing.parent.column} if listing.parent else set()
        assert entity.log or {*entity.key_names} <= told | filled


def test_a_call_per_record_is_made_for_few_records_or_on_request() -> None:
    few = {"board", "user", "role", "permission_set"}
    for entity, listing in chain.from_iterable(((e, found) for found in e.listings) for e in ENTITIES):
        if listing.parent is not None and listing.parent.batch == 1:
            assert listing.opt_in != (listing.parent.entity in few), (entity.name, listing.path)


def test_what_is_deleted_or_archived_is_listed_where_the_api_can_list_it() -> None:
    assert {found.params["status"] for found in BY_NAME["deal"].listings} == {"open,won,lost,deleted"}
    assert {found.params["status"] for found in BY_NAME["project"].listings} == {"open,completed,canceled,deleted"}
    for name in ("deal", "lead"):
        assert [dict(found.says) for found in BY_NAME[name].listings] == [{}, {"is_archived": True}]


def test_lists_of_one_entity_are_told_apart() -> None:
    for entity in ENTITIES:
        labels = [listing.label for listing in entity.listings]
        assert len(set(labels)) == len(labels), entity.name
