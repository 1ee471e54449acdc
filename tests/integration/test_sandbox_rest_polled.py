"""The lists of the sandbox's REST API that no webhook makes up for, each with its own manners."""

from typing import Any

import pytest
from rig.asking import Asking, asking, made_company

from sandbox.cloud import Company
from sandbox.events import versions
from sandbox.records import POLLED, SHAPES
from sandbox.script import _silent, step


def test_something_changes_of_everything_that_only_polling_notices() -> None:
    company = made_company()
    happened: set[tuple[str, str]] = set()
    company.watchers.append(lambda event: happened.add((event.entity, event.action)))
    assert {event.entity for _ in range(500) for event in step(company)} <= SHAPES.keys(), "no event of them is sent"
    assert happened & {(entity, "create") for entity in POLLED}
    assert not [event for _ in range(3_000) for event in _silent(company)]
    assert all(versions(entity) == frozenset() for entity in POLLED)
    edited = {entity for entity in POLLED if POLLED[entity].edited}
    assert {entity for entity, action in happened if action == "change"} >= edited
    assert {entity for entity, action in happened if action == "delete"} >= POLLED.keys() - {
        *("user_permission", "currency", "billing_addon", "lead_source")
    }


@pytest.mark.parametrize(("entity", "column"), [("product_image", "product_id"), ("person_picture", "item_id")])
def test_what_there_is_one_of_is_never_made_twice(entity: str, column: str) -> None:
    company = made_company()
    made = [company.try_create(entity) for _ in range(300)]
    owners = [record[column] for record in company.live[entity]]
    assert len(owners) == len(set(owners))
    assert None in made


async def test_files_and_calls_have_smaller_pages() -> None:
    company = made_company()
    for _ in range(120):
        company.create("file")
        company.create("call_log")
    async with asking(company) as api:
        assert len((await api.get("/v1/files", limit=500)).rows) == 100
        assert len((await api.get("/v1/callLogs", limit=500)).rows) == 50


async def test_goals_are_told_apart_by_activity_and_only_ones_own_unless_asked() -> None:
    company = made_company()
    mine = company.create("goal", owner_id=1, is_active=True).id
    theirs = company.create("goal", owner_id=2, is_active=True).id
    idle = company.create("goal", owner_id=1, is_active=False).id
    async with asking(company) as api:

        async def found(**params: str) -> set[Any]:
            return {goal["id"] for goal in (await api.get("/v1/goals/find", **params)).body["data"]["goals"]}

        assert mine in await found()
        assert {theirs, idle}.isdisjoint(await found())
        assert {mine, theirs} <= await found(**{"assignee.type": "person"})
        assert idle in await found(is_active="false")


async def test_threads_are_told_by_folder() -> None:
    company = made_company()
    thread = company.create("mail_thread", folders=["sent"]).id
    async with asking(company) as api:
        inbox = (await api.get("/v1/mailbox/mailThreads", limit=500)).rows
        sent = (await api.get("/v1/mailbox/mailThreads", limit=500, folder="sent")).rows
    assert thread not in {row["id"] for row in inbox}
    assert thread in {row["id"] for row in sent}
    assert {row["read_flag"] for row in sent} <= {0, 1}


async def test_the_conditions_of_a_filter_are_told_by_its_get_alone() -> None:
    async with asking(made_company()) as api:
        row = (await api.get("/v1/filters")).rows[0]
        one = (await api.get(f"/v1/filters/{row['id']}")).body["data"]
    assert one.keys() - row.keys() == {"conditions"}


async def test_a_relationship_is_told_at_both_of_its_organizations() -> None:
    company = made_company()
    made = company.create("organization_relationship", rel_owner_org_id=1, rel_linked_org_id=2).id
    async with asking(company) as api:
        for organization in (1, 2):
            rows = (await api.get("/v1/organizationRelationships", org_id=organization)).rows
            assert made in {row["id"] for row in rows}
        assert (await api.get("/v1/organizationRelationships")).status == 400


