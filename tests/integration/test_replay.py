"""Replaying the journal: lost tables come back, a paused company catches up, and nothing is told twice."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rig.events import COMPANY, START, deal, envelope, v2_body
from rig.judge import Judge
from rig.telling import life
from rig.waiting import until, until_somebody_waits

from runtime.metrics import Metrics
from schema.envelope import Envelope
from store import companies
from store.companies import ACTIVE, PAUSED
from store.database import Pool, create_pool
from store.replays import Replay, Wanted
from worker.applying.applier import Applier, share
from worker.operations import replay
from worker.upkeep.normalising import normalise

NOW = datetime.now(UTC)
EVERYTHING = Wanted()
SMALL = 20
"""Events per chunk, so that a test has many."""


@pytest.fixture
def applier(pool: Pool) -> Applier:
    return Applier(pool, Metrics(), share(Metrics(), numbered_slugs=False))


@pytest.fixture
def judge(pool: Pool) -> Judge:
    return Judge(pool, COMPANY)


async def run(pool: Pool, wanted: Wanted = EVERYTHING, *, steps: int | None = None, chunk: int = SMALL) -> Replay:
    """Replay to the end, or so many steps of it."""
    begun = await replay.begin(pool, wanted, datetime.now(UTC))
    states = [begun]
    async for state in replay.run(pool, wanted, begun, chunk=chunk):
        states.append(state)
        if len(states) - 1 == steps:
            break
    return states[-1]


async def lose_deals(judge: Judge) -> None:
    await judge.value("TRUNCATE pipedrive_raw.deals")
    await judge.value("DELETE FROM pipedrive_raw.field_changes WHERE entity = 'deal'")


async def set_state(pool: Pool, state: str) -> None:
    async with pool.acquire() as connection:
        await companies.change_state(connection, COMPANY, state)


_PLACES = "SELECT ctid FROM pipedrive_raw.field_changes ORDER BY 1"


async def everything(judge: Judge) -> list[Any]:
    """All rows and their history, but for when and from where they were written."""
    rows = await judge.rows(
        "SELECT to_jsonb(d) - '{_synced_at,_revision,_source}'::text[] AS r FROM pipedrive_raw.deals d"
    )
    history = await judge.rows(
        "SELECT entity_id, field, version, old_value, new_value FROM pipedrive_raw.field_changes WHERE entity = 'deal'"
    )
    return sorted(map(str, [*rows, *history]))


async def test_a_journal_that_takes_long_to_count_is_replayed_all_the_same(
    migrated: str, pool: Pool, applier: Applier
) -> None:
    await applier.apply([deal(0).envelope])
    hasty = await create_pool(migrated, size=1, application="tests", command_timeout=1)
    try:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE pipemirror.events IN ACCESS EXCLUSIVE MODE")
            beginning = asyncio.create_task(replay.begin(hasty, EVERYTHING, datetime.now(UTC)))
            await until_somebody_waits(pool, seconds=2)
        assert (await beginning).total == 1
    finally:
        hasty.terminate()


@pytest.mark.parametrize("v1", [0.0, 0.4])
async def test_a_lost_table_comes_back_with_its_history(pool: Pool, applier: Applier, judge: Judge, v1: float) -> None:
    envelopes, truth = life(700, v1=v1)
    random.Random(1).shuffle(envelopes)
    for start in range(0, len(envelopes), 50):
        await applier.apply(envelopes[start : start + 50])
    async with pool.acquire() as connection:
        await normalise(connection, await applier._companies.get(COMPANY, applier.persist))
    await judge.settles(truth)
    before = await everything(judge)
    await lose_deals(judge)
    assert await everything(judge) == []

    done = await run(pool)

    assert await everything(judge) == before
    await judge.settles(truth)
    await judge.history_is_right()
    assert (done.applied, done.passed, done.refused) == (await judge.events(), 0, 0)
    assert done.done == done.total
    assert await judge.rows("SELECT DISTINCT _source FROM pipedrive_raw.deals") == [{"_source": "replay"}]
    assert "webhook" in {row["_source"] for row in await judge.rows("SELECT _source FROM pipedrive_raw.persons")}


async def test_of_a_lost_history_comes_back_what_the_events_of_a_record_tell_of_each_other(
    pool: Pool, applier: Applier, judge: Judge
) -> None:
    """Not what the only event of an intact record changed: its row is as the event says, so it looks told already."""
    first, second, third = (deal(at * 10**6, stage_id=at, title=str(at)).envelope for at in (1, 2, 3))
    for one in (first, second, third):
        await applier.apply([one])
    before = await everything(judge)
    await judge.value("TRUNCATE pipedrive_raw.field_changes")
    await run(pool)
    assert await everything(judge) == before

    await judge.value("TRUNCATE pipedrive_raw.field_changes")
    await judge.value("DELETE FROM pipemirror.events WHERE version < (SELECT max(version) FROM pipemirror.events)")
    await run(pool)
    assert await judge.value("SELECT count(*) FROM pipedrive_raw.field_changes") == 0


async def test_a_replay_over_an_intact_mirror_changes_nothing(pool: Pool, applier: Applier, judge: Judge) -> None:
    envelopes, truth = life(400)
    await applier.apply(envelopes)
    before, places = await everything(judge), await judge.rows(_PLACES)
    await run(pool)
    await run(pool)
    assert await everything(judge) == before
    assert await judge.rows(_PLACES) == places, "rows were written that are the same"
    await judge.settles(truth)
    await judge.history_is_right()


async def test_a_replay_that_ended_half_way_goes_on_where_it_was(pool: Pool, applier: Applier, judge: Judge) -> None:
    envelopes, truth = life(400)
    await applier.apply(envelopes)
    await lose_deals(judge)
    first = await run(pool, steps=5)
    assert (first.done, first.finished) == (5 * SMALL, False)
    second = await run(pool, steps=1)
    assert second.done == 6 * SMALL, "it began where the first one ended"
    last = await run(pool)
    assert (last.finished, last.done) == (True, await judge.events())
    await judge.settles(truth)
    await judge.history_is_right()
    again = await run(pool)
    assert again.done == last.done, "a finished one begins anew"


async def test_two_replays_of_one_wish_share_the_work(pool: Pool, applier: Applier, judge: Judge) -> None:
    envelopes, truth = life(400)
    await applier.apply(envelopes)
    await lose_deals(judge)
    done = await asyncio.gather(run(pool), run(pool))
    assert {found.done for found in done} == {await judge.events()}
    await judge.settles(truth)
    await judge.history_is_right()


async def test_a_replay_beside_live_workers_loses_and_doubles_nothing(
    pool: Pool, applier: Applier, judge: Judge
) -> None:
    envelopes, truth = life(900)
    half = len(envelopes) // 2
    await applier.apply(envelopes[:half])
    await lose_deals(judge)
    other = Applier(pool, Metrics(), share(Metrics(), numbered_slugs=False))

    async def live(by: Applier, mine: list[Envelope]) -> None:
        for start in range(0, len(mine), 10):
            await by.apply(mine[start : start + 10])

    await asyncio.gather(run(pool), live(applier, envelopes[half::2]), live(other, envelopes[half + 1 :: 2]))
    await judge.settles(truth)
    await judge.history_is_right()


async def test_what_a_late_event_told_of_a_lost_record_is_not_told_again_by_the_replay(
    pool: Pool, applier: Applier, judge: Judge
) -> None:
    """The journal knows of a change that the lost table does not know yet: who tells anew tells it too."""
    second = 1_000_000
    lost = [deal(at * second, title=title).envelope for at, title in ((1, "a"), (3, "c"), (4, "d"))]
    await applier.apply(lost)
    await lose_deals(judge)
    await run(pool, steps=2, chunk=1)
    await applier.apply([deal(2 * second, title="b").envelope])
    await run(pool, chunk=1)
    await judge.history_is_right()


async def test_only_what_is_asked_for_is_replayed(pool: Pool, applier: Applier) -> None:
    hour = 3_600_000_000
    events = [deal(n * hour, record_id, stage_id=n) for n in range(1, 5) for record_id in (1, 2)]
    await applier.apply([event.envelope for event in events])
    begin = datetime.fromtimestamp(START / 1e6, UTC)
    some = Wanted(since=begin + timedelta(hours=2), until=begin + timedelta(hours=4))
    assert (await run(pool, some)).applied == 4, "from is within, to is not"
    assert (await run(pool, Wanted(entity="deal", entity_id="2"))).applied == 4
    assert (await run(pool, Wanted(entity="person"))).applied == 0
    assert (await run(pool, Wanted(company_id=COMPANY + 1))).total == 0


async def test_a_merge_is_found_by_either_record(pool: Pool, applier: Applier, judge: Judge) -> None:
    envelopes, _ = life(900)
    await applier.apply(envelopes)
    row = (await judge.rows("SELECT entity, other_ids FROM pipemirror.events WHERE other_ids IS NOT NULL LIMIT 1"))[0]
    assert (await run(pool, Wanted(entity=row["entity"], entity_id=row["other_ids"][0]))).applied >= 1


async def test_what_was_kept_during_a_pause_is_applied_once_by_resuming(
    pool: Pool, applier: Applier, judge: Judge
) -> None:
    """While events keep coming, some of them older than what was kept."""
    envelopes, truth = life(900)
    third = len(envelopes) // 3
    await applier.apply(envelopes[:third])
    await set_state(pool, PAUSED)
    late, kept = envelopes[third : 2 * third : 7], [e for n, e in enumerate(envelopes[third : 2 * third]) if n % 7]
    await applier.apply(kept)
    assert await judge.value("SELECT count(*) FROM pipemirror.events WHERE applied_at IS NULL") == len(kept)
    wanted = Wanted(company_id=COMPANY, kept_only=True)
    assert (await run(pool, wanted)).left_out == {str(COMPANY): PAUSED}

    await set_state(pool, ACTIVE)

    async def live() -> None:
        for found in (envelopes[2 * third :], late, kept[:50]):
            for start in range(0, len(found), 10):
                await applier.apply(found[start : start + 10])

    _, done, also = await asyncio.gather(live(), run(pool, wanted), run(pool, wanted))
    assert done.applied == also.applied == len(kept)
    assert await judge.value("SELECT count(*) FROM pipemirror.events WHERE applied_at IS NULL") == 0
    await judge.settles(truth)
    await judge.history_is_right()


async def test_an_event_that_the_database_refuses_is_counted_and_the_others_go_on(
    pool: Pool, applier: Applier, judge: Judge
) -> None:
    await applier.apply([deal(0, n, title=f"deal {n}").envelope for n in range(1, 100)])
    await judge.value("TRUNCATE pipedrive_raw.deals")
    await judge.value("ALTER TABLE pipedrive_raw.deals ADD CONSTRAINT odd CHECK (title NOT IN ('deal 7', 'deal 70'))")
    done = await run(pool)
    assert (done.applied, done.refused, done.finished) == (97, 2, True)
    assert await judge.value("SELECT count(*) FROM pipedrive_raw.deals") == 97


async def test_a_table_that_was_dropped_is_made_again(pool: Pool, applier: Applier, judge: Judge) -> None:
    await applier.apply([deal(0).envelope])
    await judge.value("DROP TABLE pipedrive_raw.deals")
    assert (await run(pool)).applied == 1
    assert await judge.value("SELECT count(*) FROM pipedrive_raw.deals") == 1


async def test_events_without_a_table_are_passed_by(pool: Pool, applier: Applier) -> None:
    await applier.apply([envelope(v2_body("spaceship", 1, START, {"name": "x"})), deal(0).envelope])
    done = await run(pool)
    assert (done.applied, done.passed, done.total) == (1, 1, 2)


async def test_pausing_waits_for_what_is_being_applied_and_is_not_starved_by_it(pool: Pool, applier: Applier) -> None:
    """Six workers hold the company, the one before the other lets go: whoever wants it alone is next all the same."""
    await applier.apply([deal(0).envelope])
    company, workers, changes = await applier._companies.get(COMPANY, applier.persist), 6, 8
    assert company is not None
    stop, held = asyncio.Event(), 0

    async def hold(number: int) -> None:
        nonlocal held
        await asyncio.sleep(number * 0.005)  # out of step, so that at no moment all have let go
        while not stop.is_set():
            async with pool.acquire() as connection, connection.transaction():
                await companies.lock_shared(connection, company)
                await connection.execute("SELECT pg_sleep(0.03)")
            held += 1

    holding = [asyncio.ensure_future(hold(number)) for number in range(workers)]
    try:
        await until(lambda: held > workers)
        before = held
        async with asyncio.timeout(60):
            for state in (PAUSED, ACTIVE) * (changes // 2):
                await set_state(pool, state)
        passed = held - before
    finally:
        stop.set()
        await asyncio.gather(*holding)
    # What was under way when it asked, and one more each that was on its way to asking.
    assert passed <= 2 * workers * changes
    async with pool.acquire() as connection, connection.transaction():
        assert await companies.lock_shared(connection, company) == ACTIVE
