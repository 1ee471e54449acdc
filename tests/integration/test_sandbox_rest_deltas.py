"""The lists of the sandbox's REST API over time: deltas, what is deleted, what is archived."""

from typing import Any

import pytest
from rig.asking import START, Clock, asking, made_company

from sandbox.records import stamp

DAY = 24 * 3_600


def ids(rows: list[dict[str, Any]]) -> list[Any]:
    return [row["id"] for row in rows]


async def test_a_deal_that_nobody_changed_is_in_no_delta() -> None:
    company = made_company()
    company.edit_all("deal", [3, 5], owner_id=1)
    async with asking(company) as api:
        found = await api.walk("/api/v2/deals", updated_since="2000-01-01T00:00:00Z")
        whole = await api.walk("/api/v2/deals")
    assert ids(found) == [3, 5]
    assert len(whole) == len(company.live["deal"])


async def test_windows_of_update_times_tile() -> None:
    """`updated_since` is inclusive and `updated_until` exclusive, to the second."""
    clock = Clock()
    company = made_company(now=clock)
    for record_id in range(1, 9):
        clock.forward(1)
        company.edit_all("person", [record_id], owner_id=1)
    middle = company.live["person"][4]["update_time"]
    async with asking(company) as api:
        before = await api.walk("/api/v2/persons", updated_until=middle)
        since = await api.walk("/api/v2/persons", updated_since=middle)
        both = await api.walk(
            "/api/v2/persons", updated_since=middle, updated_until=stamp(START + 10 * DAY * 1_000_000)
        )
    assert 4 in ids(since)
    assert sorted(ids(before) + ids(since)) == sorted(company.live["person"].copy())
    assert both == since


@pytest.mark.parametrize("time", ["2026-01-01T00:00:00.000Z", "2026-01-01 00:00:00", "2026-01-01", "yesterday"])
async def test_a_time_in_any_other_format_is_refused(time: str) -> None:
    async with asking(made_company()) as api:
        assert (await api.get("/api/v2/deals", updated_since=time)).status == 400
        assert (await api.get("/v1/leads", updated_since=time)).status == 400


@pytest.mark.parametrize("path", ["/api/v2/pipelines", "/api/v2/stages"])
async def test_lists_without_a_delta_refuse_one(path: str) -> None:
    async with asking(made_company()) as api:
        assert (await api.get(path, updated_since="2026-01-01T00:00:00Z")).status == 400
        assert (await api.get(path)).status == 200


async def test_deleted_deals_are_listed_on_request_for_thirty_days() -> None:
    clock = Clock()
    company = made_company(now=clock)
    company.delete("deal", 3)
    async with asking(company) as api:
        assert 3 not in ids(await api.walk("/api/v2/deals"))
        deleted = await api.walk("/api/v2/deals", status="deleted")
        assert [(row["id"], row["is_deleted"]) for row in deleted] == [(3, True)]
        everything = await api.walk("/api/v2/deals", status="open,won,lost,deleted")
        assert set(ids(everything)) == {*company.live["deal"].copy(), 3}
        clock.forward(31 * DAY)
        assert await api.walk("/api/v2/deals", status="deleted") == []


@pytest.mark.parametrize("bumped", [False, True])
async def test_a_delete_moves_the_update_time_only_where_it_is_told_to(bumped: bool) -> None:
    clock = Clock()
    company = made_company(now=clock, bumped_by_delete=("deal",) if bumped else ())
    clock.forward(1_000)
    since = stamp(clock())
    clock.forward(1_000)
    company.delete("deal", 3)
    async with asking(company) as api:
        assert len(await api.walk("/api/v2/deals", status="deleted", updated_since=since)) == bumped


async def test_what_is_archived_leaves_one_list_and_enters_the_other() -> None:
    company = made_company()
    lead_id = next(record["id"] for record in company.live["lead"] if not record["is_archived"])
    project_id = next(record["id"] for record in company.live["project"])
    company.set("deal", 4, {"is_archived": True})
    company.set("lead", lead_id, {"is_archived": True})
    company.set("project", project_id, {"archive_time": "2026-01-01T00:00:00Z"})
    async with asking(company) as api:
        for path, record_id in (("/api/v2/deals", 4), ("/api/v2/projects", project_id)):
            assert record_id not in ids(await api.walk(path))
            assert record_id in ids(await api.walk(f"{path}/archived"))
        assert lead_id not in ids((await api.get("/v1/leads", limit=500)).rows)
        assert lead_id in ids((await api.get("/v1/leads/archived", limit=500)).rows)
