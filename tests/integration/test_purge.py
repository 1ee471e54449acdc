"""Removing a company whole: nothing of it remains, whatever comes meanwhile and whatever is killed when."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from rig.events import COMPANY, START, deal, envelope, v2_body
from rig.judge import Judge
from rig.telling import life
from rig.waiting import until, until_somebody_waits

from pipedrive.ledger import Shut
from runtime.measurements import EVENTS
from runtime.metrics import Metrics
from schema.envelope import Envelope
from schema.errors import DatabaseUnavailable
from schema.mark import Mark
from store import companies, held, purges, upkeep
from store.allowances import InPostgres
from store.companies import PURGED
from store.database import Pool
from store.replays import ReplayRemoved, Wanted
from worker.applying import parking, provision
from worker.applying.applier import Applier, share
from worker.applying.held_companies import HeldCompanies
from worker.operations import purge, replay
from worker.upkeep.readmission import Readmission

OTHER = COMPANY + 1


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def applier(pool: Pool, metrics: Metrics) -> Applier:
    return Applier(pool, metrics, share(metrics, numbered_slugs=False))


@pytest.fixture
def judge(pool: Pool) -> Judge:
    return Judge(pool, COMPANY)


async def purged(pool: Pool, *, steps: int | None = None) -> None:
    """To its end, or killed after so many steps."""
    company = await purge.mark(pool, COMPANY)
    assert company is not None
    number = 0
    async for _ in purge.delete(pool, company):
        number += 1
        if number == steps:
            return


async def remains(judge: Judge) -> dict[str, int]:
    """Where anything of the company is left, but for the receipt."""
    found = {
        table: await judge.value(f"SELECT count(*) FROM pipemirror.{table} WHERE company_id = $1", COMPANY)
        for table in await tables_of_companies(judge)
    }
    found["schemas"] = await judge.value(
        "SELECT count(*) FROM pg_namespace WHERE nspname IN ('pipedrive', 'pipedrive_raw')"
    )
    return {table: number for table, number in found.items() if number}


async def tables_of_companies(judge: Judge) -> list[str]:
    """Every table of the ops schema that holds something of companies, whichever migration made it."""
    rows = await judge.rows(
        "SELECT table_name FROM information_schema.columns "
        "JOIN information_schema.tables USING (table_schema, table_name) "
        "WHERE table_schema = 'pipemirror' AND column_name = 'company_id' AND table_type = 'BASE TABLE' "
        "AND table_name NOT IN ('purges', 'purge_marks') AND table_name NOT LIKE 'events_%'"
    )
    return [row["table_name"] for row in rows]


async def test_every_table_that_holds_something_of_companies_is_thought_of(judge: Judge) -> None:
    by_other_ways = {"events", "upkeep", "allowances"}
    assert set(await tables_of_companies(judge)) == {*purge._OPS_TABLES} | by_other_ways


async def receipt(pool: Pool) -> purges.Purge:
    async with pool.acquire() as connection:
        found = await purges.find(connection, COMPANY)
    assert found is not None
    return found


def other_events(number: int) -> list[Envelope]:
    return [deal(n, n + 1, company_id=OTHER, title="theirs").envelope for n in range(number)]


async def test_nothing_remains_but_the_receipt_and_others_keep_theirs(
    pool: Pool, applier: Applier, judge: Judge
) -> None:
    envelopes, _ = life(300)
    await applier.apply([*envelopes, envelope(b"broken"), *other_events(5)])
    rows = await judge.value("SELECT count(*) FROM pipedrive_raw.deals")
    async with pool.acquire() as connection:
        await upkeep.note(connection, upkeep.TYPES, datetime.now(UTC), COMPANY)
    await InPostgres(pool, COMPANY).amend(lambda ledger, now: (ledger.refused(Shut.BURST, 2, now), None))
    await purged(pool)

    assert await remains(judge) == {}
    found = await receipt(pool)
    assert found.deleted["deals"] == rows
    assert found.deleted["events"] == len(envelopes)
    assert found.deleted["dead_letters"] == 1
    assert found.deleted["fields"] > 0
    assert found.deleted_at is not None
    assert found.final_at is None
    assert await judge.value("SELECT count(*) FROM pipemirror.events WHERE company_id = $1", OTHER) == 5
    assert await judge.value(f"SELECT count(*) FROM pipedrive_{OTHER}_raw.deals") == 5


@pytest.mark.parametrize("steps", [0, 1, 3, 12, 19, 20, 21, 22, 24])
async def test_a_purge_that_was_killed_begins_anew_and_counts_nothing_twice(
    pool: Pool, applier: Applier, judge: Judge, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr(purge, "CHUNK", 100)
    envelopes, _ = life(250)
    await applier.apply([*envelopes, envelope(b"broken")])
    rows = await judge.value("SELECT count(*) FROM pipedrive_raw.deals")
    if steps:
        await purged(pool, steps=steps)
    else:
        assert await purge.mark(pool, COMPANY)
    await purged(pool)
    await purged(pool)
    assert await remains(judge) == {}
    found = await receipt(pool)
    assert (found.deleted["deals"], found.deleted["events"]) == (rows, len(envelopes))


async def test_a_purge_under_load_leaves_nothing_and_late_events_are_discarded_and_counted(
    pool: Pool, applier: Applier, judge: Judge, metrics: Metrics
) -> None:
    """Two workers apply all the time, before, during and after; refusals among the events, another company beside."""
    envelopes, _ = life(1200)
    first, rest = envelopes[:200], envelopes[200:]
    await applier.apply(first)
    other = Applier(pool, metrics, share(metrics, numbered_slugs=False))

    async def live(by: Applier, mine: list[Envelope]) -> None:
        theirs = iter(other_events(100))
        for start in range(0, len(mine), 10):
            broken = envelope(b"broken", received_at=START + start)
            await by.apply([*mine[start : start + 10], broken, *filter(None, [next(theirs, None)])])

    async def purge_soon() -> None:
        await until(lambda: (metrics.value(EVENTS, "applied") or 0) > 300)
        await purged(pool)

    await asyncio.gather(live(applier, rest[::2]), live(other, rest[1::2]), purge_soon())

    assert (metrics.value(EVENTS, "discarded") or 0) > 100
    assert await remains(judge) == {}
    assert (await receipt(pool)).deleted_at is not None
    assert await judge.value(f"SELECT count(*) FROM pipedrive_{OTHER}_raw.deals") == 50


async def test_neither_a_webhook_nor_an_upgrade_makes_a_purged_company_anew(
    pool: Pool, applier: Applier, judge: Judge, metrics: Metrics
) -> None:
    await applier.apply([deal(0).envelope])
    async with pool.acquire() as connection:
        company = await companies.find(connection, COMPANY)
    assert company is not None
    await purged(pool)

    fresh = Applier(pool, metrics, share(metrics, numbered_slugs=False))
    for worker in (applier, fresh):
        await worker.apply([deal(5).envelope, envelope(b"broken")])
    async with pool.acquire() as connection, connection.transaction():
        await provision.complete(connection, company)  # as an upgrade does that began before the purge
    async with pool.acquire() as connection:
        assert (await provision.provision(connection, COMPANY, numbered_slugs=False)).state == PURGED
    assert await remains(judge) == {}
    assert (metrics.value(EVENTS, "discarded") or 0) >= 3


async def test_the_slug_of_a_purged_company_is_not_given_again(pool: Pool, applier: Applier, judge: Judge) -> None:
    await applier.apply([deal(0).envelope])
    await purged(pool)
    await applier.apply(other_events(1))
    assert await judge.value("SELECT slug FROM pipemirror.companies WHERE id = $1", OTHER) == f"pipedrive_{OTHER}"


async def test_views_that_somebody_made_go_with_it(pool: Pool, applier: Applier, judge: Judge) -> None:
    await applier.apply([deal(0).envelope])
    await judge.value("CREATE VIEW mine AS SELECT id FROM pipedrive_raw.deals")
    await judge.value("CREATE TABLE pipedrive_raw.notes_of_mine (x int)")
    await purged(pool)
    assert await remains(judge) == {}
    assert await judge.value("SELECT to_regclass('mine')") is None


async def test_a_table_in_use_is_named_and_the_rest_waits(pool: Pool, applier: Applier, judge: Judge) -> None:
    await applier.apply([deal(0).envelope])
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE pipedrive_raw.deals IN ACCESS SHARE MODE")
        with pytest.raises(DatabaseUnavailable, match=r"pipedrive_raw.*deals"):
            await purged(pool)
    await purged(pool)
    assert await remains(judge) == {}


async def test_while_it_counts_others_may_be_made(pool: Pool, applier: Applier, judge: Judge) -> None:
    await applier.apply([deal(0).envelope])
    async with pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("LOCK TABLE pipedrive_raw.deals IN ACCESS EXCLUSIVE MODE")  # counting takes long
            purging = asyncio.create_task(purged(pool))
            await until_somebody_waits(pool)
            async with pool.acquire() as theirs:
                await provision.provision(theirs, OTHER, numbered_slugs=True)
            assert not purging.done()
        await purging
    assert await remains(judge) == {}
    assert (await receipt(pool)).deleted["deals"] == 1


async def test_two_that_purge_at_once_count_nothing_twice(pool: Pool, applier: Applier, judge: Judge) -> None:
    envelopes, _ = life(250)
    await applier.apply(envelopes)
    rows = await judge.value("SELECT count(*) FROM pipedrive_raw.deals")
    await asyncio.gather(*(purged(pool) for _ in range(3)))
    assert await remains(judge) == {}
    found = await receipt(pool)
    assert (found.deleted["deals"], found.deleted["events"]) == (rows, len(envelopes))


async def test_a_company_that_is_not_known_cannot_be_purged(pool: Pool) -> None:
    assert await purge.mark(pool, COMPANY) is None


@pytest.fixture
async def marked(pool: Pool, applier: Applier) -> Mark:
    """A mark that was sent to a queue, for a company that the applier still believes to be active."""
    await applier.apply([deal(0).envelope])
    await purged(pool)
    async with pool.acquire() as connection:
        await purges.send_mark(connection, COMPANY, "lane")
        found = await purges.find(connection, COMPANY)
    assert found is not None
    return Mark(found.token, "lane")


async def passed(pool: Pool) -> list[Any]:
    async with pool.acquire() as connection:
        return [mark["passed_at"] for mark in await purges.marks(connection, COMPANY)]


async def test_a_mark_is_noted_by_the_worker_that_meets_it(
    pool: Pool, applier: Applier, judge: Judge, marked: Mark
) -> None:
    assert await passed(pool) == [None]
    await applier.apply([envelope(marked.body)])
    (first,) = await passed(pool)
    assert first is not None
    await applier.apply([envelope(marked.body), envelope(marked.body), deal(3).envelope])
    assert await passed(pool) == [first], "a redelivery changes nothing"
    assert await remains(judge) == {}


@pytest.mark.parametrize("body", [Mark("guessed", "lane").body, b'{"pipemirror_mark":1}', b'{"pipemirror_mark":{'])
async def test_a_mark_that_nobody_sent_is_a_dead_letter_like_others(
    pool: Pool, applier: Applier, judge: Judge, marked: Mark, body: bytes
) -> None:
    """And of a purged company it is not even that."""
    await applier.apply([envelope(body), envelope(body, OTHER), envelope(marked.body, OTHER)])
    assert await passed(pool) == [None]
    assert await remains(judge) == {}
    assert await judge.value("SELECT count(*) FROM pipemirror.dead_letters WHERE company_id = $1", OTHER) == 2


async def test_a_mark_within_a_bundle_does_not_hide_its_neighbours(pool: Pool, applier: Applier) -> None:
    body = v2_body("deal", 9, START, {"title": "after"})
    await applier.apply([deal(0).envelope, envelope(Mark("x", "lane").body), envelope(body)])
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM pipedrive_raw.deals") == 2


async def test_a_purge_is_not_final_while_events_of_the_company_are_held(
    pool: Pool, applier: Applier, judge: Judge
) -> None:
    """A worker to which the company is a held one keeps what comes; it is discarded when it is readmitted."""
    await applier.apply([deal(0).envelope])
    await purged(pool)
    async with pool.acquire() as connection:
        await held.keep(
            connection, [parking.to_hold(deal(1).envelope), parking.to_hold(deal(0, company_id=OTHER).envelope)]
        )
        assert await purges.final(connection, COMPANY) == 1
    assert (await receipt(pool)).final_at is None

    again = Applier(pool, Metrics(), share(Metrics(), numbered_slugs=False), tries=1)
    await Readmission(pool, again, HeldCompanies(), Metrics(), clock=lambda: 0.0).once()
    async with pool.acquire() as connection:
        assert await purges.final(connection, COMPANY) == 0
    assert (await receipt(pool)).final_at is not None
    assert await remains(judge) == {}


async def test_a_replay_whose_company_is_purged_meanwhile_says_so(pool: Pool, applier: Applier, judge: Judge) -> None:
    await applier.apply([deal(0, number, title="ours").envelope for number in range(3)])
    wanted = Wanted(company_id=COMPANY)
    replaying = replay.run(pool, wanted, await replay.begin(pool, wanted, datetime.now(UTC)), chunk=1)
    assert (await anext(replaying)).applied == 1
    await purged(pool)
    with pytest.raises(ReplayRemoved):
        await anext(replaying)
    assert await remains(judge) == {}
