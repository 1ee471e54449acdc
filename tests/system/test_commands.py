"""The commands as a person or a script runs them: what they print, what they change, and how they exit."""

import asyncio
import re
import signal
from functools import partial
from typing import Any

import aiohttp
import pytest
from rig.events import COMPANY, START, v2_body
from rig.judge import Judge
from rig.posting import posting
from rig.processes import SECRET, Installation
from rig.tracebacks import tracebacks
from rig.waiting import until

DONE, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3
LETTER = {"id", "company_id", "entity", "entity_id", "action", "code", "reason", "received_at"}
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


def deal(record_id: int, **data: Any) -> bytes:
    return v2_body("deal", record_id, START, {"title": f"deal {record_id}"} | data)


async def letters(installation: Installation, *more: str) -> list[dict[str, Any]]:
    ran = await installation.run("dead-letters", "list", "--json", *more)
    assert ran.code == DONE, ran.err
    found: list[dict[str, Any]] = ran.json
    return found


@pytest.fixture
async def with_letters(on_spool: Installation, judge: Judge) -> Installation:
    """An installation that has parked two letters about content and one that the database refused, and is stopped."""
    (up,) = await on_spool.running()
    async with posting(on_spool) as poster:
        assert await poster.post(COMPANY, deal(1)) == 200
        await judge.holds(events=1)
        await judge.value("ALTER TABLE pipedrive_raw.deals ADD CONSTRAINT no7 CHECK (title <> 'deal 7')")
        for body in (deal(2, stage_id=2**70), b"<html>", deal(7), deal(3)):
            assert await poster.post(COMPANY, body) == 200
    await judge.holds(events=2, letters=3)
    assert await up.terminate() == DONE
    return on_spool


async def test_dead_letters_are_listed_shown_replayed_and_discarded(with_letters: Installation, judge: Judge) -> None:
    run = with_letters.run
    found = {letter["code"]: letter for letter in await letters(with_letters)}
    assert found.keys() == {"bad_value", "unreadable_json", "apply_failed"}
    assert all(letter.keys() == LETTER and letter["company_id"] == COMPANY for letter in found.values())
    assert (found["bad_value"]["entity"], found["bad_value"]["entity_id"]) == ("deal", "2")
    ids = {code: str(letter["id"]) for code, letter in found.items()}
    assert [letter["id"] for letter in await letters(with_letters, "--limit", "1")] == [max(map(int, ids.values()))]

    shown = await run("dead-letters", "show", ids["unreadable_json"], "--json")
    assert (shown.code, shown.json["body"]) == (DONE, "<html>")
    assert (await run("dead-letters", "show", "999999")).code == FAILED

    again = await run("dead-letters", "replay", ids["apply_failed"])
    assert again.code == FAILED, "its cause still stands"
    await judge.value("ALTER TABLE pipedrive_raw.deals DROP CONSTRAINT no7")
    assert (await run("dead-letters", "replay", ids["apply_failed"])).code == DONE
    rows = await judge.rows("SELECT title, _source FROM pipedrive_raw.deals WHERE id = 7")
    assert rows == [{"title": "deal 7", "_source": "replay"}]
    assert (await run("dead-letters", "replay", ids["apply_failed"])).code == FAILED, "it is closed"

    assert (await run("dead-letters", "replay", "--all")).code == FAILED, "content stays what it is"
    assert (await run("dead-letters", "discard", ids["bad_value"])).code == DONE
    assert [letter["code"] for letter in await letters(with_letters)] == ["unreadable_json"]
    unasked = await run("dead-letters", "discard", "--all")
    assert unasked.code == USAGE, "nobody is there to confirm it"
    assert unasked.err.startswith("not done: 1 dead letter would be closed unapplied; repeat with --yes")
    assert (await run("dead-letters", "discard", "--all", "--yes")).code == DONE
    assert await letters(with_letters) == []
    assert await judge.events() == 3