@pytest.mark.parametrize("path", ["/api/v2/products/{}/images", "/api/v2/persons/{}/picture"])
async def test_what_there_is_one_of_at_most_is_told_alone(path: str) -> None:
    company = made_company()
    product, person = company.create("product").id, company.create("person").id
    record_id = product if "products" in path else person
    async with asking(company) as api:
        assert (await api.get(path.format(record_id))).body["data"] is None
        company.create("product_image", product_id=product)
        company.create("person_picture", item_id=person)
        assert isinstance((await api.get(path.format(record_id))).body["data"], dict)


async def test_children_of_nobody_are_not_found() -> None:
    async with asking(made_company()) as api:
        for path in ("/api/v2/deals/9999/followers", "/v1/notes/9999/comments", "/api/v2/deals/9999/products"):
            assert (await api.get(path)).status == 404


async def test_the_counters_of_a_parent_move_with_its_children_and_its_update_time_does_not() -> None:
    company = made_company()
    deal = company.create("deal")
    async with asking(company) as api:

        async def counted() -> tuple[Any, ...]:
            asked = "products_count,participants_count,followers_count"
            row = (await api.get(f"/api/v2/deals/{deal.id}", include_fields=asked)).body["data"]
            return row["products_count"], row["participants_count"], row["followers_count"], row["update_time"]

        assert await counted() == (0, 0, 0, None)
        made = company.create("deal_product", deal_id=deal.id)
        company.create("deal_participant", related_item_id=deal.id)
        company.create("deal_follower", deal_id=deal.id)
        assert await counted() == (1, 1, 1, None)
        company.delete("deal_product", made.id)
        assert await counted() == (0, 1, 1, None)


async def logs_of(company: Company, path: str) -> list[dict[str, Any]]:
    """Of what follows once somebody keeps them."""
    async with asking(company) as api:
        company.edit_all("deal", [1], title="Before")
        company.set("deal", 1, {"title": "After"})
        company.create("deal_participant", related_item_id=1, person_id=2)
        follower = company.create("deal_follower", deal_id=1, user_id=2)
        company.delete("deal_follower", follower.id)
        return await api.walk(path, limit=1)


async def test_logs_tell_what_changed_newest_first() -> None:
    rows = await logs_of(made_company(), "/v1/deals/1/changelog")
    assert [(row["field_key"], row["new_value"]) for row in rows] == [("title", "After"), ("title", "Before")]
    assert [row["is_bulk_update_flag"] for row in rows] == [False, True]
    participants = await logs_of(made_company(), "/v1/deals/1/participantsChangelog")
    assert [(row["action"], row["person_id"]) for row in participants] == [("added", 2)]
    followers = await logs_of(made_company(), "/api/v2/deals/1/followers/changelog")
    assert [(row["action"], row["follower_user_id"]) for row in followers] == [("removed", 2), ("added", 2)]


async def test_a_company_that_is_served_again_logs_everything_once() -> None:
    company = made_company()
    async with asking(company):
        company.edit_all("deal", [1], title="Before")
    async with asking(company) as api:
        company.edit_all("deal", [1], title="After")
        rows = await api.walk("/v1/deals/1/changelog")
    assert [row["new_value"] for row in rows] == ["After", "Before"]


async def _paged(api: Asking, path: str) -> list[Any]:
    found: list[Any] = []
    while True:
        answer = await api.get(path, start=len(found), limit=3)
        found += answer.rows
        if not answer.body["additional_data"]["pagination"]["more_items_in_collection"]:
            return found


async def test_offsets_of_what_hangs_on_a_parent() -> None:
    company = made_company()
    for user in range(2, 5):
        company.create("role_assignment", role_id=1, user_id=user)
    async with asking(company) as api:
        users = [row["user_id"] for row in await _paged(api, "/v1/roles/1/assignments")]
    assert users == sorted(record["user_id"] for record in company.live["role_assignment"] if record["role_id"] == 1)
