"""Real processes beside a made-up account that does its worst: what it comes to, and what they say of it."""

import asyncio
import random
import re
import signal
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from rig.events import COMPANY
from rig.judge import Judge
from rig.living import QUICK
from rig.processes import CHECKOUT, Installation
from rig.racing import broken_history
from rig.waiting import until

from pipedrive.errors import ScopeMissing
from sandbox.cloud import Company as Cloud
from sandbox.live import run_subscribed
from sandbox.mischief import Mischief
from sandbox.rest.api import Rest
from sandbox.rest.limits import Limits
from sandbox.rest.mischief import RestMischief
from sandbox.rest.server import TOKEN, serve
from sandbox.rest.truth import listed
from sandbox.script import step
from schema.entities import ENTITIES
from store import companies

DONE, FAILED = 0, 1
GENEROUS = Limits(burst=5_000)
OPTED_IN = ",".join(entity.name for entity in ENTITIES if any(listing.opt_in for listing in entity.listings))
SIZES = {"/api/v2/deals": 6, "/api/v2/activities": 6, "/api/v2/persons": 6, "/v1/notes": 10, "/v1/leads": 5}


class Ahead:
    """The time there is, and more of it where a test has no time to wait."""

    def __init__(self) -> None:
        self.micros = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000 + self.micros

    def forward(self, seconds: float) -> None:
        self.micros += int(seconds * 1_000_000)


@dataclass
class Account:
    cloud: Cloud
    rest: Rest
    clock: Ahead

    def lives(self, steps: int) -> None:
        """Without a word to anybody."""
        for _ in range(steps):
            step(self.cloud)

    @asynccontextmanager
    async def living(self, rate: float) -> AsyncIterator[None]:
        """Things happen, and are told to whoever has subscribed, until the block is left."""
        stop = asyncio.Event()
        life = asyncio.create_task(run_subscribed(self.cloud, self.rest.subscriptions, rate=rate, stop=stop))
        try:
            yield
            stop.set()
            await asyncio.wait_for(life, 60)
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)

    def has_answered(self, requests: int) -> bool:
        return len(list(self.rest.log)) >= requests

    @property
    def asked(self) -> Counter[tuple[str, str]]:
        """Path and parameters of all that was asked and answered, beside who we are and which webhooks there are."""
        apart = {"/v1/users/me", "/v1/webhooks"}
        asked = (one for one in self.rest.log if one.route not in apart and one.status == 200)
        return Counter((one.path, str(sorted(one.params.items()))) for one in asked)


@pytest.fixture
def seed() -> int:
    return 2


@pytest.fixture
async def account(seed: int) -> AsyncIterator[Account]:
    clock = Ahead()
    cloud = Cloud(random.Random(seed), COMPANY, clock, deals=40, same_instant=0.1)
    lossy = Mischief(duplicates=0.1, reorder=20, drops=0.05)
    async with serve(cloud, limits=GENEROUS, deliveries=lossy, pace=QUICK, seed=seed) as rest:
        found = Account(cloud, rest, clock)
        found.lives(100)
        yield found


async def is_whole(installation: Installation, account: Account, judge: Judge) -> None:
    """Every column of every entity, no ghosts; and the comparison knows it."""
    await judge.settles(listed(account.cloud))
    looked = await installation.run("reconcile", "--dry-run", "--json", within=120)
    assert looked.out, looked.err
    drifts = [one for one in looked.json if one["missing"] or one["different"] or one["superfluous"] or one["unread"]]
    assert drifts == []
    assert looked.code == DONE, looked.err
    assert {one["entity"] for one in looked.json} == {entity.name for entity in ENTITIES if entity.listings}


async def mended(installation: Installation) -> None:
    """What is missed in number is believed to be gone when it is missed twice."""
    ran = await installation.run("reconcile", "--repair", within=120)
    if ran.code != DONE:
        ran = await installation.run("reconcile", "--repair", within=120)
    assert ran.code == DONE, ran.err


