"""What workers do by themselves: hydrate, sweep, reconcile, each once however many workers there are."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rig import asking, bodies, events
from rig.healing import GENEROUS, accounts_of, once, reading, scheduled, served
from rig.mirrored import company_of, row_of
from rig.waiting import until

from pipedrive.budget import Need, Terms
from pipedrive.errors import BudgetExhausted, PipedriveUnavailable, TokenInvalid
from pipedrive.request import WHO_AM_I, Request
from runtime.measurements import HYDRATED, JOB_FAILURES, PIPEDRIVE_SECONDS, PIPEDRIVE_TOKENS
from runtime.metrics import Metrics
from sandbox.cloud import Company as Cloud
from sandbox.rest.mischief import RestMischief
from sandbox.rest.refusals import unavailable
from sandbox.rest.server import serve
from schema.entities import BY_NAME, ENTITIES
from schema.errors import JobCrashed
from schema.event import Event
from store import allowances, gaps, jobs, walks
from store.companies import Company
from store.database import Connection, Pool
from store.jobs import Job as Known
from store.walks import DONE, Walk
from worker.applying.mirror import Applied
from worker.healing.backfill import backfill
from worker.healing.doing import RETRIED, SELDOM
from worker.healing.epoch import Epoch, Reached
from worker.healing.hydrate import AT_ONCE
from worker.healing.jobs import JOBS, RECONCILE_WHOLE, Job, Length, Means, Undertaken
from worker.healing.order import lists
from worker.healing.schedule import COMPANIES_AT_ONCE, KNOWN_FOR
from worker.healing.touched import MOST, SETTLE, Touched


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def known(pool: Pool, company: Company) -> dict[str, Known]:
    async with pool.acquire() as connection:
        return await jobs.of_company(connection, company.id)


async def compared_by_now(connection: Connection) -> set[str]:
    """Entities of which a comparison has ended."""
    return {row["entity"] for row in await connection.fetch("SELECT entity FROM pipemirror.reconciled")}


@pytest.fixture
def cloud() -> Cloud:
    return asking.made_company(deals=30)


async def test_a_record_that_an_event_changed_gets_the_columns_that_only_rest_has(pool: Pool, cloud: Cloud) -> None:
    company, clock, metrics = await company_of(pool, cloud.account.company_id), Clock(), Metrics()
    touched = Touched(clock)
    ids = [record["id"] for record in cloud.live["deal"] if not record["is_archived"]][:12]
    cloud.live["deal"].put(cloud.live["deal"][ids[0]] | {"mrr": 77.5})
    told = [events.deal(number, record_id, company_id=company.id) for number, record_id in enumerate(ids)]
    touched.note(company.id, Applied(written=told))
    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest, metrics=metrics) as accounts:
        account = await accounts.get(company.id)
        assert account is not None
        one = scheduled(pool, accounts, touched=touched, metrics=metrics, todo=())
        await once(one, account)
        assert not rest.log.asked, "others may follow at once"
        clock.now += SETTLE
        await once(one, account)
        await once(one, account)
        assert rest.log.calls() == {"/api/v2/deals": 1}
    assert metrics.value(HYDRATED) == 12
    assert metrics.value(PIPEDRIVE_SECONDS, "answered") == 1
    assert metrics.value(PIPEDRIVE_TOKENS) == BY_NAME["deal"].listings[0].cost
    row = await row_of(pool, company, ids[0])
    assert (row["mrr"], row["_source"]) == (77.5, "hydrate")


async def test_what_takes_long_holds_up_neither_hydration_nor_the_check_of_the_webhook(
    pool: Pool, cloud: Cloud
) -> None:
    company, clock = await company_of(pool, cloud.account.company_id), Clock()
    touched, reads, ends, checked = Touched(clock), asyncio.Event(), asyncio.Event(), asyncio.Event()
    record = next(record["id"] for record in cloud.live["deal"] if not record["is_archived"])

    async def read_for_long(_: Undertaken) -> dict[str, Any]:
        reads.set()
        await ends.wait()
        return {}

    async def check(_: Undertaken) -> dict[str, Any]:
        checked.set()
        return {}

    todo = (Job("long", timedelta(days=1), read_for_long), Job("check", timedelta(seconds=0.1), check, Length.MOMENT))
    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest) as accounts:
        running = asyncio.create_task(scheduled(pool, accounts, touched=touched, todo=todo).run(every=0.05))
        try:
            async with asyncio.timeout(20):
                await reads.wait()
                checked.clear()
                await checked.wait()
                touched.note(company.id, Applied(written=[events.deal(0, record, company_id=company.id)]))
                clock.now += SETTLE
                await until(lambda: bool(rest.log.calls()))
            assert (await known(pool, company))["long"].ended_at is None
        finally:
            ends.set()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_companies_whose_jobs_take_long_hold_up_no_other_companys_sweep(pool: Pool, cloud: Cloud) -> None:
    """However many they are: there are more of them here than have their turn at once."""
    first = await company_of(pool, cloud.account.company_id)
    ends, long, swept = asyncio.Event(), set[int](), set[int]()
    slow = [first.id + number for number in range(COMPANIES_AT_ONCE[Length.LONG] + 1)]
    quick = slow[-1] + 1

    async def read_for_long(undertaken: Undertaken) -> dict[str, Any]:
        if (company_id := undertaken.account.company.id) != quick:
            long.add(company_id)
            await ends.wait()
        return {}

    async def sweep(undertaken: Undertaken) -> dict[str, Any]:
        swept.add(undertaken.account.company.id)
        return {}

    todo = (Job("a while", timedelta(seconds=0.1), sweep, Length.WHILE), Job("long", timedelta(days=1), read_for_long))
    async with serve(cloud) as rest, accounts_of(pool, first, rest) as accounts:
        running = asyncio.create_task(scheduled(pool, accounts, todo=todo).run(every=0.05))
        try:
            for company_id in slow[1:]:
                async with accounts_of(pool, await company_of(pool, company_id), rest):
                    pass
            await until(lambda: len(long) == COMPANIES_AT_ONCE[Length.LONG])
            async with accounts_of(pool, await company_of(pool, quick), rest):
                pass
            swept.clear()
            await until(lambda: quick in swept, what="a sweep of who has nothing long to do")
        finally:
            ends.set()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def test_what_is_shorter_is_done_first() -> None:
    assert [job.length for job in JOBS] == sorted(job.length for job in JOBS)


async def test_a_job_that_another_worker_has_done_since_fails_no_more(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool, cloud.account.company_id)

    async def fail(_: Undertaken) -> dict[str, Any]:
        raise PipedriveUnavailable("for a test")

    async def done(_: Undertaken) -> dict[str, Any]:
        return {}

    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest) as accounts:
        account = await accounts.get(company.id)
        assert account is not None
        one, other = (scheduled(pool, accounts, todo=[Job("job", timedelta(days=1), do)]) for do in (fail, done))
        await once(one, account)
        await once(one, account)
        assert [condition.code for condition in one.conditions()] == ["jobs_failing"]
        async with pool.acquire() as connection:
            await jobs.want(connection, company.id, "job")
        await once(other, account)
        await once(one, account)
        assert list(one.conditions()) == []


async def test_few_records_are_asked_for_one_by_one_where_that_is_cheaper(pool: Pool, cloud: Cloud) -> None:
    company, clock = await company_of(pool, cloud.account.company_id), Clock()
    touched = Touched(clock)
    ids = [record["id"] for record in cloud.live["deal"]][:3]
    touched.note(company.id, Applied(written=[events.deal(0, one, company_id=company.id) for one in ids]))
    clock.now += SETTLE
    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest) as accounts:
        account = await accounts.get(company.id)
        assert account is not None
        await once(scheduled(pool, accounts, touched=touched, todo=()), account)
        assert sum(rest.log.tokens().values()) == 3
    assert (await row_of(pool, company, ids[0]))["activities_count"] is not None


async def counting(undertaken: Any) -> dict[str, Any]:
    await asyncio.sleep(0.2)  # so that the others meet it under way
    async with undertaken.means.pool.acquire() as connection:
        await connection.execute("INSERT INTO done DEFAULT VALUES")
    return {"rows": 1}


async def test_each_job_is_done_once_however_many_workers_there_are(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with pool.acquire() as connection:
        await connection.execute("CREATE TABLE done (at timestamptz DEFAULT now())")
    todo = (Job("counted", timedelta(hours=1), counting),)
    async with serve(cloud) as rest, accounts_of(pool, company, rest) as accounts:
        account = await accounts.get(company.id)
        assert account is not None
        workers = [scheduled(pool, accounts, todo=todo) for _ in range(3)]
        for _ in range(2):
            await asyncio.gather(*(once(worker, account) for worker in workers))
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM done") == 1
    job = (await known(pool, company))["counted"]
    assert job.result == {"rows": 1}
    assert job.ended_at is not None
    assert job.due_at > job.ended_at + timedelta(minutes=59)


class KilledError(BaseException):
    """In the place of a process that dies."""


async def killed(_: Undertaken) -> dict[str, Any]:
    raise KilledError


async def done(_: Undertaken) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize("every", [timedelta(days=1), None], ids=["daily", "wanted"])
async def test_a_job_whose_worker_dies_is_done_by_another_one_soon(
    pool: Pool, cloud: Cloud, every: timedelta | None
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with pool.acquire() as connection:
        await jobs.want(connection, company.id, "long")
    async with serve(cloud) as rest, accounts_of(pool, company, rest) as accounts:
        account = await accounts.get(company.id)
        assert account is not None
        with pytest.raises(KilledError):
            await once(scheduled(pool, accounts, todo=(Job("long", every, killed),)), account)
        job = (await known(pool, company))["long"]
        assert job.began_at is not None
        assert job.due_at == job.began_at + RETRIED
        async with pool.acquire() as connection:
            await jobs.want(connection, company.id, "long")
        await once(scheduled(pool, accounts, todo=(Job("long", every, done),)), account)
    assert (await known(pool, company))["long"].due_at >= job.began_at + timedelta(days=1)


async def test_a_job_that_is_wanted_while_it_is_done_is_done_once_more(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool, cloud.account.company_id)

    async def wanted_meanwhile(_: Undertaken) -> dict[str, Any]:
        async with pool.acquire() as connection:
            await jobs.want(connection, company.id, "again")
        return {}

    async with serve(cloud) as rest, accounts_of(pool, company, rest) as accounts:
        account = await accounts.get(company.id)
        assert account is not None
        await once(scheduled(pool, accounts, todo=(Job("again", timedelta(days=1), wanted_meanwhile),)), account)
        async with pool.acquire() as connection:
            assert await jobs.due(connection, company.id, {}) == ["again"]
        await once(scheduled(pool, accounts, todo=(Job("again", timedelta(days=1), done),)), account)
        async with pool.acquire() as connection:
            assert await jobs.due(connection, company.id, {}) == []


async def crashing(_: Undertaken) -> dict[str, Any]:
    raise ZeroDivisionError


async def test_a_job_that_crashes_is_told_as_failing(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud) as rest, accounts_of(pool, company, rest) as accounts:
        one = scheduled(pool, accounts, todo=(Job("crashing", timedelta(days=1), crashing),))
        await served(one, company.id)
    job = (await known(pool, company))["crashing"]
    assert (job.code, job.ended_at) == (JobCrashed.code, None)
    [condition] = one.conditions()
    assert "ZeroDivisionError" in condition.reason


async def test_records_that_may_not_be_asked_for_hold_up_no_job(pool: Pool, cloud: Cloud) -> None:
    company, clock = await company_of(pool, cloud.account.company_id), Clock()
    touched = Touched(clock)
    told = [events.deal(number, number + 1, company_id=company.id) for number in range(12)]
    touched.note(company.id, Applied(written=told))
    clock.now += SETTLE
    mischief = RestMischief(forbidden=frozenset({"/api/v2/deals"}))
    async with serve(cloud, limits=GENEROUS, mischief=mischief) as rest, accounts_of(pool, company, rest) as accounts:
        one = scheduled(pool, accounts, touched=touched, todo=(Job("other", timedelta(days=1), done),))
        await served(one, company.id)
        assert "/api/v2/deals" in rest.log.calls()
    assert (await known(pool, company))["other"].ended_at is not None


def test_too_many_records_to_remember_let_no_definition_be_forgotten() -> None:
    touched = Touched()
    touched.note(7, Applied(learnt={("deal", "a" * 40, "varchar")}))
    touched.note(7, Applied(written=[events.deal(0, one, company_id=7) for one in range(MOST + 1)]))
    assert touched.take_overflown(7)
    assert touched.take_definitions(7)
    assert not touched.take_overflown(7)


async def test_a_worker_reads_whatever_an_interrupted_backfill_has_left(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool, cloud.account.company_id)
    pages = 0

    def on_page(walk: Walk) -> None:
        nonlocal pages
        pages += walk.calls
        if pages > 5:
            raise KilledError

    async with serve(cloud, limits=GENEROUS) as rest:
        async with reading(pool, company, rest, on_page=on_page) as reader:
            with pytest.raises(KilledError):
                await backfill(reader, lists(ENTITIES))
        async with accounts_of(pool, company, rest) as accounts:
            account = await accounts.get(company.id)
            assert account is not None
            await once(scheduled(pool, accounts, todo=[job for job in JOBS if job.name == "backfill"]), account)
    async with pool.acquire() as connection:
        ended = {walk.list for walk in await walks.of_company(connection, company.id) if walk.state == DONE}
    assert ended == {listing.label for _, listings in lists(ENTITIES) for listing in listings}


async def test_a_list_that_was_refused_is_asked_for_again_a_day_later(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool, cloud.account.company_id)
    resuming = next(job for job in JOBS if job.name == "backfill")
    mischief = RestMischief(forbidden=frozenset({"/api/v2/deals"}))
    async with serve(cloud, limits=GENEROUS, mischief=mischief) as rest:
        async with reading(pool, company, rest) as reader:
            await backfill(reader, lists([BY_NAME["deal"]]))
        rest.mischief = RestMischief()
        async with accounts_of(pool, company, rest) as accounts:
            account = await accounts.get(company.id)
            assert account is not None
            undertaken = Undertaken(Means(pool, accounts), account)
            assert await resuming.do(undertaken) == {}
            async with pool.acquire() as connection:
                await connection.execute("UPDATE pipemirror.walks SET finished_at = finished_at - interval '1 day'")
            assert (await resuming.do(undertaken))["rows"] >= len(cloud.live["deal"])


async def test_a_gap_is_swept_at_once_and_closed(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest) as accounts:
        account = await accounts.get(company.id)
        assert account is not None
        one = scheduled(pool, accounts)
        await once(one, account)
        before = (await known(pool, company))["sweep"].ended_at
        assert before is not None
        async with pool.acquire() as connection:
            await gaps.note(connection, company.id, before, "a test")
        await once(one, account)
        await once(one, account)
    async with pool.acquire() as connection:
        assert await gaps.find(connection, company.id) is None
    after = (await known(pool, company))["sweep"].ended_at
    assert after is not None
    assert after > before


async def test_a_token_that_is_refused_is_not_asked_with_again_until_there_is_another(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest:
        async with accounts_of(pool, company, rest, "no-token") as accounts:
            metrics = Metrics()
            one = scheduled(pool, accounts, metrics=metrics, todo=[job for job in JOBS if job.name == "sweep"])
            async with pool.acquire() as connection:
                await connection.execute(
                    "INSERT INTO pipemirror.watermarks (company_id, entity, list, watermark) "
                    "VALUES ($1, 'deal', '/api/v2/deals', now())",
                    company.id,
                )
            await served(one, company.id)
            assert await accounts.companies() == []
            [condition] = one.conditions()
            assert "token_invalid" in condition.reason
            assert metrics.value(JOB_FAILURES) == 1
        async with accounts_of(pool, company, rest) as accounts:
            assert await accounts.companies() == [company.id]


async def test_a_token_stored_while_the_one_before_is_refused_is_not_taken_for_refused(
    pool: Pool, cloud: Cloud
) -> None:
    """Who makes a new token ends the old one, maybe in the middle of a job."""
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest, "old") as accounts:
        before = await accounts.get(company.id)
        assert before is not None
        async with accounts_of(pool, company, rest):
            await accounts.refused(before, TokenInvalid("401"))
            assert await accounts.companies() == [company.id]
            now = await accounts.get(company.id)
            assert now is not None
            await accounts.refused(now, TokenInvalid("401"))
            assert await accounts.companies() == []


def v1_about(record_id: int, key: str) -> Event:
    """An event that tells a custom field, and not its type."""
    current = {"id": record_id, "update_time": "2026-03-04 12:00:05", key: "27"}
    return bodies.event(bodies.v1("deal", current=current, previous={}, id=record_id))


@pytest.mark.parametrize(
    "met",
    [
        Applied(learnt={("deal", "a" * 40, "varchar")}),
        Applied(written=[bodies.event(bodies.v2("dealField", data={"name": "Size"}))]),
        Applied(written=[v1_about(8, "b" * 40)]),
    ],
    ids=["a type that was not known", "a definition", "a field without its type"],
)
async def test_definitions_are_read_again_when_an_event_tells_of_one_that_is_not_known(
    pool: Pool, cloud: Cloud, met: Applied
) -> None:
    company, touched = await company_of(pool, cloud.account.company_id), Touched()
    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest) as accounts:
        account = await accounts.get(company.id)
        assert account is not None
        one = scheduled(pool, accounts, touched=touched)
        await once(one, account)
        assert "/api/v2/dealFields" not in rest.log.calls(), "they are read once a day"
        touched.note(company.id, met)
        await once(one, account)
        assert rest.log.calls()["/api/v2/dealFields"] == 1
    async with pool.acquire() as connection:
        types = await connection.fetchval("SELECT count(*) FROM pipemirror.fields WHERE company_id = $1", company.id)
    assert types >= len(cloud.fields["deal"])


def test_a_field_whose_type_nobody_tells_is_asked_for_once() -> None:
    touched = Touched()
    for record_id in (8, 9):
        touched.note(7, Applied(written=[v1_about(record_id, "b" * 40)]))
        assert touched.take_definitions(7) == (record_id == 8)
    touched.note(7, Applied(written=[v1_about(8, "c" * 40)]))
    assert touched.take_definitions(7)


async def test_what_has_just_changed_is_read_where_backfills_have_spent_their_part_of_the_day(
    pool: Pool, cloud: Cloud
) -> None:
    company, clock = await company_of(pool, cloud.account.company_id), Clock()
    touched, entity = Touched(clock), BY_NAME["deal"]
    record_id = next(record["id"] for record in cloud.live["deal"] if not record["is_archived"])
    touched.note(company.id, Applied(written=[events.deal(0, record_id, company_id=company.id)]))
    clock.now += SETTLE
    asked = Request("GET", entity.listings[0].path, cost=entity.listings[0].cost)
    terms = Terms(1.0, daily=10 * asked.cost)
    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest, terms=terms) as accounts:
        account = await accounts.get(company.id)
        assert account is not None
        for _ in range(8):
            await account.client.get(asked, need=Need.BULK)
        with pytest.raises(BudgetExhausted):
            await account.client.get(asked, need=Need.BULK)
        before = sum(rest.log.calls().values())
        await once(scheduled(pool, accounts, touched=touched, todo=()), account)
        assert sum(rest.log.calls().values()) == before + 1
    assert (await row_of(pool, company, record_id))["_source"] == "hydrate"


async def test_more_records_than_a_list_takes_ids_are_asked_for_in_parts(pool: Pool, cloud: Cloud) -> None:
    company, clock = await company_of(pool, cloud.account.company_id), Clock()
    touched = Touched(clock)
    while len(cloud.live["deal"]) < AT_ONCE + 30:
        cloud.create("deal")
    ids = [record["id"] for record in cloud.live["deal"] if not record["is_archived"]][: AT_ONCE + 5]
    touched.note(company.id, Applied(written=[events.deal(0, one, company_id=company.id) for one in ids]))
    clock.now += SETTLE
    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest) as accounts:
        account = await accounts.get(company.id)
        assert account is not None
        await once(scheduled(pool, accounts, touched=touched, todo=()), account)
        asked = [one.params["ids"].split(",") for one in rest.log if "ids" in one.params]
    told = [int(one) for part in asked for one in part] + [
        int(one.path.rpartition("/")[2]) for one in rest.log if "ids" not in one.params
    ]
    assert sorted(told) == sorted(ids)
    assert max(map(len, asked)) == AT_ONCE == 100, "more ids than that are refused"


async def test_an_option_that_is_not_known_lets_the_definitions_be_read_again(pool: Pool) -> None:
    account_clock, clock = asking.Clock(), Clock()
    cloud = asking.made_company(deals=5, now=account_clock)
    company, touched = await company_of(pool, cloud.account.company_id), Touched(clock)
    field = next(field for field in cloud.fields["deal"] if field.type == "enum")
    record_id = next(iter(cloud.live["deal"]))["id"]
    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest) as accounts:
        todo = [replace(job, first=timedelta()) for job in JOBS if job.name == "definitions"]
        one = scheduled(pool, accounts, touched=touched, todo=todo)

        async def heard() -> int:
            account_clock.forward(5)
            touched.note(company.id, Applied(written=[events.deal(0, record_id, company_id=company.id)]))
            clock.now += SETTLE
            account = await accounts.get(company.id)
            assert account is not None
            await once(one, account)
            return rest.log.calls()["/api/v2/dealFields"]

        def chosen(option: int) -> None:
            account_clock.forward(5)
            before = cloud.live["deal"][record_id]["custom_fields"]
            cloud.set("deal", record_id, {"custom_fields": before | {field.code: option}})

        chosen(field.options[0])
        assert await heard() == 1, "at the first time they are due"
        chosen(field.options[1])
        assert await heard() == 1
        chosen(987_654)
        assert await heard() == 1, "they were read a moment ago"
        async with pool.acquire() as connection:
            await connection.execute("UPDATE pipemirror.jobs SET ended_at = ended_at - $1::interval", KNOWN_FOR)
        chosen(987_654)
        assert await heard() == 2
        async with pool.acquire() as connection:
            await connection.execute("UPDATE pipemirror.jobs SET ended_at = ended_at - $1::interval", KNOWN_FOR)
        assert await heard() == 2, "it was chosen before that: it is no new one, but one that was deleted"


async def test_more_users_mean_more_tokens_where_nobody_tells_how_many(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, lists([BY_NAME["user"]]))
    async with pool.acquire() as connection:
        assert not await allowances.count_seats(connection, company), "nobody has asked for anything yet"
    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest) as accounts:
        account = await accounts.get(company.id)
        assert account is not None
        await account.client.get(WHO_AM_I, need=Need.LIVE)
    async with pool.acquire() as connection:
        assert await allowances.count_seats(connection, company)
        ledger = await allowances.find(connection, company.id)
    active = sum(user["active_flag"] for user in cloud.live["user"])
    assert ledger is not None
    assert active > 1
    assert ledger.budget.daily(Terms()) == 30_000 * active


async def test_a_comparison_of_everything_that_takes_more_than_a_day_has_goes_on_with_what_is_left(
    pool: Pool, cloud: Cloud
) -> None:
    company = await company_of(pool, cloud.account.company_id)
    wanted = lists(ENTITIES)
    async with serve(cloud, limits=GENEROUS) as rest:
        async with reading(pool, company, rest) as reader:
            await backfill(reader, wanted)
        async with pool.acquire() as connection:
            await jobs.want(connection, company.id, RECONCILE_WHOLE.name)

        async def compared(terms: Terms) -> Counter[str]:
            before = rest.log.calls()
            async with accounts_of(pool, company, rest, terms=terms) as accounts:
                account = await accounts.get(company.id)
                assert account is not None
                one = scheduled(pool, accounts, todo=[RECONCILE_WHOLE])
                await once(one, account)
            return Counter(rest.log.calls()) - Counter(before)

        first = await compared(Terms(1.0, 400))
        job = (await known(pool, company))[RECONCILE_WHOLE.name]
        assert (job.code, job.ended_at) == (BudgetExhausted.code, None)
        async with pool.acquire() as connection:
            done = await compared_by_now(connection)
            await jobs.begin(connection, company.id, RECONCILE_WHOLE.name, timedelta())  # tried again at once
        assert 0 < len(done) < len(wanted)
        second = await compared(Terms(1.0, 10**9))
        read_again = {listing.path for entity, listings in wanted if entity.name in done for listing in listings}
        only_theirs = read_again - {listing.path for one, some in wanted if one.name not in done for listing in some}
        assert only_theirs & first.keys()
        assert not only_theirs & second.keys()
        assert (await known(pool, company))[RECONCILE_WHOLE.name].code is None
        async with pool.acquire() as connection:
            assert await compared_by_now(connection) == {entity.name for entity, _ in wanted}
            await jobs.want(connection, company.id, RECONCILE_WHOLE.name)
        assert only_theirs & (await compared(Terms(1.0, 10**9))).keys(), "wanted anew, all of it is compared anew"


async def test_where_a_day_has_too_few_tokens_those_compared_longest_ago_come_first(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool, cloud.account.company_id)
    daily = next(job for job in JOBS if job.name == "reconcile")
    ended: set[str] = set()
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, lists(ENTITIES))
        for _ in range(2):
            async with pool.acquire() as connection:
                await connection.execute("DELETE FROM pipemirror.allowances")
            async with accounts_of(pool, company, rest, terms=Terms(1.0, 250)) as accounts:
                account = await accounts.get(company.id)
                assert account is not None
                with pytest.raises(BudgetExhausted):
                    await daily.do(Undertaken(Means(pool, accounts), account))
            async with pool.acquire() as connection:
                found = await compared_by_now(connection)
            assert found > ended
            ended = found


async def test_an_entity_that_needs_more_than_a_day_has_holds_up_no_other(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool, cloud.account.company_id)
    daily = next(job for job in JOBS if job.name == "reconcile")
    opted_in = frozenset({"deal_follower"})
    ended: set[str] = set()
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, lists(ENTITIES))
        async with pool.acquire() as connection:
            await connection.execute(f'UPDATE "{company.slug}_raw".deals SET followers_count = 1')
        for _ in range(8):
            async with pool.acquire() as connection:
                await connection.execute("DELETE FROM pipemirror.allowances")
            async with accounts_of(pool, company, rest, terms=Terms(1.0, 250)) as accounts:
                account = await accounts.get(company.id)
                assert account is not None
                with suppress(BudgetExhausted):
                    await daily.do(Undertaken(Means(pool, accounts, opted_in), account))
            async with pool.acquire() as connection:
                ended = await compared_by_now(connection)
    assert "deal_follower" not in ended
    assert ended >= {"deal", "person", "activity", "stage"}


class PersonsAreDown(RestMischief):
    """One list answers 503, the account goes on."""

    def refuse(self, rng: random.Random, route: str, params: Mapping[str, str]) -> None:
        if route == "/api/v2/persons":
            raise unavailable(503)
        super().refuse(rng, route, params)


async def test_events_may_be_missing_until_every_list_of_a_sweep_was_read(pool: Pool, cloud: Cloud) -> None:
    company, sweeps = await company_of(pool, cloud.account.company_id), [job for job in JOBS if job.name == "sweep"]
    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest) as accounts:
        async with reading(pool, company, rest) as reader:
            await backfill(reader, lists(ENTITIES))
        account = await accounts.get(company.id)
        assert account is not None
        one = scheduled(pool, accounts, todo=sweeps)
        async with pool.acquire() as connection:
            await gaps.note(connection, company.id, datetime.now(UTC), "a test")

        async def is_open() -> bool:
            await once(one, account)
            async with pool.acquire() as connection:
                await jobs.want(connection, company.id, "sweep")
                return await gaps.find(connection, company.id) is not None

        rest.mischief = PersonsAreDown()
        assert await is_open()
        assert (await known(pool, company))["sweep"].result["later"] == ["person"]  # type: ignore[index]  # it ended
        rest.mischief = RestMischief()
        assert not await is_open()


async def test_an_entity_that_cannot_be_compared_for_the_moment_is_compared_later(pool: Pool, cloud: Cloud) -> None:
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, accounts_of(pool, company, rest) as accounts:
        account = await accounts.get(company.id)
        assert account is not None
        undertaken = Undertaken(Means(pool, accounts), account)
        async with pool.acquire() as connection:
            await jobs.want(connection, company.id, RECONCILE_WHOLE.name)
        rest.mischief = PersonsAreDown()
        with pytest.raises(PipedriveUnavailable, match=r"could not be compared, the others were: person$"):
            await RECONCILE_WHOLE.do(undertaken)
        rest.mischief = RestMischief()
        before = rest.log.calls()
        assert (await RECONCILE_WHOLE.do(undertaken))["failed"] == []
    assert {"/api/v2/persons"} <= (Counter(rest.log.calls()) - Counter(before)).keys()
    assert "/api/v2/organizations" not in Counter(rest.log.calls()) - Counter(before)


async def test_an_account_of_few_seats_is_swept_less_often(pool: Pool, cloud: Cloud) -> None:
    company, [sweep] = await company_of(pool, cloud.account.company_id), [job for job in JOBS if job.name == "sweep"]
    assert sweep.every is not None
    async with serve(cloud, limits=GENEROUS) as rest:
        async with reading(pool, company, rest) as reader:
            await backfill(reader, lists(ENTITIES))

        async def due_after(terms: Terms) -> int:
            async with accounts_of(pool, company, rest, terms=terms) as accounts, pool.acquire() as connection:
                await jobs.want(connection, company.id, sweep.name)
                account = await accounts.get(company.id)
                assert account is not None
                await once(scheduled(pool, accounts, todo=[sweep]), account)
            job = (await known(pool, company))[sweep.name]
            assert job.ended_at is not None
            return round((job.due_at - job.ended_at) / timedelta(minutes=1))

        usual, most = sweep.every / timedelta(minutes=1), SELDOM / timedelta(minutes=1)
        assert await due_after(Terms(1.0, 10**9)) == usual
        assert usual < await due_after(Terms(1.0, 20_000)) < most
        assert await due_after(Terms(1.0, 5_000)) == most


async def test_a_database_that_was_set_back_is_noticed_and_everything_is_wanted_anew(
    pool: Pool, tmp_path: Path
) -> None:
    company, memory = await company_of(pool), tmp_path / "epoch"
    epoch = Epoch(pool, memory)
    assert [await epoch.once() for _ in range(3)] == [False, False, False]
    async with pool.acquire() as connection:
        await connection.execute("UPDATE pipemirror.epoch SET beats = 1")
    assert await epoch.once()
    assert not await epoch.once()
    assert RECONCILE_WHOLE.name in await known(pool, company)
    async with pool.acquire() as connection:
        gap = await gaps.find(connection, company.id)
    assert gap is not None
    assert gap.reasons == ["the database was set back"]


async def test_another_database_is_not_one_that_was_set_back(pool: Pool, tmp_path: Path) -> None:
    memory = tmp_path / "epoch"
    Reached("another", 10**6).keep(memory)
    assert not await Epoch(pool, memory).once()
    memory.write_text("no such thing")
    assert not await Epoch(pool, memory).once()
