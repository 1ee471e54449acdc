"""What the lists come to, and that the comparison finds whatever a mirror has wrong."""

from collections.abc import Callable
from typing import Any

import pytest
from rig.asking import asking, made_company
from rig.listed import Mirror, mirrored

from sandbox.cloud import Company
from sandbox.compare import differences
from sandbox.records import ALL
from sandbox.rest.truth import listed
from sandbox.script import step


async def read(company: Company, steps: int = 800) -> Mirror:
    async with asking(company) as api:
        for _ in range(steps):
            step(company)
        company.try_create("deal_participant")
        return await mirrored(api)


async def test_who_has_read_every_list_is_right_in_every_column() -> None:
    company = made_company()
    mirror = await read(company)
    assert differences(listed(company), mirror) == []
    empty = {entity for entity in ALL if not mirror[entity]}
    assert empty == set(), "nothing was compared of these"


async def test_hidden_records_and_children_of_hidden_parents_are_asked_of_nobody() -> None:
    company = made_company()
    company.hidden |= {("deal", 1), ("deal", 2), ("user", 3)}
    mirror = await read(company, 100)
    assert differences(listed(company), mirror) == []


async def test_a_mirror_that_stopped_reading_is_found_out() -> None:
    company = made_company()
    mirror = await read(company, 100)
    for _ in range(300):
        step(company)
    lines = differences(listed(company), mirror)
    assert any("has no tombstone, but it was deleted" in line for line in lines)
    assert any(line.endswith("missing") for line in lines)
    assert any("should be" in line for line in lines)


async def test_a_deleted_record_may_be_unknown_or_a_tombstone_but_not_alive() -> None:
    company = made_company()
    mirror = await read(company, 0)
    company.delete("filter", 2)
    assert any(line.startswith("filters 2:") for line in differences(listed(company), mirror))
    alive = mirror["filter"].pop(2)
    assert differences(listed(company), mirror) == []
    mirror["filter"][2] = alive | {"_deleted_at": "2026-01-01T00:00:00+00:00", "name": "an old one"}
    assert differences(listed(company), mirror) == []


def _without(entity: str) -> Callable[[Mirror], object]:
    return lambda mirror: mirror[entity].popitem()


def _with(entity: str, **columns: Any) -> Callable[[Mirror], object]:
    return lambda mirror: next(iter(mirror[entity].values())).update(columns)


def _ghost(entity: str, record_id: Any) -> Callable[[Mirror], object]:
    return lambda mirror: mirror[entity].update({record_id: {"_deleted_at": None}})


def _column_lost(mirror: Mirror) -> None:
    for row in mirror["deal"].values():
        del row["smart_bcc_email"]


WRONG: dict[str, Callable[[Mirror], object]] = {
    "a follower is missing": _without("deal_follower"),
    "an assignment is missing": _without("permission_set_assignment"),
    "a comment is missing": _without("note_comment"),
    "a source is missing": _without("lead_source"),
    "a definition is missing": _without("deal_field"),
    "a log's row is missing": _without("deal_change"),
    "a ghost of two ids": _ghost("role_assignment", (998, 999)),
    "a ghost in a log": _ghost("person_change", "x"),
    "a currency is another": _with("currency", name="Lira"),
    "a counter is wrong": _with("deal", products_count=77),
    "a field is called otherwise": _with("lead_field", name="Whatever"),
    "a participant is someone else": _with("deal_participant", person_id={"value": 99_999}),
    "a column is no column": _column_lost,
}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG.keys())
async def test_whatever_is_wrong_is_found(spoil: Callable[[Mirror], object]) -> None:
    company = made_company()
    mirror = await read(company, 200)
    assert differences(listed(company), mirror) == []
    spoil(mirror)
    assert differences(listed(company), mirror) != []