async def test_whatever_was_lost_while_the_account_was_read_sweep_and_reconcile_bring_back(
    on_both: Installation, account: Account, judge: Judge
) -> None:
    """Events lost, late and twice beside answers cut, refused, slow and empty; then the mirror is the account."""
    on_both.connects_to(account.rest.url, TOKEN, OPT_IN=OPTED_IN)
    await on_both.running()
    account.rest.mischief = RestMischief(
        too_many=0.002, broken=0.01, cut=0.01, nulls=0.01, slow=0.02, delay=0.2, stale=0.01, sizes=SIZES
    )
    async with account.living(rate=60):
        ran = await on_both.run("connect", within=180)
        assert ran.code == DONE, ran.err
    books = account.rest.subscriptions.ledger.counters
    assert books.acked > 100
    assert books.lost > 0
    await judge.holds(events=books.acked)
    account.clock.forward(120)
    account.rest.mischief = RestMischief(broken=0.01, cut=0.01, slow=0.02, delay=0.2)
    swept = await on_both.run("sweep", within=120)
    assert swept.code == DONE, swept.err
    await mended(on_both)
    await is_whole(on_both, account, judge)
    assert await judge.dead_letters() == []
    async with judge.pool.acquire() as connection:
        company = await companies.find(connection, COMPANY)
    assert company is not None
    assert "\n".join(await broken_history(judge.pool, company)) == ""
    sources = await judge.rows(f'SELECT DISTINCT source FROM "{company.slug}_raw".field_changes')
    assert {row["source"] for row in sources} >= {"webhook", "sweep", "reconcile"}


async def test_whoever_reads_writes_or_loses_the_database_meanwhile_the_mirror_is_the_account(
    on_amqp: Installation, account: Account, judge: Judge
) -> None:
    """Readers and workers killed at random moments, all connections to Postgres cut, while things happen."""
    on_amqp.connects_to(account.rest.url, TOKEN, OPT_IN=OPTED_IN)
    _, *workers = await on_amqp.running(workers=2)
    rng = random.Random(7)
    account.rest.mischief = RestMischief(broken=0.01, cut=0.01, slow=0.2, delay=0.05, stale=0.01, sizes=SIZES)
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() "
    async with account.living(rate=40):
        for command in (["connect"], ["connect"], ["backfill"], ["reconcile", "--repair"]):
            process = await on_amqp.start(*command)
            goal = len(list(account.rest.log)) + rng.randint(20, 150)
            await until(partial(account.has_answered, goal), what=f"{goal} requests")
            await judge.value(cut + "AND pid <> pg_backend_pid()")
            worker = rng.choice(workers)
            await worker.kill9()
            await worker.start()
            if process.returncode is None:
                process.kill()
            out, err = await process.communicate()
            assert TOKEN.encode() not in out + err
        account.rest.mischief = RestMischief(sizes=SIZES)
        await until(partial(succeeds, on_amqp, "connect"), within=180, what="connected")
    # What was queued by then and is written after a comparison would wait for the next one.
    await judge.holds(events=account.rest.subscriptions.ledger.counters.acked)
    account.clock.forward(120)
    account.rest.mischief = RestMischief()
    await until(partial(succeeds, on_amqp, "sweep"), within=120, what="swept")
    await until(partial(succeeds, on_amqp, "reconcile", "--repair"), within=120, what="mended")
    await is_whole(on_amqp, account, judge)
    assert await judge.dead_letters() == []
    assert TOKEN not in on_amqp.log


async def succeeds(installation: Installation, *command: str) -> bool:
    """Unless a worker is at it just now."""
    ran = await installation.run(*command, within=120)
    return ran.code == DONE and "another process" not in ran.err


