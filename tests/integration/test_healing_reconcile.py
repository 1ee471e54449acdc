"""Reconciles: what is gone is asked for first, what is many is missed twice, and what could not be seen is not gone."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from rig import asking, events
from rig.healing import GENEROUS, differing, reading
from rig.mirrored import apply, company_of
from rig.racing import Ticking, broken_history, shown

from sandbox.cloud import Company as Cloud
from sandbox.defining import rename_field, rename_option
from sandbox.rest.mischief import RestMischief
from sandbox.rest.server import serve
from sandbox.script import step
from schema.entities import BY_NAME, ENTITIES
from store import seen, upkeep
from store.companies import Company
from store.database import Pool
from worker.healing.absent import FEW
from worker.healing.backfill import backfill
from worker.healing.drift import Drift
from worker.healing.order import Wanted, lists
from worker.healing.reconcile import WHOLE, reconcile

ALL = lists(ENTITIES)


def of(*names: str) -> Wanted:
    return lists([BY_NAME[name] for name in names])


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def cloud(clock: Ticking) -> Cloud:
    return asking.made_company(deals=40, now=clock)


async def buried(pool: Pool, company: Company, table: str) -> set[Any]:
    async with pool.acquire() as connection:
        rows = await connection.fetch(f'SELECT * FROM "{company.slug}_raw".{table} WHERE _deleted_at IS NOT NULL')
    return {row["id"] for row in rows}


def drift_of(drifts: Iterable[Drift], entity: str) -> Drift:
    return next(one for one in drifts if one.entity == entity)


async def test_more_than_may_be_gone_at_once_are_buried_when_they_are_missed_twice(
    pool: Pool, cloud: Cloud, clock: Ticking
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    for _ in range(FEW + 30):
        cloud.create("activity")
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("activity"))
        gone = [activity["id"] for activity in cloud.live["activity"]][: FEW + 1]
        for activity_id in gone:
            cloud.delete("activity", activity_id)
        clock.forward(600)
        [looked] = await reconcile(reader, of("activity"))
        assert (looked.superfluous, looked.doubted) == (FEW + 1, 0)
        [first] = await reconcile(reader, of("activity"), repair=True)
        assert (first.superfluous, first.doubted) == (FEW + 1, FEW + 1), "looking is no first pass"
        assert await buried(pool, company, "activities") == set()
        cloud.restore("activity", gone[0])
        late = next(iter(cloud.live["activity"]))["id"]
        cloud.delete("activity", late)
        clock.forward(600)
        [second] = await reconcile(reader, of("activity"), repair=True)
        assert second.superfluous == FEW + 1
        assert second.doubted == 1, "that one is missed for the first time"
        assert await buried(pool, company, "activities") == set(gone[1:])


async def test_as_many_as_may_be_gone_at_once_are_buried_at_once(pool: Pool, cloud: Cloud, clock: Ticking) -> None:
    company = await company_of(pool, cloud.account.company_id)
    for _ in range(FEW):
        cloud.create("activity")
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("activity"))
        gone = [activity["id"] for activity in cloud.live["activity"]][:FEW]
        for activity_id in gone:
            cloud.delete("activity", activity_id)
        clock.forward(600)
        assert [one.doubted for one in await reconcile(reader, of("activity"), repair=True)] == [0]
    assert await buried(pool, company, "activities") == set(gone)


async def test_what_was_told_of_just_now_is_not_taken_for_gone_and_not_for_mended(
    pool: Pool, cloud: Cloud, clock: Ticking
) -> None:
    """Pipedrive's lists may be late: only who asks a minute later knows."""
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("activity"))
        [early, late, *_] = [activity["id"] for activity in cloud.live["activity"]]
        clock.forward(600)
        moment = clock()
        told = {"update_time": moment // 1_000_000, "subject": "just now"}
        body = events.v2_body("activity", late, moment, told, action="change", company_id=str(company.id))
        await apply(pool, company, events.event(body, company.id))
        for activity_id in (early, late):
            cloud.delete("activity", activity_id)
        [first] = await reconcile(reader, of("activity"), repair=True)
        assert (first.superfluous, first.recent) == (1, 1)
        assert await buried(pool, company, "activities") == {early}
        clock.forward(120)
        [second] = await reconcile(reader, of("activity"), repair=True)
        assert (second.superfluous, second.recent) == (1, 0)
    assert await buried(pool, company, "activities") == {early, late}


async def test_a_part_that_is_compared_meanwhile_forgets_no_doubt_of_another_part(
    pool: Pool, cloud: Cloud, clock: Ticking
) -> None:
    """Every night another window: else what many of them miss would stay for ever."""
    company = await company_of(pool, cloud.account.company_id)
    for _ in range(FEW + 10):
        cloud.create("activity")
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("activity"))
        moment = max(activity["update_time"] for activity in cloud.live["activity"])
        border = datetime.fromisoformat(moment) + timedelta(seconds=1)
        gone = [activity["id"] for activity in cloud.live["activity"]][: FEW + 5]
        for activity_id in gone:
            cloud.delete("activity", activity_id)
        clock.forward(600)
        old, new = (None, border), (border, None)
        await reconcile(reader, of("activity"), repair=True, window=old)
        assert await buried(pool, company, "activities") == set()
        await reconcile(reader, of("activity"), repair=True, window=new)
        await reconcile(reader, of("activity"), repair=True, window=old)
    assert await buried(pool, company, "activities") == set(gone)