async def test_wrong_usage_and_missing_services_have_their_own_exit_codes(on_spool: Installation) -> None:
    run = on_spool.run
    outcomes = await asyncio.gather(
        run("dead-letters", "replay"),
        run("dead-letters", "replay", "1", "--all"),
        run("no-such-command"),
        run("webhooks", "credentials", "--company", "12x"),
        run("status", RECEIVER_PORT="many", LANES="0"),
        run("receiver", WEBHOOK_SECRET="short", AMQP_URL="redis://there"),
        run("status"),
        run("status", DATABASE_URL=NOWHERE),
        run("worker", DATABASE_URL=NOWHERE),
        run("migrate", DATABASE_URL=NOWHERE),
        run("dead-letters", "list", DATABASE_URL=NOWHERE),
    )
    assert [ran.code for ran in outcomes] == [USAGE] * 7 + [UNREACHABLE] * 4
    assert all(not ran.out and not tracebacks(ran.err) for ran in outcomes)
    both = outcomes[4].err
    assert "RECEIVER_PORT" in both, "all problems at once"
    assert "LANES" in both
    both = outcomes[5].err
    assert "WEBHOOK_SECRET" in both
    assert "AMQP_URL" in both
    assert "migrate" in outcomes[6].err, "an empty database: it says what to run"
    assert "short" not in both


async def test_two_migrations_at_once_and_one_more(on_spool: Installation) -> None:
    first = await asyncio.gather(*(on_spool.run("migrate") for _ in range(3)))
    assert [ran.code for ran in first] == [DONE] * 3, [ran.err for ran in first]
    assert sum("applied" in ran.out for ran in first) == 1
    assert "up to date" in (await on_spool.run("migrate")).out
    listed = await on_spool.run("companies", "list", "--json")
    assert (listed.code, listed.json) == (DONE, [])


async def test_credentials_are_those_that_the_receiver_takes(on_spool: Installation, judge: Judge) -> None:
    """Read without a database, entered in Pipedrive's form, sent by Pipedrive."""
    await on_spool.running()
    ran = await on_spool.run("webhooks", "credentials", "--company", str(COMPANY), "--json", DATABASE_URL=NOWHERE)
    assert ran.code == DONE
    given = ran.json
    assert given.keys() == {"url", "user", "password"}
    assert SECRET not in ran.out + ran.err
    form = (await on_spool.run("webhooks", "credentials", "--company", str(COMPANY))).out
    lines = dict(re.split(r"  +", line) for line in form.splitlines())
    assert lines == {"version": "2.0", "event action": "*", "event object": "*"} | given
    headers = {"Authorization": aiohttp.encode_basic_auth(given["user"], given["password"])}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(given["url"]) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        async with session.post(given["url"], data=deal(1)) as answer:
            assert answer.status == 200
    await judge.holds(events=1)


async def test_status_and_companies_tell_what_is_there(with_letters: Installation) -> None:
    status, companies = await asyncio.gather(
        with_letters.run("status", "--json"), with_letters.run("companies", "list", "--json")
    )
    assert (status.code, companies.code) == (DONE, DONE)
    assert companies.json == [{"id": COMPANY, "slug": "pipedrive", "schema": "pipedrive_raw", "state": "active"}]
    assert "pipedrive_raw" in (await with_letters.run("companies", "list")).out
    (company,) = status.json["companies"]
    assert (company["id"], company["slug"], company["rows"]["deals"]) == (COMPANY, "pipedrive", 2)
    (deals,) = (entity for entity in company["entities"] if entity["entity"] == "deal")
    assert (deals["events_1h"], deals["rows"], deals["rows_estimated"]) == (2, 2, False)
    assert 0 <= deals["receipt_to_row_p50_seconds"] <= deals["receipt_to_row_p99_seconds"] < 60
    assert deals["event_to_row_p50_seconds"] > 86_400, "the events say that they happened long ago"
    assert deals["last_event"].startswith("2025-11-24T16:00:00")
    assert 0 <= company["silence_seconds"] < 60
    assert status.json["dead_letters"] == company["dead_letters"] == {
        "apply_failed": 1, "bad_value": 1, "unreadable_json": 1,
    }  # fmt: skip
    assert status.json["backlog"] == {}
    shown = await with_letters.run("status")
    assert f"company {COMPANY} (pipedrive, active" in shown.out
    assert "backlog: none" in shown.out


async def test_status_does_without_a_broker_that_is_gone(with_letters: Installation) -> None:
    ran = await with_letters.run("status", "--json", AMQP_URL="amqp://nobody@127.0.0.1:1/")
    assert (ran.code, ran.json["backlog"]) == (DONE, None)
    assert "queue_unavailable" in ran.json["backlog_problem"]