async def test_killed_again_and_again_it_reads_no_list_twice_beyond_the_page_at_hand(
    on_amqp: Installation, account: Account, judge: Judge
) -> None:
    on_amqp.connects_to(account.rest.url, TOKEN, PUBLIC_URL="")
    rng, kills, calls = random.Random(5), 0, 0
    account.rest.mischief = RestMischief(sizes=SIZES, slow=1.0, delay=0.04)
    read = "SELECT coalesce(sum(calls), 0)::int FROM pipemirror.walks"

    async def calls_made() -> int:
        return int(await judge.value(read)) if await judge.value("SELECT to_regclass('pipemirror.walks')") else 0

    async def has_made(goal: int) -> bool:
        return await calls_made() >= goal

    while kills < 5:
        process = await on_amqp.start("connect")
        goal = calls + rng.randint(3, 12)
        await until(partial(has_made, goal), every=0.01, what=f"{goal} calls")
        assert process.returncode is None, "it has ended: make the account larger"
        process.kill()
        await process.communicate()
        calls, kills = await calls_made(), kills + 1
    states = await judge.rows("SELECT DISTINCT state FROM pipemirror.walks")
    assert {row["state"] for row in states} <= {"running", "done"}
    ran = await on_amqp.run("connect", within=120)
    assert ran.code == DONE, ran.err

    more = Counter({path: times - 1 for (path, _), times in account.asked.items() if times > 1})
    by_list = Counter[str]()
    for (path, _), times in account.asked.items():
        by_list[path] += times - 1
    assert more.total() > 0, "it was never killed in the middle of a page: this proves nothing"
    assert max(by_list.values()) <= 2 * kills, "the page at hand, and the one that was asked for ahead"
    written = await judge.rows("SELECT entity, sum(rows)::int AS rows FROM pipemirror.walks GROUP BY entity")
    by_entity = {row["entity"]: row["rows"] for row in written}
    for entity in ("deal", "activity", "person", "organization", "note", "lead"):
        deleted = len(account.cloud.deleted["deal"]) if entity == "deal" else 0
        assert by_entity[entity] == len(account.cloud.live[entity]) + deleted, f"{entity}: each row is written once"
    await mended(on_amqp)
    left = [entity.name for entity in ENTITIES if all(not listing.opt_in for listing in entity.listings)]
    looked = await on_amqp.run("reconcile", "--dry-run", *(part for name in left for part in ("--entity", name)))
    assert looked.code == DONE, looked.out


async def test_of_two_that_read_an_account_at_once_one_reads_and_the_other_says_so(
    on_amqp: Installation, account: Account, judge: Judge
) -> None:
    on_amqp.connects_to(account.rest.url, TOKEN, PUBLIC_URL="")
    account.rest.mischief = RestMischief(slow=1.0, delay=0.05, sizes=SIZES)
    first = await on_amqp.start("connect")
    await until(lambda: len(list(account.rest.log)) > 20, what="reading under way")
    first.send_signal(signal.SIGSTOP)  # so that it is not done before the other one has lost its patience
    second, *others = await asyncio.gather(
        *(on_amqp.run(*command) for command in (["connect"], ["backfill"], ["sweep"], ["reconcile", "--json"]))
    )
    first.send_signal(signal.SIGCONT)
    _, err = await first.communicate()
    assert (first.returncode, second.code) == (DONE, DONE), err
    assert all("is being read by another process" in ran.err for ran in (second, *others))
    assert [(ran.code, ran.out) for ran in others] == [(FAILED, "")] * 3, "they did nothing, and compared nothing"
    assert b"another process" not in err
    assert set(account.asked.values()) == {1}
    assert await judge.value("SELECT count(*) FROM pipemirror.walks WHERE state <> 'done'") == 0


async def test_a_comparison_that_is_stopped_says_how_far_it_came(on_amqp: Installation, account: Account) -> None:
    on_amqp.connects_to(account.rest.url, TOKEN, PUBLIC_URL="")
    ran = await on_amqp.run("connect", within=120)
    assert ran.code == DONE, ran.err
    before = len(list(account.rest.log))
    account.rest.mischief = RestMischief(slow=1.0, delay=0.2)
    process = await on_amqp.start("reconcile", "--repair")
    await until(partial(account.has_answered, before + 8), what="comparing under way")
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == FAILED
    told = re.search(r"^stopped: (\d+) of (\d+) entities were compared", err.decode(), re.MULTILINE)
    assert told is not None, err
    assert int(told[1]) < int(told[2])