async def test_what_a_token_that_is_no_admins_does_not_show_is_not_taken_for_deleted(
    pool: Pool, cloud: Cloud, clock: Ticking
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("deal", "note"))
        cloud.hidden |= {("deal", 3), ("note", 2)}
        cloud.delete("deal", 4)
        clock.forward(600)
        drifts = await reconcile(reader, of("deal", "note"), repair=True, trusted=False)
        assert drift_of(drifts, "deal").hidden == 1, "whether it was deleted, or hidden, this user cannot know"
        assert drift_of(drifts, "note").hidden == 1
    assert await buried(pool, company, "deals") == {4}, "a list says that it was deleted"
    assert await buried(pool, company, "notes") == set()


async def test_a_key_that_is_no_part_of_a_path_is_asked_for_all_the_same(
    pool: Pool, cloud: Cloud, clock: Ticking
) -> None:
    """And one that Pipedrive does not even understand holds up no other."""
    company = await company_of(pool, cloud.account.company_id)
    raw = f'"{company.slug}_raw"'
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("deal_field", "note"))
        async with pool.acquire() as connection:
            await connection.execute(
                f"INSERT INTO {raw}.deal_fields (field_code, _version, _revision, _source, _synced_at) "
                f"SELECT 'no one/? of', _version, 1, 'backfill', _synced_at FROM {raw}.deal_fields LIMIT 1"
            )
            await connection.execute(f"UPDATE {raw}.notes SET id = id - 1000 WHERE id <= 2")
        clock.forward(60)  # answers are dated to the second: within one nobody can tell which was later
        drifts = await reconcile(reader, of("deal_field", "note"), repair=True)
    assert [(one.entity, one.superfluous, one.hidden, one.unread) for one in drifts] == [
        ("deal_field", 1, 0, ""),
        ("note", 0, 2, ""),
    ]


async def test_archived_and_converted_records_are_no_deleted_ones_and_merged_ones_are(
    pool: Pool, cloud: Cloud, clock: Ticking
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    wanted = of("deal", "lead", "person", "project")
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, wanted)
        lead, other = (one["id"] for one in list(cloud.live["lead"])[:2])
        cloud.set("deal", 3, {"is_archived": True})
        cloud.set("lead", lead, {"is_archived": True})
        cloud.create("deal", source_lead_id=other)
        cloud.delete("lead", other)
        cloud.merge("person", 2, 1)
        clock.forward(600)
        await reconcile(reader, wanted, repair=True)
        assert "\n".join(shown(await reconcile(reader, wanted))) == ""
    assert await buried(pool, company, "deals") == set()
    assert {str(one) for one in await buried(pool, company, "leads")} == {other}
    assert await buried(pool, company, "persons") == {2}