async def test_dead_letters_are_chosen_by_filters(with_letters: Installation) -> None:
    async def codes(*filters: str) -> set[str]:
        return {letter["code"] for letter in await letters(with_letters, *filters)}

    assert await codes("--code", "bad_value") == {"bad_value"}
    assert await codes("--entity", "deal") == {"bad_value", "apply_failed"}
    assert await codes("--company", str(COMPANY + 1)) == set()
    assert len(await codes("--since", "1h")) == 3
    assert await codes("--until", "1h") == set()
    assert await codes("--since", "2020-01-01", "--until", "2020-01-02T00:00+02:00") == set()
    assert (await with_letters.run("dead-letters", "list", "--since", "soon")).code == USAGE

    gone = await with_letters.run("dead-letters", "discard", "--entity", "deal", "--limit", "1", "--yes")
    assert (gone.code, gone.out) == (DONE, "1 discarded\n")
    assert (await with_letters.run("dead-letters", "discard", "--code", "apply_failed", "--yes")).code == DONE
    assert await codes() == {"unreadable_json"}


async def test_a_replay_is_for_a_time_an_entity_a_record(with_letters: Installation, judge: Judge) -> None:
    run = with_letters.run
    await judge.value("TRUNCATE pipedrive_raw.deals")
    one = await run("replay", "--from", "2025-01-01", "--entity", "deal", "--id", "3")
    assert (one.code, one.out) == (DONE, "1 of 1 events applied\n")
    assert await judge.value("SELECT string_agg(title, ',') FROM pipedrive_raw.deals") == "deal 3"
    assert (await run("replay", "--from", "2025-01-01", "--to", "2025-01-02")).out == "0 of 0 events applied\n"
    assert (await run("replay", "--from", "2025-01-01")).out == "2 of 2 events applied\n"
    assert await judge.value("SELECT count(*) FROM pipedrive_raw.deals") == 2
    outcomes = await asyncio.gather(
        run("replay"), run("replay", "--from", "soon"), run("replay", "--from", "2025-01-01", "--id", "3"),
        run("replay", "--from", "2025-01-01", "--entity", "spaceship"),
    )  # fmt: skip
    assert [ran.code for ran in outcomes] == [USAGE] * 4
    assert (await run("replay", "--from", "6h")).out == "0 of 0 events applied\n", "they happened long ago"
    unknown = await run("replay", "--from", "2025-01-01", "--company", "42")
    assert (unknown.code, unknown.out, unknown.err) == (FAILED, "", "company 42 is not known\n")


async def test_a_paused_company_is_resumed_with_what_came_meanwhile(on_spool: Installation, judge: Judge) -> None:
    await on_spool.running()
    run = on_spool.run
    assert (await run("companies", "pause", str(COMPANY))).code == FAILED, "it is not known yet"
    async with posting(on_spool) as poster:
        assert await poster.post(COMPANY, deal(1)) == 200
        await judge.holds(events=1)
        assert (await run("companies", "pause", str(COMPANY))).code == DONE
        assert await poster.post(COMPANY, deal(2)) == 200
        await judge.holds(events=2)
    assert await judge.value("SELECT count(*) FROM pipedrive_raw.deals") == 1
    (told,) = (await run("status", "--json")).json["companies"]
    assert (told["state"], told["kept"]) == ("paused", 1)
    assert (await run("replay", "--from", "2025-01-01", "--company", str(COMPANY))).code == FAILED, "it is paused"
    resumed = await run("companies", "resume", str(COMPANY))
    assert (resumed.code, "1 of 1 events applied" in resumed.out) == (DONE, True), resumed.err
    assert await judge.value("SELECT count(*) FROM pipedrive_raw.deals") == 2
    assert (await run("companies", "resume", str(COMPANY))).out.endswith("0 of 0 events applied\n")


async def test_a_schema_of_another_release_is_named_as_such(with_letters: Installation, judge: Judge) -> None:
    await judge.value("ALTER TABLE pipemirror.dead_letters DROP COLUMN code CASCADE")
    ran = await with_letters.run("dead-letters", "list")
    assert ran.code == USAGE
    assert "another release" in ran.err
    assert "pipemirror migrate" in ran.err


async def test_the_version_is_told(on_spool: Installation) -> None:
    ran = await on_spool.run("--version")
    assert ran.code == DONE
    assert ran.out.startswith("pipemirror 0.")