@pytest.mark.parametrize("days", [1.2, -1.2])
async def test_a_clock_that_is_days_off_hides_nothing(on_amqp: Installation, account: Account, days: float) -> None:
    """Neither what is told after it was read, nor what is gone since."""
    clock = on_amqp.folder / "clock"
    clock.write_bytes(struct.pack("d", days * 86_400))
    shim = CHECKOUT / "tests" / "rig" / "shim"
    on_amqp.connects_to(account.rest.url, TOKEN)
    await on_amqp.running()
    on_amqp.settings |= {"RIG_CLOCK": str(clock), "PYTHONPATH": f"{shim}:{CHECKOUT}"}
    async with account.living(rate=60):
        ran = await on_amqp.run("connect", within=120)
        assert ran.code == DONE, ran.err
    note = next(iter(account.cloud.live["note"]))["id"]
    account.cloud.delete("note", note)
    account.clock.forward(120)
    ran = await on_amqp.run("sweep", within=120)
    assert ran.code == DONE, ran.err
    looked = await on_amqp.run("reconcile", "--dry-run", "--json", "--entity", "note")
    assert [one["samples"]["superfluous"] for one in looked.json] == [[str(note)]]
    await mended(on_amqp)
    left = [entity.name for entity in ENTITIES if all(not listing.opt_in for listing in entity.listings)]
    looked = await on_amqp.run("reconcile", "--dry-run", *(part for name in left for part in ("--entity", name)))
    assert looked.code == DONE, looked.out


@dataclass(frozen=True)
class Trouble:
    """What happens to an account, and what a person is told of it who connects it."""

    happens: Callable[[Rest], None]
    says: tuple[str, ...]
    waits: bool = False


def revoked(rest: Rest) -> None:
    rest.tokens.revoke(TOKEN)


def misbehaves(**mischief: Any) -> Callable[[Rest], None]:
    def happens(rest: Rest) -> None:
        rest.mischief = RestMischief(**mischief)

    return happens


def out_of_tokens(rest: Rest) -> None:
    rest.gate.limits = Limits(burst=5_000, daily=1, tells_daily=True)


