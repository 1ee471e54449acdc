"""What Pipedrive may refuse or spoil on the way: a list that cannot be read says why, and holds up no other."""

import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from rig import asking
from rig.healing import GENEROUS, differing, reading
from rig.mirrored import company_of

from pipedrive.errors import AccountClosed, BlockedByPipedrive, BudgetExhausted, TokenInvalid
from sandbox.cloud import Company as Cloud
from sandbox.rest.limits import Limits
from sandbox.rest.mischief import RestMischief
from sandbox.rest.refusals import Refused, unavailable
from sandbox.rest.server import TOKEN, serve
from sandbox.script import step
from schema.entities import BY_NAME, ENTITIES
from schema.errors import NotNow, Problem
from store import refused
from store.companies import Company
from store.database import Pool
from store.walks import BACKFILL, DONE, FAILED, RUNNING, Walk
from worker.applying.loading import Loaded, load
from worker.healing.again import ask_again
from worker.healing.backfill import backfill
from worker.healing.order import lists
from worker.healing.reconcile import reconcile
from worker.healing.sweep import sweep

ALL = lists(ENTITIES)
"""But the dear ones."""

FEW = lists([BY_NAME[name] for name in ("deal_field", "user", "deal", "lead", "note", "activity", "currency")])
DEALS = "/api/v2/deals"


@dataclass(frozen=True)
class Spoilt(RestMischief):
    """Rows told otherwise than they are; routes that always end in the same refusal."""

    rows: Callable[[list[Any]], list[Any]] = list
    always: Mapping[str, Refused] | None = None

    def refuse(self, rng: random.Random, route: str, params: Mapping[str, str]) -> None:
        if self.always and route in self.always:
            refused = self.always[route]
            raise refused
        super().refuse(rng, route, params)

    def told(self, rng: random.Random, body: dict[str, Any]) -> Any:
        told = super().told(rng, body)
        rows = told.get("data") if isinstance(told, dict) else None
        return {**told, "data": self.rows(rows)} if isinstance(rows, list) else told


@pytest.fixture
def cloud() -> Cloud:
    made = asking.made_company(deals=60)
    for _ in range(100):
        step(made)
    return made


async def rows_of(pool: Pool, query: str) -> list[dict[str, Any]]:
    async with pool.acquire() as connection:
        return [dict(row) for row in await connection.fetch(query)]


async def watermarked(pool: Pool) -> set[str]:
    """Lists that are known up to some moment."""
    return {row["list"] for row in await rows_of(pool, "SELECT list FROM pipemirror.watermarks")}


def by_state(walks: Collection[Walk], state: str) -> dict[str, str | None]:
    return {walk.list: walk.code for walk in walks if walk.state == state}


@pytest.mark.parametrize(
    ("mischief", "code"),
    [
        (RestMischief(forbidden=frozenset({DEALS})), "scope_missing"),
        (Spoilt(always={DEALS: unavailable(500)}), "pipedrive_unavailable"),
        (Spoilt(always={DEALS: Refused(404, "Unknown method .")}), "not_there"),
        (Spoilt(always={DEALS: Refused(401, "unauthorized access")}), "rights_missing"),
        (Spoilt(always={DEALS: Refused(402, "payment required")}), "feature_off"),
        (Spoilt(always={DEALS: Refused(400, "Bad request")}), "bad_request"),
        (RestMischief(stale=1.0, sizes={DEALS: 7}), "cursor_rejected"),
    ],
    ids=["scope", "5xx", "404", "401", "402", "400", "cursors"],
)
async def test_a_list_that_is_refused_says_why_and_the_others_are_read(
    pool: Pool, cloud: Cloud, mischief: RestMischief, code: str
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS, mischief=mischief) as rest, reading(pool, company, rest) as reader:
        walks = await backfill(reader, FEW)
        assert by_state(walks, FAILED) == {DEALS: code}
        assert len(by_state(walks, DONE)) == len(walks) - 1
        [kept] = await rows_of(pool, "SELECT * FROM pipemirror.walks WHERE state <> 'done'")
        assert (kept["list"], kept["state"], kept["code"]) == (DEALS, FAILED, code)
        assert kept["reason"]
        assert DEALS not in await watermarked(pool)
        assert [walk.list for walk in await sweep(reader, FEW) if walk.list == DEALS] == [], "that is for a backfill"

        rest.mischief = RestMischief()
        again = await backfill(reader, FEW)
    assert by_state(again, DONE).keys() == {walk.list for walk in walks}
    assert DEALS in await watermarked(pool)


