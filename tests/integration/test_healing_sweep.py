"""Sweeps: what changed since the watermark is read, and the watermark knows no more than was read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rig import asking
from rig.asking import Clock
from rig.healing import GENEROUS, reading
from rig.mirrored import company_of

from sandbox.cloud import Company as Cloud
from sandbox.records import stamp
from sandbox.rest.api import Rest
from sandbox.rest.mischief import RestMischief
from sandbox.rest.server import serve
from schema.columns import instant
from schema.entities import BY_NAME
from store import walks
from store.companies import Company
from store.database import Pool
from store.walks import DONE, RUNNING, Walk
from worker.healing.backfill import backfill
from worker.healing.order import Wanted, lists
from worker.healing.reconcile import reconcile
from worker.healing.sweep import OVERLAP, sweep
from worker.healing.walking import Reader

DEALS = "/api/v2/deals"
SECOND = timedelta(seconds=1)


def of(*names: str, limit: int = 500) -> Wanted:
    wanted = lists([BY_NAME[name] for name in names])
    return [(entity, [replace(listing, limit=min(limit, listing.limit)) for listing in of]) for entity, of in wanted]


@pytest.fixture
def clock() -> Clock:
    """Stands still; near ours, or it would not be believed."""
    return Clock(int(datetime.now(UTC).timestamp()) * 1_000_000 - 3_600_000_000)


@pytest.fixture
def cloud(clock: Clock) -> Cloud:
    return asking.made_company(deals=30, now=clock)


async def watermark(pool: Pool, company: Company, entity: str = "deal", listing: str = DEALS) -> datetime:
    async with pool.acquire() as connection:
        found = await walks.watermark(connection, company.id, entity, listing)
    assert found is not None
    return found


async def titles(pool: Pool, company: Company, table: str = "deals", column: str = "title") -> dict[str, Any]:
    async with pool.acquire() as connection:
        rows = await connection.fetch(f'SELECT id::text, {column} AS told FROM "{company.slug}_raw".{table}')
    return {row["id"]: row["told"] for row in rows}


def updated(cloud: Cloud, deal_id: Any, at: str, title: str) -> None:
    """An update that says it was `at`, whenever it becomes visible."""
    cloud.live["deal"].put({**cloud.live["deal"][deal_id], "title": title, "update_time": at})


async def ask_since(rest: Rest, reader: Reader, wanted: Wanted) -> list[str]:
    """What the first request of each list of a sweep asked for."""
    before = len(list(rest.log))
    await sweep(reader, wanted)
    return [one.params["updated_since"] for one in list(rest.log)[before:] if "updated_since" in one.params]


async def test_the_watermark_comes_from_answers_and_never_from_our_clock(
    pool: Pool, cloud: Cloud, clock: Clock
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    began = clock()
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("deal"))
        assert instant(began) - 2 * SECOND <= await watermark(pool, company) <= instant(began)

        clock.forward(600)
        cloud.set("deal", 3, {"title": "later"})
        newest = datetime.fromisoformat(cloud.live["deal"][3]["update_time"])
        clock.forward(900)
        await sweep(reader, of("deal"))
        assert await watermark(pool, company) == newest, "nobody said more than that"
        await sweep(reader, of("deal"))
        assert await watermark(pool, company) == newest, "an answer without rows says nothing"
    assert (await titles(pool, company))["3"] == "later"


async def test_what_becomes_visible_late_is_found_within_the_overlap_second_included(
    pool: Pool, cloud: Cloud, clock: Clock
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("deal"))
        clock.forward(600)
        cloud.set("deal", 3, {"title": "newest"})
        await sweep(reader, of("deal"))
        known = await watermark(pool, company)
        just, too_early = (
            stamp(int((known - OVERLAP - late).timestamp()) * 1_000_000) for late in (0 * SECOND, SECOND)
        )
        updated(cloud, 5, just, "committed late")
        updated(cloud, 6, too_early, "committed too late")
        assert (await ask_since(rest, reader, of("deal")))[0] == just
    found = await titles(pool, company)
    assert found["5"] == "committed late"
    assert found["6"] != "committed too late", "or this test proves nothing of the bound"


async def test_rows_of_one_second_on_both_sides_of_a_page_are_all_read(pool: Pool, cloud: Cloud, clock: Clock) -> None:
    """A bulk edit stamps many rows with one time: more than a page of them."""
    company, wanted = await company_of(pool, cloud.account.company_id), of("deal", limit=4)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, wanted)
        clock.forward(600)
        ids = [deal["id"] for deal in cloud.live["deal"]][:18]
        cloud.edit_all("deal", ids, title="all at once")
        await sweep(reader, wanted)
        await sweep(reader, wanted)
    assert {name for name, title in (await titles(pool, company)).items() if title == "all at once"} == {*map(str, ids)}


async def test_a_time_to_come_is_not_taken_for_a_watermark(pool: Pool, cloud: Cloud, clock: Clock) -> None:
    """Else nothing would be asked for until then."""
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("deal"))
        updated(cloud, 5, "2099-01-01T00:00:00Z", "from the future")
        await sweep(reader, of("deal"))
        assert (await titles(pool, company))["5"] == "from the future"
        assert await watermark(pool, company) <= instant(clock())


async def test_a_sweep_that_is_interrupted_goes_on_and_moves_no_watermark_before_its_end(
    pool: Pool, cloud: Cloud, clock: Clock
) -> None:
    company, wanted = await company_of(pool, cloud.account.company_id), of("deal", limit=4)

    class KilledError(Exception):
        pass

    def killed(walk: Walk) -> None:
        if walk.kind == "sweep" and walk.list == DEALS and walk.calls == 2:
            raise KilledError

    async with serve(cloud, limits=GENEROUS) as rest:
        async with reading(pool, company, rest, on_page=killed) as reader:
            await backfill(reader, wanted)
            known = await watermark(pool, company)
            clock.forward(600)
            ids = [deal["id"] for deal in cloud.live["deal"]][:18]
            for deal_id in ids:
                clock.forward(1)
                cloud.set("deal", deal_id, {"title": "changed"})
            with pytest.raises(KilledError):
                await sweep(reader, wanted)
            assert await watermark(pool, company) == known
        clock.forward(600)
        asked = len(list(rest.log))
        async with reading(pool, company, rest) as reader:
            [walk] = [walk for walk in await sweep(reader, wanted) if walk.list == DEALS]
        pages = [one for one in list(rest.log)[asked:] if one.route == DEALS]
        assert (walk.state, len(pages)) == (DONE, 3), "of five pages two had been written"
        assert all("cursor" in one.params for one in pages)
    assert {name for name, title in (await titles(pool, company)).items() if title == "changed"} == {*map(str, ids)}
    assert await watermark(pool, company) > known


async def test_a_list_that_has_no_since_is_read_newest_first_until_what_is_known_comes(
    pool: Pool, cloud: Cloud, clock: Clock
) -> None:
    company, wanted = await company_of(pool, cloud.account.company_id), of("file", limit=3)
    for _ in range(20):
        clock.forward(60)
        cloud.try_create("file")
    listing = "/v1/files"
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, wanted)
        clock.forward(3_600)
        files = [file["id"] for file in cloud.live["file"]]
        changed = [files[0], files[7], files[-1]]
        for file_id in changed:
            clock.forward(60)
            cloud.set("file", file_id, {"description": "changed"})
        asked = len(list(rest.log))
        await sweep(reader, wanted)
        pages = len(list(rest.log)) - asked
        found = await titles(pool, company, "files", "description")
        assert {name for name, told in found.items() if told == "changed"} == {*map(str, changed)}
        assert pages < len(files) // 3, "it stops"
        newest = max(file["update_time"] for file in cloud.live["file"])
        assert await watermark(pool, company, "file", listing) == datetime.fromisoformat(newest).replace(tzinfo=UTC)


async def test_what_moves_to_the_front_of_such_a_list_while_it_is_read_is_found_the_next_time(
    pool: Pool, cloud: Cloud, clock: Clock
) -> None:
    company, wanted = await company_of(pool, cloud.account.company_id), of("file", limit=3)
    for _ in range(20):
        clock.forward(60)
        cloud.try_create("file")
    last = next(iter(cloud.live["file"]))["id"]

    def moves(walk: Walk) -> None:
        if walk.kind == "sweep" and walk.calls == 1 and walk.state == RUNNING:
            clock.forward(5)
            cloud.set("file", last, {"description": "moved"})

    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest, on_page=moves) as reader:
        await backfill(reader, wanted)
        clock.forward(3_600)
        for file in list(cloud.live["file"])[5:12]:
            clock.forward(10)
            cloud.set("file", file["id"], {"description": "changed"})
        await sweep(reader, wanted)
        clock.forward(60)
        await sweep(reader, wanted)
    assert (await titles(pool, company, "files", "description"))[str(last)] == "moved"


async def test_an_archived_record_is_found_in_the_list_of_the_archived(pool: Pool, cloud: Cloud, clock: Clock) -> None:
    """It leaves the one list without a word, and stands in the other."""
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("deal", "lead"))
        clock.forward(600)
        lead = next(one["id"] for one in cloud.live["lead"] if not one["is_archived"])
        cloud.set("lead", lead, {"is_archived": True, "archive_time": stamp(clock())})
        cloud.set("deal", 3, {"is_archived": True, "archive_time": stamp(clock())})
        await sweep(reader, of("deal", "lead"))
    assert (await titles(pool, company, column="is_archived"))["3"] is True
    assert (await titles(pool, company, "leads", "is_archived"))[str(lead)] is True


async def test_lists_that_cannot_tell_what_changed_are_read_whole_when_they_are_due(
    pool: Pool, cloud: Cloud, clock: Clock
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    wanted = of("stage", "deal")
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, wanted)
        clock.forward(600)
        cloud.set("stage", 1, {"name": "renamed"})
        assert [walk.entity for walk in await sweep(reader, wanted)] == ["deal", "deal"]
        async with pool.acquire() as connection:
            await connection.execute(
                "UPDATE pipemirror.watermarks SET whole_at = whole_at - interval '2 days' WHERE entity = 'stage'"
            )
        assert [walk.entity for walk in await sweep(reader, wanted)] == ["stage", "deal", "deal"]
    assert (await titles(pool, company, "stages", "name"))["1"] == "renamed"


async def test_looking_alone_moves_no_watermark_and_neither_does_a_part(pool: Pool, cloud: Cloud, clock: Clock) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("deal"))
        known = await watermark(pool, company)
        clock.forward(600)
        cloud.set("deal", 3, {"title": "later"})
        await reconcile(reader, of("deal"))
        await reconcile(reader, of("deal"), repair=True, window=(known - timedelta(days=1), known - SECOND))
        assert await watermark(pool, company) == known
        await sweep(reader, of("deal"))
    assert (await titles(pool, company))["3"] == "later"


async def test_the_newest_part_alone_moves_no_watermark_past_what_nobody_has_read(
    pool: Pool, cloud: Cloud, clock: Clock
) -> None:
    company, newest = await company_of(pool, cloud.account.company_id), of("deal")
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, newest)
        known = await watermark(pool, company)
        clock.forward(600)
        cloud.set("deal", 3, {"title": "between"})
        clock.forward(600)
        cloud.set("deal", 4, {"title": "later"})
        between = instant(clock()) - timedelta(minutes=5)
        await reconcile(reader, newest, repair=True, window=(between, None))
        assert await watermark(pool, company) == known
        await sweep(reader, newest)
        assert (await titles(pool, company))["3"] == "between"
        known = await watermark(pool, company)
        clock.forward(600)
        cloud.set("deal", 5, {"title": "last"})
        await reconcile(reader, newest, repair=True, window=(between, None))
        assert await watermark(pool, company) > known, "what lies before was known"


async def test_the_newest_part_of_what_was_never_read_makes_no_watermark(
    pool: Pool, cloud: Cloud, clock: Clock
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        cloud.set("deal", 3, {"title": "later"})
        await reconcile(reader, of("deal"), repair=True, window=(instant(clock()) - timedelta(days=1), None))
    async with pool.acquire() as connection:
        assert await walks.watermark(connection, company.id, "deal", DEALS) is None


async def test_answers_that_fail_on_the_way_move_no_watermark(pool: Pool, cloud: Cloud, clock: Clock) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, of("deal"))
        known = await watermark(pool, company)
        clock.forward(600)
        cloud.set("deal", 3, {"title": "later"})
        rest.mischief = RestMischief(forbidden=frozenset({DEALS}))
        [code] = {walk.code for walk in await sweep(reader, of("deal")) if walk.list == DEALS}
        assert (code, await watermark(pool, company)) == ("scope_missing", known)
        rest.mischief = RestMischief()
        await sweep(reader, of("deal"))
    assert (await titles(pool, company))["3"] == "later"
