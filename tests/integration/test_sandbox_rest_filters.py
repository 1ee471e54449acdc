"""Which rows a list of the sandbox's REST API shows: by column, by id, by parent."""

from typing import Any

import pytest
from rig.asking import asking, made_company

from sandbox.script import step


def ids(rows: list[dict[str, Any]]) -> list[Any]:
    return [row["id"] for row in rows]


async def test_ids_leave_out_who_is_not_there() -> None:
    company = made_company()
    company.delete("person", 2)
    async with asking(company) as api:
        assert ids((await api.get("/api/v2/persons", ids="1,2,3,9999")).rows) == [1, 3]
        too_many = ",".join(map(str, range(101)))
        assert (await api.get("/api/v2/persons", ids=too_many)).status == 400


async def test_children_are_asked_for_by_their_parents() -> None:
    company = made_company()
    async with asking(company) as api:
        products = await api.walk("/api/v2/deals/products", deal_ids=",".join(map(str, range(1, 41))))
        assert set(ids(products)) == set(company.live["deal_product"].copy())
        assert (await api.get("/api/v2/deals/products")).status == 400
        assert (await api.get("/api/v2/deals/products", deal_ids=",".join(map(str, range(101))))).status == 400
        assert (await api.get("/api/v2/phases")).status == 400
        phases = [
            row
            for board in company.live["board"].copy()
            for row in (await api.get("/api/v2/phases", board_id=board)).rows
        ]
    assert set(ids(phases)) == set(company.live["phase"].copy())


FILTERS = {
    "of an owner": ("/api/v2/deals", "deal", "owner_id", "1"),
    "of a pipeline": ("/api/v2/stages", "stage", "pipeline_id", "1"),
    "done": ("/api/v2/activities", "activity", "done", "true"),
    "of an author": ("/v1/notes", "note", "user_id", "2"),
}


@pytest.mark.parametrize(("path", "entity", "column", "value"), FILTERS.values(), ids=FILTERS.keys())
async def test_filters_filter(path: str, entity: str, column: str, value: str) -> None:
    company = made_company()
    for _ in range(200):
        step(company)
    shown = [record for record in company.live[entity] if not record.get("is_archived")]
    expected = {record["id"] for record in shown if str(record[column]).lower() == value}
    async with asking(company) as api:
        found = await api.get(path, limit=500, **{column: value})
        ignored = await api.get(path, limit=500, **{column: value}, filter_id=1)
    assert set(ids(found.rows)) == expected
    assert 0 < len(expected) < len(ignored.rows), "with filter_id the other filters are ignored"


async def test_a_filter_may_be_of_what_a_column_holds() -> None:
    company = made_company()
    mine, other = company.create("project", deal_ids=[1, 2]).id, company.create("project", deal_ids=[3]).id
    async with asking(company) as api:
        found = ids(await api.walk("/api/v2/projects", deal_id=2))
    assert mine in found
    assert other not in found