def revoked(rest: Any) -> None:
    rest.tokens.revoke(TOKEN)


def closed(rest: Any) -> None:
    rest.mischief = RestMischief(closed=True)


def blocked(rest: Any) -> None:
    rest.mischief = RestMischief(pages=1.0)


def spent(rest: Any) -> None:
    rest.gate.limits = Limits(daily=1, tells_daily=True)


def in_maintenance(rest: Any) -> None:
    rest.mischief = RestMischief(broken=1.0)


@pytest.mark.parametrize(
    ("happens", "problem"),
    [
        (revoked, TokenInvalid),
        (closed, AccountClosed),
        (blocked, BlockedByPipedrive),
        (spent, BudgetExhausted),
        (in_maintenance, NotNow),
    ],
)
async def test_what_concerns_the_whole_account_ends_all_and_all_go_on_where_they_were(
    pool: Pool, cloud: Cloud, happens: Callable[[Any], None], problem: type[Problem]
) -> None:
    company, pages = await company_of(pool, cloud.account.company_id), 0

    def on_page(walk: Walk) -> None:
        nonlocal pages
        pages += walk.calls > 0
        if pages == 6:
            happens(rest)

    async with serve(cloud, limits=GENEROUS) as rest:
        async with reading(pool, company, rest, on_page=on_page) as reader:
            with pytest.raises(problem):
                await backfill(reader, ALL)
        states = {row["state"] for row in await rows_of(pool, "SELECT state FROM pipemirror.walks")}
        assert states <= {RUNNING, DONE}, "no list has failed"
        done = {row["list"] for row in await rows_of(pool, "SELECT list FROM pipemirror.walks WHERE state = 'done'")}
        assert await watermarked(pool) == done
        rest.mischief, rest.gate.limits = RestMischief(), GENEROUS
        rest.tokens.accept(TOKEN)
        async with reading(pool, company, rest) as reader:
            assert by_state(await backfill(reader, ALL), DONE).keys() >= {
                listing.label for _, of in ALL for listing in of
            }


