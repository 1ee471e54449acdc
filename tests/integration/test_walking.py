"""Walks through lists: to their ends, through whatever happens on the way."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from rig import asking
from rig.healing import reading
from rig.mirrored import company_of

from pipedrive.errors import TokenInvalid
from sandbox.cloud import Company as Cloud
from sandbox.rest.server import TOKEN, serve
from schema.entities import BY_NAME
from schema.entity import Entity
from schema.listing import BY_ID, Delta, Listing, Paging, Parent
from store import walks
from store.companies import Company
from store.database import Pool
from store.walks import BACKFILL, DONE, FAILED, RUNNING, Walk
from worker.healing.walking import walk_through

DEALS = Listing("/api/v2/deals", 10, limit=7, params={"status": "open,won,lost"}, order=BY_ID, delta=Delta())
LEADS = Listing("/v1/leads", 20, paging=Paging.OFFSET, limit=7, order={"sort": "add_time ASC"})
PRODUCTS = Listing(
    "/api/v2/deals/products", 10, limit=7, parent=Parent("deal", "deal_ids", 5, "deal_id", "products_count")
)


LATE = datetime(2100, 1, 1, tzinfo=UTC)


def found(entity: str, **changes: Any) -> Entity:
    return replace(BY_NAME[entity], **changes)


async def ids(pool: Pool, company: Company, table: str) -> set[str]:
    async with pool.acquire() as connection:
        rows = await connection.fetch(f'SELECT id::text FROM "{company.slug}_raw".{table} WHERE _deleted_at IS NULL')
    return {row["id"] for row in rows}


def live(cloud: Cloud, entity: str) -> set[str]:
    return {str(record["id"]) for record in cloud.live[entity]}


def begun(company: Company, entity: str, listing: Listing) -> Walk:
    return Walk(company.id, BACKFILL, entity, listing.label)


@pytest.fixture
def cloud() -> Cloud:
    return asking.made_company(deals=60)


@pytest.mark.parametrize(("name", "listing"), [("deal", DEALS), ("lead", LEADS)], ids=["cursors", "offsets"])
async def test_a_list_is_read_to_its_end(pool: Pool, cloud: Cloud, name: str, listing: Listing) -> None:
    company, entity = await company_of(pool), found(name, flat_fields=name == "lead")
    async with serve(cloud) as rest, reading(pool, company, rest) as reader:
        walk = await walk_through(reader, entity, listing, begun(company, name, listing))
        assert walk.calls == rest.log.calls().total()
        assert walk.tokens == sum(rest.log.tokens().values())

    assert await ids(pool, company, entity.plural) == live(cloud, name)
    assert (walk.state, walk.rows, walk.made) == (DONE, len(cloud.live[name]), len(cloud.live[name]))
    async with pool.acquire() as connection:
        assert replace(walk, started_at=None) == replace(await kept(pool, walk), started_at=None, finished_at=None)
        assert await walks.watermark(connection, company.id, name, listing.label) == walk.began_at


async def kept(pool: Pool, walk: Walk) -> Walk:
    async with pool.acquire() as connection:
        stands = await walks.find(connection, walk.company_id, walk.kind, walk.entity, walk.list)
    assert stands is not None
    return stands


class _KilledError(Exception):
    """In the place of kill -9: it is raised once a page is committed."""


@pytest.mark.parametrize("page", range(1, 9))
async def test_a_walk_goes_on_where_it_stood_and_reads_no_more_than_one_page_twice(
    pool: Pool, cloud: Cloud, page: int
) -> None:
    company = await company_of(pool)

    def killed(walk: Walk) -> None:
        if walk.calls == page:
            raise _KilledError

    async with serve(cloud) as rest:
        async with reading(pool, company, rest, on_page=killed) as reader:
            with pytest.raises(_KilledError):
                await walk_through(reader, found("deal"), DEALS, begun(company, "deal", DEALS))
        stands = await kept(pool, begun(company, "deal", DEALS))
        assert (stands.state, stands.calls) == (RUNNING, page)
        async with reading(pool, company, rest) as reader:
            walk = await walk_through(reader, found("deal"), DEALS, stands)
        pages = -(-len(cloud.live["deal"]) // DEALS.limit)
        assert rest.log.calls()[DEALS.path] <= pages + 1
    assert walk.rows == len(cloud.live["deal"])
    assert await ids(pool, company, "deals") == live(cloud, "deal")


@pytest.mark.parametrize("beyond", [False, True], ids=["all", "enough"])
async def test_a_walk_that_dies_after_its_last_page_has_ended_and_moved_its_watermark(
    pool: Pool, cloud: Cloud, beyond: bool
) -> None:
    """The end of the list, or a row so old that whatever follows it is known."""
    company, listing = await company_of(pool), DEALS
    begins = begun(company, "deal", DEALS)
    if beyond:
        listing = replace(DEALS, order={"sort_by": "update_time", "sort_direction": "desc"}, delta=Delta(since=None))
        begins = replace(begins, since=LATE)
        async with pool.acquire() as connection:
            await walks.mark(connection, replace(begins, since=None), LATE)
        for record in list(cloud.live["deal"]):
            cloud.live["deal"].put({**record, "update_time": record["add_time"]})

    calls = 1 if beyond else -(-len(cloud.live["deal"]) // DEALS.limit)

    def killed(walk: Walk) -> None:
        if walk.calls == calls:
            raise _KilledError

    async with serve(cloud) as rest, reading(pool, company, rest, on_page=killed) as reader:
        with pytest.raises(_KilledError):
            await walk_through(reader, found("deal"), listing, begins)
        assert rest.log.calls()[DEALS.path] == calls
    stands = await kept(pool, begins)
    assert (stands.state, stands.calls) == (DONE, calls)
    async with pool.acquire() as connection:
        assert await walks.watermark(connection, company.id, "deal", listing.label) is not None


async def test_children_whose_last_page_is_written_are_not_asked_for_again(pool: Pool, cloud: Cloud) -> None:
    company, listing = await company_of(pool), replace(PRODUCTS, limit=1)
    with_children = {product["deal_id"] for product in cloud.live["deal_product"]}
    counted = replace(DEALS, params={"include_fields": "products_count"})
    for record in list(cloud.live["deal"]):
        cloud.live["deal"].put({**record, "products_count": int(record["id"] in with_children)})

    def killed(_: Walk) -> None:
        raise _KilledError

    async with serve(cloud) as rest, reading(pool, company, rest) as reader:
        await walk_through(reader, found("deal"), counted, begun(company, "deal", counted))
        stands = begun(company, "deal_product", listing)
        while stands.state == RUNNING:
            assert stands.calls < 200, "it comes to no end"
            with pytest.raises(_KilledError):
                await walk_through(replace(reader, on_page=killed), found("deal_product"), listing, stands)
            stands = await kept(pool, stands)
        asked = Counter(str(one.params) for one in rest.log if one.route == listing.path)
    assert len(asked) > len(with_children) / 5, "several pages of the same parents"
    assert stands.rows == len(cloud.live["deal_product"])
    assert await ids(pool, company, "deal_products") == live(cloud, "deal_product")


async def test_children_are_asked_for_by_their_parents_and_only_where_there_are_some(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool)
    with_children = {product["deal_id"] for product in cloud.live["deal_product"]}
    counted = replace(DEALS, params={"include_fields": "products_count"})
    for record in list(cloud.live["deal"]):
        cloud.live["deal"].put({**record, "products_count": int(record["id"] in with_children)})
    async with serve(cloud) as rest, reading(pool, company, rest) as reader:
        await walk_through(reader, found("deal"), counted, begun(company, "deal", counted))
        walk = await walk_through(reader, found("deal_product"), PRODUCTS, begun(company, "deal_product", PRODUCTS))
        asked = [one.params["deal_ids"].split(",") for one in rest.log if one.route == PRODUCTS.path]

    assert {int(one) for some in asked for one in some} == with_children
    assert max(len(some) for some in asked) == 5
    assert walk.rows == len(cloud.live["deal_product"])
    assert await ids(pool, company, "deal_products") == live(cloud, "deal_product")


@pytest.mark.parametrize("page", range(1, 5))
async def test_a_place_among_the_children_of_some_parents_is_none_among_those_of_others(
    pool: Pool, cloud: Cloud, page: int
) -> None:
    """A parent that is gone when the walk goes on lets another join those that are asked about at once."""
    company, listing = await company_of(pool), replace(PRODUCTS, limit=1)
    deals = sorted(record["id"] for record in cloud.live["deal"])
    for place, product in enumerate(sorted(cloud.live["deal_product"], key=lambda one: -one["id"])):
        cloud.live["deal_product"].put({**product, "deal_id": deals[place // 2]})
    for record in list(cloud.live["deal"]):
        cloud.live["deal"].put({**record, "products_count": 1})

    def killed(walk: Walk) -> None:
        if walk.calls == page:
            raise _KilledError

    counted = replace(DEALS, params={"include_fields": "products_count"})
    async with serve(cloud) as rest:
        async with reading(pool, company, rest) as reader:
            await walk_through(reader, found("deal"), counted, begun(company, "deal", counted))
            with pytest.raises(_KilledError):
                await walk_through(
                    replace(reader, on_page=killed), found("deal_product"), listing,
                    begun(company, "deal_product", listing),
                )  # fmt: skip
        async with pool.acquire() as connection:
            await connection.execute(
                f'UPDATE "{company.slug}_raw".deals SET _deleted_at = now() WHERE id = $1', deals[0]
            )
        async with reading(pool, company, rest) as reader:
            stands = await kept(pool, begun(company, "deal_product", listing))
            await walk_through(reader, found("deal_product"), listing, stands)
    of_the_others = {str(one["id"]) for one in cloud.live["deal_product"] if one["deal_id"] != deals[0]}
    assert of_the_others - await ids(pool, company, "deal_products") == set()


async def test_a_list_that_is_refused_is_a_walk_that_failed_with_the_reason(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool)
    nowhere = Listing("/api/v2/nothing", 10)
    async with serve(cloud) as rest, reading(pool, company, rest) as reader:
        walk = await walk_through(reader, found("deal"), nowhere, begun(company, "deal", nowhere))
    assert (walk.state, walk.code) == (FAILED, "not_there")
    assert (await kept(pool, walk)).reason == walk.reason
    async with pool.acquire() as connection:
        assert await walks.watermark(connection, company.id, "deal", nowhere.label) is None


async def test_a_cursor_that_has_expired_begins_the_list_anew(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool)
    async with serve(cloud) as rest, reading(pool, company, rest) as reader:
        lost = replace(begun(company, "deal", DEALS), position='{"cursor":"expired"}')
        walk = await walk_through(reader, found("deal"), DEALS, lost)
    assert walk.state == DONE
    assert await ids(pool, company, "deals") == live(cloud, "deal")


async def test_a_token_that_is_revoked_on_the_way_ends_the_walk_and_it_can_go_on_later(
    pool: Pool, cloud: Cloud
) -> None:
    company = await company_of(pool)
    async with serve(cloud) as rest:

        def revoke(walk: Walk) -> None:
            if walk.calls == 3:
                rest.tokens.revoke(TOKEN)

        async with reading(pool, company, rest, on_page=revoke) as reader:
            with pytest.raises(TokenInvalid):
                await walk_through(reader, found("deal"), DEALS, begun(company, "deal", DEALS))
        stands = await kept(pool, begun(company, "deal", DEALS))
        assert stands.state == RUNNING
        rest.tokens.accept(TOKEN)
        async with reading(pool, company, rest) as reader:
            assert (await walk_through(reader, found("deal"), DEALS, stands)).state == DONE
    assert await ids(pool, company, "deals") == live(cloud, "deal")