async def test_who_cannot_read_one_of_an_entitys_lists_knows_of_nothing_that_it_is_gone(
    pool: Pool, cloud: Cloud, clock: Ticking
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    archived, gone = (one["id"] for one in list(cloud.live["lead"])[:2])
    cloud.set("lead", archived, {"is_archived": True})
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("lead", "note"))
        rest.mischief = RestMischief(forbidden=frozenset({"/v1/leads/archived"}))
        cloud.delete("lead", gone)
        cloud.delete("note", 2)
        clock.forward(600)
        drifts = await reconcile(reader, of("lead", "note"), repair=True)
        assert drift_of(drifts, "lead").unread.startswith("scope_missing: ")
        assert await buried(pool, company, "leads") == set()
        assert await buried(pool, company, "notes") == {2}, "the others are compared"
        rest.mischief = RestMischief()
        await reconcile(reader, of("lead"), repair=True)
    assert {str(one) for one in await buried(pool, company, "leads")} == {gone}


async def test_what_cannot_be_verified_stays_and_is_told_and_the_others_are_compared(
    pool: Pool, cloud: Cloud, clock: Ticking
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("note", "activity"))
        rest.mischief = RestMischief(forbidden=frozenset({"/v1/notes/{id}"}))
        cloud.delete("note", 2)
        cloud.delete("activity", 2)
        clock.forward(600)
        drifts = await reconcile(reader, of("note", "activity"), repair=True)
        assert drift_of(drifts, "note").unread.startswith("scope_missing: ")
    assert await buried(pool, company, "notes") == set()
    assert await buried(pool, company, "activities") == {2}


@pytest.mark.parametrize("share", [0.3, 0.6])
async def test_null_bodies_bury_nothing_that_lives(pool: Pool, cloud: Cloud, share: float) -> None:
    """Neither where one record can be asked for, nor where only a list can be read again."""
    company = await company_of(pool, cloud.account.company_id)
    wanted = of("lead_label", "lead_source", "currency", "activity_type", "user", "deal", "note", "pipeline", "stage")
    async with serve(cloud, limits=GENEROUS, seed=3) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, wanted)
        rest.mischief = RestMischief(nulls=share)
        for entity, listings in wanted:
            for _ in range(4):
                await reconcile(reader, [(entity, listings)], repair=True)
        rest.mischief = RestMischief()
        assert {
            entity.plural: found for entity, _ in wanted if (found := await buried_key(pool, company, entity))
        } == {}


async def test_all_of_a_list_whose_records_nobody_can_ask_for_are_not_gone_at_once(
    pool: Pool, cloud: Cloud, clock: Ticking
) -> None:
    """It may be empty for who may not see it any more."""
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("lead_label"))
        labels = [label["id"] for label in cloud.live["lead_label"]]
        for label in labels:
            cloud.delete("lead_label", label)
        clock.forward(600)
        assert [one.doubted for one in await reconcile(reader, of("lead_label"), repair=True)] == [len(labels)]
        assert await buried(pool, company, "lead_labels") == set()
        assert [one.doubted for one in await reconcile(reader, of("lead_label"), repair=True)] == [0]
    assert {str(one) for one in await buried(pool, company, "lead_labels")} == set(labels)


async def buried_key(pool: Pool, company: Company, entity: Any) -> int:
    async with pool.acquire() as connection:
        found: int = await connection.fetchval(
            f'SELECT count(*) FROM "{company.slug}_raw".{entity.plural} WHERE _deleted_at IS NOT NULL'
        )
    return found


async def test_records_that_change_come_and_go_during_it_end_right(pool: Pool, cloud: Cloud, clock: Ticking) -> None:
    company = await company_of(pool, cloud.account.company_id)
    for _ in range(60):
        step(cloud)
    top = [(entity, listings) for entity, listings in ALL if entity.name != "filter"]
    mischief = RestMischief(changes=2)
    async with serve(cloud, limits=GENEROUS, mischief=mischief) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, top)
        clock.forward(120)
        for _ in range(2):
            await reconcile(reader, top, repair=True)
            clock.forward(120)
        rest.mischief = RestMischief()
        await reconcile(reader, top, repair=True)
        assert "\n".join(shown(await reconcile(reader, top))) == ""
    read = {entity.plural for entity, _ in top}
    left = [line for line in await differing(pool, company, cloud) if line.split()[0] in read]
    assert "\n".join(left) == ""
    assert "\n".join(await broken_history(pool, company)) == ""


