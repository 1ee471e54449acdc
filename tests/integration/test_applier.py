"""The applier's three outcomes: applied, dead letter, not yet. And the breaker that tells whose fault it is."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest
from rig.events import COMPANY, START, envelope, v2_body
from rig.postgres import PrivateServer, Server

from runtime.backoff import Backoff
from runtime.measurements import DEAD_LETTERS, EVENTS, RECEIPT_TO_ROW_SECONDS
from runtime.metrics import Metrics
from schema.envelope import Envelope
from store import companies, dead_letters
from store.database import Pool, create_pool
from worker.applying import mirror
from worker.applying.applier import Applier, share
from worker.applying.breaker import Breaker, BreakerOpen
from worker.operations.replay_letter import replay_letter

SECOND = 1_000_000


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def applier(pool: Pool, metrics: Metrics) -> Applier:
    return Applier(pool, metrics, share(metrics, numbered_slugs=False), backoff=Backoff(0.01, 0.05))


def deal(record_id: int, at: int = 0, **data: Any) -> Envelope:
    return envelope(v2_body("deal", record_id, START + at, {"title": f"deal {record_id}"} | data))


async def titles(pool: Pool) -> dict[int, str]:
    async with pool.acquire() as connection:
        return {row["id"]: row["title"] for row in await connection.fetch("SELECT id, title FROM pipedrive_raw.deals")}


async def letters(pool: Pool) -> list[dict[str, Any]]:
    async with pool.acquire() as connection:
        return await dead_letters.open_letters(connection)


async def test_content_that_cannot_be_written_is_parked_and_the_batch_around_it_lands(
    pool: Pool, applier: Applier, metrics: Metrics
) -> None:
    bad = [deal(2, stage_id=2**70), deal(3, value="a lot"), envelope(b"{"), deal(4, title="nul \x00 in it")]

    await applier.apply([deal(1), *bad, deal(5)])

    assert await titles(pool) == {1: "deal 1", 5: "deal 5"}
    assert [letter["code"] for letter in reversed(await letters(pool))].count("bad_value") == 3
    assert metrics.value(EVENTS, "applied") == 2
    assert metrics.value(DEAD_LETTERS, "unreadable_json") == 1


async def test_what_is_kept_of_a_paused_company_counts_as_kept_and_has_no_lag(
    pool: Pool, applier: Applier, metrics: Metrics
) -> None:
    await applier.apply([deal(1)])
    async with pool.acquire() as connection:
        await companies.change_state(connection, COMPANY, companies.PAUSED)
    await applier.apply([deal(2), deal(3)])
    assert (metrics.value(EVENTS, "applied"), metrics.value(EVENTS, "kept")) == (1, 2)
    assert metrics.value(RECEIPT_TO_ROW_SECONDS, "deal") == 1


async def test_a_body_nested_deeper_than_anything_can_write_is_the_contents_fault(pool: Pool, applier: Applier) -> None:
    body = v2_body("deal", 2, START, {"odd": "@"}).replace(b'"@"', b"[" * 1000 + b"]" * 1000)

    await applier.apply([deal(1), envelope(body)])

    assert await titles(pool) == {1: "deal 1"}
    [letter] = await letters(pool)
    assert (letter["code"], letter["reason"]) == ("bad_value", "the body is nested too deeply")


async def test_a_company_that_is_no_longer_what_it_was_is_looked_up_again(pool: Pool, applier: Applier) -> None:
    """As when a database is restored, or a company comes back after a purge with another slug."""
    await applier.apply([deal(1)])
    async with pool.acquire() as connection:
        await connection.execute("UPDATE pipemirror.companies SET id = 1")
    await applier.apply([deal(2)])

    assert await titles(pool) == {1: "deal 1"}
    async with pool.acquire() as connection:
        assert await connection.fetchval(f"SELECT title FROM pipedrive_{COMPANY}_raw.deals") == "deal 2"


async def test_types_that_another_worker_learnt_are_known_here_too(pool: Pool, applier: Applier) -> None:
    """Else a v1 value would be stored as received, and the history told a change of 4 into "4"."""
    await applier.apply([deal(1)])
    other = Applier(pool, Metrics(), share(Metrics(), numbered_slugs=False))
    await other.apply([deal(1, SECOND, custom_fields={"c" * 40: {"type": "enum", "id": 4}})])

    meta = {"v": 1, "action": "updated", "object": "deal", "id": 1, "company_id": COMPANY}
    current = {"id": 1, "title": "deal 1", "c" * 40: "4"}
    v1 = {"v": 1, "meta": meta | {"timestamp_micro": START + 2 * SECOND}, "current": current}
    await applier.apply([envelope(json.dumps(v1).encode())])

    async with pool.acquire() as connection:
        row = await connection.fetchrow("SELECT custom_fields, _untyped FROM pipedrive_raw.deals")
        assert row is not None
        assert tuple(row) == ({"c" * 40: 4}, None)
        assert await connection.fetchval("SELECT count(*) FROM pipedrive_raw.field_changes") == 0


async def test_a_message_that_comes_again_parks_nothing_twice(pool: Pool, applier: Applier) -> None:
    broken = envelope(b"not json")

    await applier.apply([broken])
    await applier.apply([broken])
    await applier.apply([broken._replace(received_at=START + 1)])

    assert len(await letters(pool)) == 2


async def test_what_the_database_refuses_is_isolated_to_one_letter(pool: Pool, applier: Applier) -> None:
    await applier.apply([deal(1)])
    async with pool.acquire() as connection:
        await connection.execute("ALTER TABLE pipedrive_raw.deals ADD CHECK (title <> 'deal 7')")

    await applier.apply([deal(record_id) for record_id in range(2, 12)])

    assert sorted(await titles(pool)) == [1, 2, 3, 4, 5, 6, 8, 9, 10, 11]
    [letter] = await letters(pool)
    assert (letter["code"], letter["entity_id"]) == ("apply_failed", "7")
    assert "deal 7" not in letter["reason"]


async def test_a_letter_is_replayed_once_its_cause_is_mended(pool: Pool, applier: Applier) -> None:
    await applier.apply([deal(1)])
    async with pool.acquire() as connection:
        await connection.execute("ALTER TABLE pipedrive_raw.deals ADD CONSTRAINT no7 CHECK (title <> 'deal 7')")
    await applier.apply([deal(7)])
    [letter] = await letters(pool)

    assert await replay_letter(pool, letter["id"], numbered_slugs=False) is not None
    async with pool.acquire() as connection:
        await connection.execute("ALTER TABLE pipedrive_raw.deals DROP CONSTRAINT no7")
    assert await replay_letter(pool, letter["id"], numbered_slugs=False) is None

    assert await titles(pool) == {1: "deal 1", 7: "deal 7"}
    assert await letters(pool) == []
    assert await replay_letter(pool, letter["id"], numbered_slugs=False) == "there is no such open dead letter"


async def test_many_refused_records_open_the_breaker_and_many_bad_contents_do_not(
    pool: Pool, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    applier = Applier(pool, metrics, share(metrics, numbered_slugs=False, breaker=Breaker(most=5)))
    await applier.apply([deal(record_id, value="a lot") for record_id in range(20)])

    async def broken(*_: object) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(mirror, "write", broken)
    with pytest.raises(BreakerOpen):
        await applier.apply([deal(record_id, SECOND) for record_id in range(20)])

    codes = [letter["code"] for letter in await letters(pool)]
    assert codes.count("bad_value") == 20
    assert codes.count("apply_failed") == 4


async def test_values_that_only_the_database_refuses_open_no_breaker(
    pool: Pool, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> None:
        raise asyncpg.DatetimeFieldOverflowError("out of range")

    monkeypatch.setattr(mirror, "write", refused)
    applier = Applier(pool, metrics, share(metrics, numbered_slugs=False, breaker=Breaker(most=5)))
    await applier.apply([deal(record_id) for record_id in range(20)])
    assert [letter["code"] for letter in await letters(pool)] == ["bad_value"] * 20


async def test_unknown_entities_fill_at_most_a_hundred_letters_and_all_are_kept_in_the_journal(
    pool: Pool, applier: Applier, metrics: Metrics
) -> None:
    events = [envelope(v2_body("subscription", number, START, {"x": 1})) for number in range(130)]

    await applier.apply(events[:70])
    await applier.apply([*events[70:], deal(1)])

    assert [letter["code"] for letter in await letters(pool)] == ["unknown_entity"] * 100
    async with pool.acquire() as connection:
        rows = await connection.fetch("SELECT entity, applied_at FROM pipemirror.events WHERE entity <> 'deal'")
    assert [tuple(row) for row in rows] == [("subscription", None)] * 130
    assert (metrics.value(EVENTS, "applied"), metrics.value(EVENTS, "kept")) == (1, 130)


async def test_a_company_that_only_sent_what_cannot_be_read_gets_no_schemas(pool: Pool, applier: Applier) -> None:
    await applier.apply([envelope(b"[]"), envelope(v2_body("deal", 1, START, {}, company_id="99"))])

    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM pipemirror.companies") == 0
    assert sorted(letter["code"] for letter in await letters(pool)) == ["company_mismatch", "not_an_event"]
    assert {letter["company_id"] for letter in await letters(pool)} == {COMPANY}


async def test_a_restart_of_postgres_in_the_middle_is_waited_for(postgres_server: Server, migrated: str) -> None:
    if not isinstance(postgres_server, PrivateServer):
        pytest.fail("this test needs a Postgres that it may restart")
    pool = await create_pool(migrated, size=2, application="tests")
    applier = Applier(pool, Metrics(), share(Metrics(), numbered_slugs=False), backoff=Backoff(0.01, 0.1))
    await applier.apply([deal(0)])
    working = asyncio.create_task(_apply_all(applier, range(1, 200)))
    await asyncio.to_thread(postgres_server.restart, "immediate")
    await asyncio.wait_for(working, 60)

    assert sorted(await titles(pool)) == list(range(200))
    assert await letters(pool) == []
    await pool.close()


async def _apply_all(applier: Applier, ids: range) -> None:
    for record_id in ids:
        await applier.apply([deal(record_id)])