async def test_our_share_of_the_day_is_not_exceeded_and_the_rest_waits_for_the_next_day(
    pool: Pool, cloud: Cloud
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest:
        async with reading(pool, company, rest, share=0.5, daily=400) as reader:
            with pytest.raises(BudgetExhausted):
                await backfill(reader, ALL)
        assert 0 < rest.gate.spent <= 200


PAGED = (DEALS, "/api/v2/activities", "/v1/leads", "/v1/notes", "/v1/files", "/v1/callLogs")
ROUGH = RestMischief(broken=0.1, cut=0.1, nulls=0.1, once=True, twice=0.2)


@pytest.mark.parametrize(
    ("mischief", "limit"),
    [
        (RestMischief(nulls=0.15, once=True), 500),
        (RestMischief(sizes=dict.fromkeys(PAGED, 3)), 500),
        (RestMischief(sizes=dict.fromkeys(PAGED, 50)), 20),
        (RestMischief(twice=0.5), 500),
        (ROUGH, 7),
    ],
    ids=["null bodies", "smaller pages", "larger pages", "rows twice", "all of it"],
)
async def test_answers_that_are_spoilt_cost_no_row(
    pool: Pool, cloud: Cloud, mischief: RestMischief, limit: int
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    wanted = [
        (entity, [replace(listing, limit=min(limit, listing.limit)) for listing in listings])
        for entity, listings in ALL
        if entity.name != "filter" and not any(listing.parent for listing in listings)
    ]
    async with serve(cloud, limits=GENEROUS, mischief=mischief) as rest, reading(pool, company, rest) as reader:
        walks = await backfill(reader, wanted)
    assert by_state(walks, FAILED) == {}
    assert [walk for walk in walks if walk.refused] == []
    read = {entity.plural for entity, _ in wanted}
    assert "\n".join(line for line in await differing(pool, company, cloud) if line.split()[0] in read) == ""


def without_an_id(rows: list[Any]) -> list[Any]:
    return [{**row, "id": None} if row.get("title") and row.get("stage_id") and row["id"] == 5 else row for row in rows]


def not_a_number(rows: list[Any]) -> list[Any]:
    return [{**row, "stage_id": "none"} if row.get("stage_id") and row["id"] == 5 else row for row in rows]


def too_long_for_the_database(rows: list[Any]) -> list[Any]:
    return [{**row, "title": "a\x00b"} if row.get("stage_id") and row["id"] == 5 else row for row in rows]


@pytest.mark.parametrize(
    ("spoil", "code"),
    [(without_an_id, "bad_id"), (not_a_number, "bad_value"), (too_long_for_the_database, "bad_value")],
)
async def test_a_row_that_cannot_be_read_is_left_out_and_told(
    pool: Pool, cloud: Cloud, spoil: Callable[[list[Any]], list[Any]], code: str
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    mischief = Spoilt(rows=spoil)
    async with serve(cloud, limits=GENEROUS, mischief=mischief) as rest, reading(pool, company, rest) as reader:
        walks = await backfill(reader, FEW)
    [walk] = [walk for walk in walks if walk.refused]
    assert (walk.list, walk.state, walk.refused, walk.code) == (DEALS, DONE, 1, code)
    missing = [line for line in await differing(pool, company, cloud) if line.startswith("deals ")]
    assert missing == ["deals 5: missing"]
    [told] = await refused_rows(pool, company)
    assert (told["entity"], told["rows"], told["code"]) == ("deal", 1, code)
    assert told["ids"] == ([""] if code == "bad_id" else ["5"])
    assert told["reason"]


async def refused_rows(pool: Pool, company: Company) -> list[dict[str, Any]]:
    async with pool.acquire() as connection:
        return await refused.told(connection, company.id)


async def test_a_row_that_a_sweep_could_not_read_is_kept_with_its_reason_and_asked_for_again_until_it_can_be(
    pool: Pool,
) -> None:
    clock = asking.Clock(time.time_ns() // 1_000 - 3_600_000_000)
    cloud = asking.made_company(deals=20, now=clock)
    company, wanted = await company_of(pool, cloud.account.company_id), lists([BY_NAME["deal"]])
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, wanted)
        clock.forward(600)
        cloud.set("deal", 5, {"title": "later"})
        good = cloud.live["deal"][5]
        cloud.live["deal"].put({**good, "stage_id": "none"})
        await sweep(reader, wanted)
        await ask_again(reader)
        [told] = await refused_rows(pool, company)
        assert (told["ids"], told["code"]) == (["5"], "bad_value")
        cloud.live["deal"].put(good)
        await ask_again(reader)
        assert await refused_rows(pool, company) == []
    [row] = await rows_of(pool, f'SELECT title FROM "{company.slug}_raw".deals WHERE id = 5')
    assert row["title"] == "later"


async def test_a_refused_row_whose_record_is_gone_is_forgotten_once_it_was_asked_for(pool: Pool, cloud: Cloud) -> None:
    company, wanted = await company_of(pool, cloud.account.company_id), lists([BY_NAME["deal"]])
    mischief = Spoilt(rows=not_a_number)
    async with serve(cloud, limits=GENEROUS, mischief=mischief) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, wanted)
        assert len(await refused_rows(pool, company)) == 1
        rest.mischief = RestMischief(forbidden=frozenset({DEALS, "/api/v2/deals/{id}"}))
        await ask_again(reader)
        assert len(await refused_rows(pool, company)) == 1, "nobody knows"
        rest.mischief = RestMischief()
        cloud.delete("deal", 5)
        await ask_again(reader)
        assert await refused_rows(pool, company) == []


async def test_rows_that_name_no_record_are_forgotten_when_all_of_their_list_could_be_read(
    pool: Pool, cloud: Cloud
) -> None:
    company, wanted = await company_of(pool, cloud.account.company_id), lists([BY_NAME["deal"]])
    mischief = Spoilt(rows=without_an_id)
    async with serve(cloud, limits=GENEROUS, mischief=mischief) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, wanted)
        await reconcile(reader, wanted, repair=True)
        assert [told["ids"] for told in await refused_rows(pool, company)] == [[""]]
        rest.mischief = RestMischief()
        await reconcile(reader, wanted)
        assert [told["ids"] for told in await refused_rows(pool, company)] == [[""]], "looking mends nothing"
        await reconcile(reader, wanted, repair=True)
        assert await refused_rows(pool, company) == []


async def test_nothing_that_stayed_is_missed_while_rows_before_it_go(pool: Pool, cloud: Cloud) -> None:
    """A list that counts rows, some of which are deleted before where the next page begins."""
    company = await company_of(pool, cloud.account.company_id)
    while len(cloud.live["lead"]) < 40:
        cloud.create("lead")
    at_first = [str(lead["id"]) for lead in cloud.live["lead"]]
    gone: set[str] = set()

    def delete_two(walk: Walk) -> None:
        if walk.entity == "lead" and walk.state == RUNNING:
            for lead_id in [one for one in at_first if one not in gone][:2]:
                gone.add(lead_id)
                cloud.delete("lead", lead_id)

    wanted = lists([BY_NAME["lead"]])
    mischief = RestMischief(sizes={"/v1/leads": 6})
    async with (
        serve(cloud, limits=GENEROUS, mischief=mischief) as rest,
        reading(pool, company, rest, on_page=delete_two) as reader,
    ):
        assert by_state(await backfill(reader, wanted), FAILED) == {}
    found = {str(row["id"]) for row in await rows_of(pool, f'SELECT id FROM "{company.slug}_raw".leads')}
    assert len(gone) >= 8
    assert set(at_first) - gone <= found


async def test_definitions_that_are_none_are_left_out_and_all_else_is_read(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool, cloud.account.company_id)
    fields = lists([BY_NAME["deal_field"], BY_NAME["deal"]])

    def told(rows: list[Any]) -> list[Any]:
        if not rows or "field_code" not in rows[0]:
            return rows
        custom = next(row for row in rows if len(row["field_code"]) == 40)
        strange: list[dict[str, Any]] = [
            {"field_type": []},
            {"field_code": ""},
            {"field_code": "a\0"},
            {"field_code": "x" * 9_000},
        ]
        twice = [{"field_type": "varchar"}, {"field_type": "text"}]
        return [*rows, *({**custom, **other} for other in [*strange, *twice])]

    mischief = Spoilt(rows=told)
    async with serve(cloud, limits=GENEROUS, mischief=mischief) as rest, reading(pool, company, rest) as reader:
        walks = await backfill(reader, fields)
    assert by_state(walks, FAILED) == {}
    assert {walk.entity: walk.refused for walk in walks if walk.refused} == {"deal_field": 3}


async def test_a_page_whose_rows_were_not_written_is_read_again(pool: Pool, cloud: Cloud) -> None:
    """The place to go on is kept together with the rows, or not at all."""
    company, wanted = await company_of(pool, cloud.account.company_id), lists([BY_NAME["deal"]])
    pages = 0

    class KilledError(Exception):
        pass

    async def killed(*arguments: Any) -> Loaded | None:
        nonlocal pages
        pages += 1
        if pages == 3:
            raise KilledError
        return await load(*arguments)

    async with serve(cloud, limits=GENEROUS, mischief=RestMischief(sizes={DEALS: 7})) as rest:
        async with reading(pool, company, rest) as reader:
            with pytest.raises(KilledError):
                await backfill(replace(reader, write=killed), wanted)
        async with reading(pool, company, rest) as reader:
            await backfill(reader, wanted)
    assert [line for line in await differing(pool, company, cloud) if line.startswith("deals ")] == []


async def test_a_company_that_is_paused_meanwhile_is_not_written(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with pool.acquire() as connection:
        await connection.execute("UPDATE pipemirror.companies SET state = 'paused' WHERE id = $1", company.id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        with pytest.raises(Problem, match="paused"):
            await backfill(reader, FEW)
    assert await watermarked(pool) == set()
    assert await rows_of(pool, f"SELECT 1 FROM pipemirror.walks WHERE state <> 'running' AND kind = '{BACKFILL}'") == []