async def test_what_somebody_has_written_since_the_lists_were_begun_is_not_missed(pool: Pool, cloud: Cloud) -> None:
    """It may have been made when they had been read."""
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("currency"))
    async with pool.acquire() as connection:
        began = await upkeep.now(connection)
        await connection.execute(f'UPDATE "{company.slug}_raw".currencies SET _synced_at = now() WHERE id = 1')
        found = await seen.missed(
            connection, company.id, company.slug, BY_NAME["currency"], before=began, window=WHOLE, most=100
        )
    assert {one.id for one in found} == {currency["id"] for currency in cloud.live["currency"]} - {1}


async def test_a_row_that_cannot_be_read_is_told_and_neither_missing_nor_gone(
    pool: Pool, cloud: Cloud, clock: Ticking
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("note"))
        cloud.live["note"].put({**cloud.live["note"][2], "deal_id": "none"})
        clock.forward(600)
        [drift] = await reconcile(reader, of("note"), repair=True)
        assert (drift.refused, drift.superfluous, drift.total) == (1, 0, 0)
    assert await buried(pool, company, "notes") == set()


async def test_what_it_mends_is_history_with_its_name(pool: Pool, cloud: Cloud, clock: Ticking) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("deal_field", "deal"))
        cloud.set("deal", 3, {"title": "nobody told"})
        cloud.delete("deal", 4)
        clock.forward(600)
        await reconcile(reader, of("deal"))
        assert await told(pool, company) == set(), "looking alone changes nothing"
        await reconcile(reader, of("deal"), repair=True)
        await reconcile(reader, of("deal"), repair=True)
    assert await told(pool, company) == {("3", "title", "reconcile"), ("4", "_deleted_at", "reconcile")}
    assert await broken_history(pool, company) == []


async def told(pool: Pool, company: Company) -> set[tuple[str, str, str]]:
    history = f'"{company.slug}_raw".field_changes'
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            f"SELECT entity_id, field, source, count(*) AS times FROM {history} GROUP BY 1, 2, 3"
        )
    assert {row["times"] for row in rows} <= {1}
    return {(row["entity_id"], row["field"], row["source"]) for row in rows}


async def test_names_and_options_that_a_field_had_are_history(pool: Pool, cloud: Cloud, clock: Ticking) -> None:
    company = await company_of(pool, cloud.account.company_id)
    field = next(field for field in cloud.fields["deal"] if field.type == "enum")
    before = next(one for one in cloud.live["deal_field"] if one["field_code"] == field.code)
    renamed = before["options"][0] | {"label": "as it is called now"}
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("deal_field"))
        clock.forward(600)
        rename_field(cloud, "deal", field.code, "a newer name")
        rename_option(cloud, "deal", field.code, renamed["id"], renamed["label"])
        clock.forward(600)
        await reconcile(reader, of("deal_field"), repair=True)
    async with pool.acquire() as connection:
        told = await connection.fetch(
            f'SELECT field, old_value, new_value FROM "{company.slug}_raw".field_changes '
            "WHERE entity = 'deal_field' AND entity_id = $1",
            field.code,
        )
    history = {row["field"]: (row["old_value"], row["new_value"]) for row in told}
    assert history["field_name"] == (before["field_name"], "a newer name")
    old, new = history["options"]
    labels = [[one["label"] for one in options if one["id"] == renamed["id"]] for options in (old, new)]
    assert labels == [[before["options"][0]["label"]], [renamed["label"]]]


async def test_a_list_of_definitions_that_fails_holds_up_no_comparison(
    pool: Pool, cloud: Cloud, clock: Ticking
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("deal_field", "deal"))
        cloud.set("deal", 3, {"title": "nobody told"})
        clock.forward(600)
        rest.mischief = RestMischief(forbidden=frozenset({"/api/v2/dealFields"}))
        drifts = await reconcile(reader, of("deal_field", "deal"), repair=True)
        assert drift_of(drifts, "deal_field").unread.startswith("scope_missing: ")
        assert (drift_of(drifts, "deal").different, drift_of(drifts, "deal").unread) == (1, "")
    deals = [line for line in await differing(pool, company, cloud) if line.startswith(("deals ", "deal_fields "))]
    assert deals == []