TROUBLES = {
    "token revoked": Trouble(revoked, ("token_invalid", "401", "Take the API token from Pipedrive")),
    "company closed": Trouble(misbehaves(closed=True), ("account_closed", "402", "Settle the subscription")),
    "day spent": Trouble(out_of_tokens, ("budget_exhausted", "goes on at"), waits=True),
    "blocked": Trouble(misbehaves(pages=1.0), ("blocked_by_pipedrive", "goes on at"), waits=True),
    "in maintenance": Trouble(misbehaves(broken=1.0), ("pipedrive_unavailable", "Workers try again by themselves")),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
async def test_what_ends_all_reading_is_told_with_what_to_do_and_is_no_success(
    on_amqp: Installation, account: Account, judge: Judge, trouble: Trouble
) -> None:
    on_amqp.connects_to(account.rest.url, TOKEN, PUBLIC_URL="")
    account.rest.mischief = RestMischief(sizes=SIZES, slow=1.0, delay=0.05)
    process = await on_amqp.start("connect")
    await until(lambda: len(list(account.rest.log)) > 20, what="reading under way")
    trouble.happens(account.rest)
    if trouble.waits:
        assert process.stderr is not None
        said = b""
        async with asyncio.timeout(60):
            while b"goes on at" not in said:
                said += await process.stderr.readline()
        process.terminate()
        out, err = await process.communicate()
        err = said + err
    else:
        async with asyncio.timeout(90):
            out, err = await process.communicate()
    told = (out + err).decode()
    assert process.returncode not in {DONE, None}, told
    assert [part for part in trouble.says if part not in told] == [], told
    assert TOKEN not in told
    assert "Traceback" not in told
    states = await judge.rows("SELECT state, count(*) FROM pipemirror.walks GROUP BY state")
    assert {row["state"] for row in states} <= {"running", "done"}
    done = await judge.value("SELECT count(*) FROM pipemirror.walks WHERE state = 'done'")
    assert await judge.value("SELECT count(*) FROM pipemirror.watermarks") == done


async def test_our_share_of_the_day_is_told_before_it_is_exceeded(
    on_amqp: Installation, account: Account, judge: Judge
) -> None:
    on_amqp.connects_to(
        account.rest.url, TOKEN, PUBLIC_URL="", PIPEDRIVE_TOKEN_SHARE="0.3", PIPEDRIVE_DAILY_TOKENS="1000"
    )
    process = await on_amqp.start("connect")
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(60):
        while b"goes on at" not in said:
            said += await process.stderr.readline()
    process.terminate()
    out, err = await process.communicate()
    assert process.returncode == FAILED
    assert b"the same command goes on where this one ended" in out + said + err
    assert account.rest.gate.spent <= 300
    assert await judge.value("SELECT count(*) FROM pipemirror.walks WHERE state = 'failed'") == 0


async def test_a_list_that_is_refused_fails_by_name_and_the_others_are_there(
    on_amqp: Installation, account: Account, judge: Judge
) -> None:
    on_amqp.connects_to(account.rest.url, TOKEN, PUBLIC_URL="")
    account.rest.mischief = RestMischief(forbidden=frozenset({"/api/v2/products"}))
    ran = await on_amqp.run("connect")
    assert ran.code == FAILED
    assert "product (/api/v2/products): not read, scope_missing: GET /api/v2/products: 403" in ran.err
    assert f"scope_missing: {ScopeMissing.remedy}" in ran.err.splitlines()
    assert await judge.value("SELECT count(*) FROM pipemirror.walks WHERE state = 'failed'") == 1
    assert await judge.value("SELECT count(*) FROM pipedrive_raw.deals") > 0
    compared = await on_amqp.run("reconcile", "--dry-run", "--entity", "product", "--entity", "deal")
    assert compared.code == FAILED
    assert "scope_missing" in compared.out
    assert f"scope_missing: {ScopeMissing.remedy}" in compared.err.splitlines()
    account.rest.mischief = RestMischief()
    assert (await on_amqp.run("connect")).code == DONE
    assert await judge.value("SELECT count(*) FROM pipedrive_raw.products") > 0


async def test_a_comparison_says_what_it_costs_and_which_records_and_fields_differ(
    on_amqp: Installation, account: Account
) -> None:
    on_amqp.connects_to(account.rest.url, TOKEN, PUBLIC_URL="")
    assert (await on_amqp.run("connect", within=120)).code == DONE
    account.clock.forward(120)
    changed, gone, *_ = (one["id"] for one in account.cloud.live["note"])
    account.cloud.set("note", changed, {"content": "a word about it"})
    account.cloud.delete("note", gone)
    made = account.cloud.create("note").id
    account.clock.forward(120)
    spent = account.rest.gate.spent
    looked = await on_amqp.run("reconcile", "--dry-run", "--entity", "note")
    assert looked.code == FAILED
    lines = looked.out.splitlines()
    assert f"note only in Pipedrive, such as {made}" in lines
    assert f"note only here, such as {gone}" in lines
    assert f"note different, such as {changed}" in lines
    assert any(line.startswith("note different in ") and "content 1" in line for line in lines)
    assert "1 lists to read, at least 20 tokens" in looked.err
    paid = account.rest.gate.spent - spent
    assert f"calls, {paid:,} tokens" in looked.err, "what it says it has cost, it has"
    again = await on_amqp.run("reconcile", "--dry-run", "--json", "--entity", "note")
    assert again.out, again.err
    [told] = again.json
    assert told["samples"] == {"missing": [str(made)], "different": [str(changed)], "superfluous": [str(gone)]}
    assert told["fields"]["content"] == 1
