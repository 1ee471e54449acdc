"""Which part of an account is compared on which day: together they are all of it, and none is much larger."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from rig import asking
from rig.healing import GENEROUS, reading
from rig.mirrored import company_of

from sandbox.rest.server import serve
from sandbox.script import step
from schema.entities import BY_NAME
from store.database import Pool
from worker.healing.backfill import backfill
from worker.healing.order import lists
from worker.healing.reconcile import WHOLE
from worker.healing.windows import DAYS, window_of

[DEALS] = lists([BY_NAME["deal"]])
MONTH = [datetime(2026, 11, 2, tzinfo=UTC) + timedelta(days=day) for day in range(DAYS)]


async def test_in_as_many_days_as_there_are_parts_each_record_is_compared_once_in_part_and_once_with_all(
    pool: Pool,
) -> None:
    cloud = asking.made_company(deals=60)
    for _ in range(300):
        step(cloud)
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, [DEALS])
    async with pool.acquire() as connection:
        windows = [await window_of(connection, company.slug, *DEALS, day) for day in MONTH]
        # One that was never updated is in no such list: it is compared with all.
        query = f'SELECT id, update_time FROM "{company.slug}_raw".deals WHERE update_time IS NOT NULL'
        rows = await connection.fetch(query)
    assert windows.count(WHOLE) == 1
    parts = [one for one in windows if one != WHOLE]
    times = Counter(
        row["id"]
        for row in rows
        for since, until in parts
        if (since is None or since <= row["update_time"]) and (until is None or row["update_time"] < until)
    )
    assert len(rows) > DAYS
    assert times == Counter({row["id"]: 1 for row in rows})


async def test_of_a_list_that_is_not_asked_for_parts_all_is_compared(pool: Pool) -> None:
    company = await company_of(pool)
    [currencies] = lists([BY_NAME["currency"]])
    async with pool.acquire() as connection:
        assert {await window_of(connection, company.slug, *currencies, day) for day in MONTH} == {WHOLE}
