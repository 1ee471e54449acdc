"""The lists of the sandbox's REST API: pages, filters, deltas, what is archived and what is deleted."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rig.asking import Clock, asking, made_company

from sandbox.records import SHAPES
from sandbox.rest.view import Rules
from sandbox.script import step

REST_COLUMNS = json.loads((Path(__file__).parents[1] / "samples" / "rest_columns.json").read_bytes())
LISTS = {
    **{entity: f"/api/v2/{entity}s" for entity in ("deal", "person", "organization", "product", "pipeline", "stage")},
    "activity": "/api/v2/activities",
    "project": "/api/v2/projects",
    "task": "/api/v2/tasks",
    "board": "/api/v2/boards",
    "user": "/v1/users",
    "activity_type": "/v1/activityTypes",
    "note": "/v1/notes",
}
HASH = 40
DAY = 24 * 3_600


def ids(rows: list[dict[str, Any]]) -> list[Any]:
    return [row["id"] for row in rows]


async def test_a_walk_of_cursors_meets_every_record_once_while_the_company_changes() -> None:
    company = made_company(deals=60)
    listed = {record["id"] for record in company.live["deal"]}
    away: set[Any] = set()

    def change() -> None:
        for _ in range(20):
            step(company)
            away.update(listed - {record["id"] for record in company.live["deal"] if not record["is_archived"]})

    async with asking(company) as api:
        found = ids(await api.walk("/api/v2/deals", limit=7, between=change))
    assert away, "nothing happened that could disturb the walk"
    assert len(found) == len(set(found))
    assert listed - set(found) <= away
    assert max(found) > max(listed), "what is made meanwhile comes later"


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("column", ["id", "add_time", "update_time"])
async def test_pages_follow_the_order_that_was_asked_for(column: str, direction: str) -> None:
    company = made_company()
    for _ in range(100):
        step(company)
    async with asking(company) as api:
        rows = await api.walk("/api/v2/persons", limit=3, sort_by=column, sort_direction=direction)
    keys = [(row[column] or "", row["id"]) for row in rows]
    assert keys == sorted(keys, reverse=direction == "desc")
    assert set(ids(rows)) == set(company.live["person"].copy())


@pytest.mark.parametrize(("rule", "status"), [("refused", 400), ("capped", 200)])
async def test_more_rows_than_a_page_may_have(rule: Any, status: int) -> None:
    async with asking(made_company(deals=510), rules=Rules(above_limit=rule)) as api:
        found = await api.get("/api/v2/deals", limit=501)
    assert found.status == status
    assert status == 400 or len(found.rows) == 500


async def test_a_column_that_must_be_asked_for_is_told_only_then() -> None:
    async with asking(made_company()) as api:
        plain = (await api.get("/api/v2/deals", limit=1)).rows[0]
        asked = (await api.get("/api/v2/deals", limit=1, include_fields="products_count,source_lead_id")).rows[0]
        one = (await api.get("/api/v2/deals/1", include_fields="files_count")).body["data"]
    assert asked.keys() - plain.keys() == {"products_count", "source_lead_id"}
    assert one.keys() - plain.keys() == {"files_count"}


@pytest.mark.parametrize("entity", LISTS)
async def test_a_list_tells_every_column_the_documentation_names(entity: str) -> None:
    async with asking(made_company()) as api:
        asked = ",".join(SHAPES[entity].asked_for)
        found = await api.get(LISTS[entity], include_fields=asked)
    documented = set(REST_COLUMNS[entity]) - {"org_id" if entity == "organization" else ""}
    assert found.rows
    assert set(found.rows[0]) == documented


async def test_leads_tell_custom_fields_flat_and_only_those_that_are_set() -> None:
    company = made_company()
    codes = {field.code for field in company.fields["lead"]}
    async with asking(company) as api:
        rows = (await api.get("/v1/leads", limit=500)).rows + (await api.get("/v1/leads/archived", limit=500)).rows
    for row in rows:
        fields = company.live["lead"][row["id"]]["custom_fields"]
        assert "custom_fields" not in row
        assert {key for key in row if key in codes} == {code for code, value in fields.items() if value is not None}
    suffixes = {key[HASH + 1 :] for row in rows for key in row if key[:HASH] in codes and len(key) > HASH}
    assert {"currency", "until", "timezone_id", "formatted_address"} <= suffixes


async def test_custom_fields_of_v2_list_every_hash_of_the_account() -> None:
    company = made_company()
    codes = {field.code for field in company.fields["deal"]}
    async with asking(company) as api:
        rows = await api.walk("/api/v2/deals")
    assert all(set(row["custom_fields"]) == codes for row in rows)
    assert any(value is None for row in rows for value in row["custom_fields"].values())


async def test_offsets_are_told_wrapped_or_flat() -> None:
    company = made_company()
    async with asking(company) as api:
        notes = await api.get("/v1/notes", limit=5)
        last = await api.get("/v1/notes", limit=5, start=len(company.live["note"]) - 1)
        exact = await api.get("/v1/notes", limit=5, start=len(company.live["note"]) - 5)
        leads = await api.get("/v1/leads", limit=2, start=1)
    more = {"start": 0, "limit": 5, "more_items_in_collection": True, "next_start": 5}
    assert notes.body["additional_data"] == {"pagination": more}
    assert "next_start" not in last.body["additional_data"]["pagination"]
    assert exact.body["additional_data"]["pagination"]["more_items_in_collection"] is False
    assert leads.body["additional_data"] == {"start": 1, "limit": 2, "more_items_in_collection": True}


async def test_an_offset_walk_over_a_list_that_shrinks_misses_rows() -> None:
    """What v1 does, and why whoever reads it overlaps its pages."""
    company = made_company()
    everyone = [record["id"] for record in company.live["note"]]
    async with asking(company) as api:
        first = await api.get("/v1/notes", limit=5)
        company.delete("note", everyone[0])
        second = await api.get("/v1/notes", limit=500, start=5)
    assert set(everyone) - {*ids(first.rows), *ids(second.rows)} == {everyone[5]}


async def test_v1_sorts_as_it_is_told() -> None:
    company = made_company()
    for _ in range(200):
        step(company)
    async with asking(company) as api:
        rows = (await api.get("/v1/notes", limit=500, sort="update_time DESC")).rows
        assert (await api.get("/v1/notes", sort="nonsense ASC")).status == 400
    assert all(first["update_time"] >= second["update_time"] for first, second in pairwise(rows))


async def test_v1_tells_times_without_a_zone_but_leads_with_milliseconds() -> None:
    async with asking(made_company()) as api:
        note, user = (await api.get("/v1/notes", limit=1)).rows[0], (await api.get("/v1/users")).rows[0]
        lead = (await api.get("/v1/leads", limit=1)).rows[0]
    assert len(note["update_time"]) == len(user["created"]) == len("2026-01-01 00:00:00")
    assert lead["update_time"].endswith("Z")
    assert len(lead["update_time"]) == len("2026-01-01T00:00:00.000Z")


async def test_a_record_that_the_user_may_not_see_is_nowhere() -> None:
    company = made_company()
    company.hidden.add(("deal", 3))
    async with asking(company) as api:
        assert 3 not in ids(await api.walk("/api/v2/deals"))
        assert (await api.get("/api/v2/deals", ids="3")).rows == []
        assert (await api.get("/api/v2/deals/3")).status == 404


@pytest.mark.parametrize(("rule", "status"), [("gone", 404), ("told", 200)])
async def test_a_get_of_what_was_deleted(rule: Any, status: int) -> None:
    company = made_company()
    company.delete("person", 2)
    company.delete("note", 2)
    async with asking(company, rules=Rules(deleted_by_id=rule)) as api:
        person = await api.get("/api/v2/persons/2")
        assert person.status == status
        assert status == 404 or person.body["data"]["is_deleted"] is True
        assert (await api.get("/v1/notes/2")).status == 404, "a note is deleted for good"


async def test_everything_that_has_a_get_is_told_the_same_by_it() -> None:
    company = made_company()
    async with asking(company) as api:
        for entity, path in LISTS.items():
            if entity == "activity_type":
                continue
            row = (await api.get(path)).rows[0]
            assert (await api.get(f"{path}/{row['id']}")).body["data"] == row
        lead = (await api.get("/v1/leads")).rows[0]
        assert (await api.get(f"/v1/leads/{lead['id']}")).body["data"] == lead


async def test_a_cursor_is_refused_when_it_is_no_cursor_of_this_walk_or_too_old() -> None:
    clock = Clock()
    async with asking(made_company(now=clock), rules=Rules(cursor_lives=60)) as api:
        cursor = (await api.get("/api/v2/deals", limit=1)).cursor
        assert (await api.get("/api/v2/deals", limit=1, cursor=cursor)).status == 200
        assert (await api.get("/api/v2/deals", limit=1, cursor=cursor, sort_by="update_time")).status == 400
        assert (await api.get("/api/v2/deals", limit=1, cursor="nonsense")).status == 400
        clock.forward(61)
        assert (await api.get("/api/v2/deals", limit=1, cursor=cursor)).status == 400


def test_every_entity_that_sends_webhooks_is_known_here() -> None:
    assert set(LISTS) | {"lead", "deal_product", "deal_installment", "phase"} == set(SHAPES)