async def test_a_purge_without_a_broker_is_final_at_once(with_letters: Installation, judge: Judge) -> None:
    """The spool is the queue: what lies in its files is all there is."""
    run = with_letters.run
    assert (await run("companies", "purge", str(COMPANY))).code == USAGE, "nobody is there to confirm it"
    assert await judge.value("SELECT count(*) FROM pipedrive_raw.deals") == 2
    assert (await run("companies", "purge", "1", "--yes")).code == FAILED

    receipt = await run("companies", "purge", str(COMPANY), "--yes", "--json")
    assert (receipt.code, receipt.json["final"], receipt.json["not_final_because"]) == (DONE, True, [])
    deleted = receipt.json["deleted"]
    assert (deleted["deals"], deleted["events"], deleted["dead_letters"]) == (2, 2, 3)
    again = await run("companies", "purge", str(COMPANY), "--json")
    assert (again.code, again.json["deleted"], again.json["final_at"]) == (DONE, deleted, receipt.json["final_at"])
    (listed,) = (await run("companies", "list", "--json")).json
    assert (listed["state"], listed["schema"]) == ("purged", None)
    assert (await run("companies", "resume", str(COMPANY))).code == FAILED

    await with_letters.up()
    async with posting(with_letters) as poster:
        assert await poster.post(COMPANY, deal(5)) == 200
    await until(lambda: _discarded(with_letters), what="the late event discarded")
    assert await judge.events() == 0
    assert await judge.value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pipedrive%'") == 0


async def _discarded(installation: Installation) -> bool:
    return 'pipemirror_events_total{outcome="discarded"} 1.0' in await installation.roles[-1].metrics()


async def test_a_purge_is_final_once_workers_have_met_its_marks_and_spools_were_looked_at(
    on_amqp: Installation, judge: Judge
) -> None:
    receiver, worker = await on_amqp.running()
    async with posting(on_amqp) as poster:
        assert await poster.post(COMPANY, deal(1)) == 200
        await judge.holds(events=1)
        assert await worker.terminate() == DONE
        assert await poster.post(COMPANY, deal(2)) == 200
    run = on_amqp.run

    unasked = await run("companies", "purge", str(COMPANY), "--yes", "--json")
    assert (unasked.code, unasked.json["final"]) == (FAILED, False)
    assert "--receiver" in unasked.json["not_final_because"][0]
    asked = await run(
        "companies", "purge", str(COMPANY), "--json", "--receiver", f"http://127.0.0.1:{receiver.port}", within=90
    )
    assert asked.code == FAILED, "no worker runs"
    assert len(asked.json["not_final_because"]) == len(asked.json["queues"]) == 2
    assert (await run("status", "--json")).json["unfinished_purges"][0]["company_id"] == COMPANY

    await worker.start()
    receipt = await run("companies", "purge", str(COMPANY), "--json", within=90)
    assert (receipt.code, receipt.json["final"]) == (DONE, True), receipt.json
    assert all(queue["passed_at"] for queue in receipt.json["queues"])
    assert await judge.events() == 0
    assert 'pipemirror_events_total{outcome="discarded"} 1.0' in await worker.metrics()


async def test_a_replay_that_is_interrupted_says_how_to_go_on(on_spool: Installation, judge: Judge) -> None:
    """By Ctrl-C; a kill -9 leaves as much, and says nothing."""
    await on_spool.running()
    async with posting(on_spool) as poster:
        await poster.send_all(COMPANY, [(str(n), deal(n, title=str(n))) for n in range(1, 1201)], senders=64)
    await judge.holds(events=1200)
    await judge.value("TRUNCATE pipedrive_raw.deals")
    command = ("replay", "--from", "2025-01-01")
    for number in (signal.SIGINT, signal.SIGKILL):
        before = await _replayed(judge)
        process = await on_spool.start(*command)
        await until(partial(_more, judge, before), what="some events replayed")
        process.send_signal(number)
        out, _ = await asyncio.wait_for(process.communicate(), 30)
        if number == signal.SIGINT and process.returncode:
            assert process.returncode == FAILED
            assert b"stopped" in out
            assert b"goes on" in out
    last = await on_spool.run(*command)
    assert last.code == DONE, last.err
    assert last.out == "1,200 of 1,200 events applied\n"
    assert await judge.value("SELECT count(*) FROM pipedrive_raw.deals") == 1200


async def _replayed(judge: Judge) -> int:
    found: int = await judge.value("SELECT coalesce(sum(applied), 0)::int FROM pipemirror.replays")
    return found


async def _more(judge: Judge, before: int) -> bool:
    return await _replayed(judge) > before
