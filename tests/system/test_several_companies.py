"""Companies that nobody has told us about: met by several workers at once, each gets one pair of schemas, for good."""

import asyncio

from rig.events import START, v2_body
from rig.judge import judging
from rig.living import company, living
from rig.posting import posting
from rig.processes import Installation

from sandbox.mischief import Mischief

COMPANIES = (1_000_001, 1_000_002, 1_000_003)


async def test_a_company_met_by_two_workers_at_the_same_moment_is_made_once(on_amqp: Installation) -> None:
    """One message each, so that both workers hold some of every company when they begin."""
    receiver = await on_amqp.receiver()
    async with posting(on_amqp) as poster:
        for number in range(30):
            for company_id in COMPANIES:
                body = v2_body("deal", number, START, {"title": "x"}, company_id=str(company_id))
                assert await poster.post(company_id, body) == 200
    workers = await asyncio.gather(on_amqp.worker(), on_amqp.worker())
    async with judging(on_amqp.database_url, COMPANIES[0]) as judge:
        for company_id in COMPANIES:
            async with judging(on_amqp.database_url, company_id) as one:
                await one.holds(events=30)
        rows = await judge.rows("SELECT id, slug, state FROM pipemirror.companies")
        assert {row["id"] for row in rows} == set(COMPANIES)
        slugs = sorted(row["slug"] for row in rows)
        (first,) = (row["id"] for row in rows if row["slug"] == "pipedrive")
        assert slugs == sorted({"pipedrive", *(f"pipedrive_{other}" for other in COMPANIES if other != first)})
        for slug in slugs:
            assert await judge.value(f"SELECT count(*) FROM {slug}_raw.deals") == 30
        assert await judge.dead_letters() == []
    made = [line["slug"] for worker in workers for line in worker.logged if line["event"] == "company_provisioned"]
    assert set(made) == set(slugs)
    assert [line for role in (receiver, *workers) for line in role.logged if line["level"] == "error"] == []


async def test_companies_live_side_by_side(on_amqp: Installation) -> None:
    """Three at once, over two workers and two lanes: each mirror equals its own company."""
    on_amqp.settings["LANES"] = "2"
    await on_amqp.running(workers=2)

    async def live(company_id: int) -> None:
        made = company(company_id, company_id, deals=15)
        mischief = Mischief(duplicates=0.05, reorder=5)
        async with living(made, on_amqp.url(company_id), rate=60, mischief=mischief) as life:
            await life.told(200)
        async with judging(on_amqp.database_url, company_id) as judge:
            await judge.settles(life.truth)
            assert await judge.events() == life.counters.acked
            await judge.history_is_right()

    await asyncio.gather(*map(live, COMPANIES))
    async with judging(on_amqp.database_url, COMPANIES[0]) as judge:
        assert await judge.dead_letters() == []
        assert await judge.value("SELECT count(*) FROM pipemirror.companies WHERE slug = 'pipedrive'") == 1
    assert [line for role in on_amqp.roles for line in role.logged if line["level"] == "error"] == []
