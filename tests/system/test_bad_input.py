"""Whatever an authentic sender posts is answered 200 and accounted for; the good events around it land."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from rig.events import COMPANY, START, v2_body
from rig.judge import Judge
from rig.posting import posting
from rig.processes import SECRET, Installation
from rig.tracebacks import tracebacks

from schema.credentials import derive, header
from store.payload import decompress

MARKER = "zebracrossing"
"""Stands in every bad body, and must stand in no log."""

OTHER = COMPANY + 1
LIMIT = 4 * 1024 * 1024
MANY = 150
MOST_LETTERS = 100


def deal(record_id: int = 1, /, **data: Any) -> bytes:
    told = {"title": MARKER, "update_time": START // 1_000_000} | data
    return v2_body("deal", record_id, START, told, event_id=f"{record_id}-{data.keys()}")


def altered(**changes: Any) -> bytes:
    """A good event about deal 1 with another `meta`; None takes the key away."""
    document = orjson.loads(deal())
    meta = document["meta"] | changes
    return orjson.dumps(document | {"meta": {key: value for key, value in meta.items() if value is not None}})


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@dataclass(frozen=True)
class Bad:
    """A body, the code of its dead letter, and a part of the reason that tells a person where to look."""

    body: bytes
    code: str
    reason: str

    def describes(self, letter: dict[str, Any]) -> bool:
        said = letter["reason"]
        return letter["code"] == self.code and self.reason in said and MARKER not in said


_V1_META = {"v": 1, "action": "updated", "object": "deal", "id": 1, "company_id": COMPANY, "timestamp": START // 10**6}

BAD = {
    "truncated": Bad(deal()[:-20], "unreadable_json", "byte"),
    "empty": Bad(b"", "unreadable_json", "empty"),
    "null": Bad(b"null", "not_an_event", "NoneType"),
    "list": Bad(b"[]", "not_an_event", "list"),
    "text": Bad(b'"' + MARKER.encode() + b'"', "not_an_event", "str"),
    "no JSON at all": Bad(f"<html>{MARKER}</html>".encode(), "unreadable_json", "byte"),
    "100,000 brackets": Bad(nested(100_000).encode(), "unreadable_json", "byte"),
    "nested too deep for a column": Bad(
        deal().replace(b'"title"', b'"deep":' + nested(900).encode() + b',"title"'), "bad_value", "cannot hold"
    ),
    "v1 nested too deep for a column": Bad(
        orjson.dumps({"v": 1, "meta": _V1_META, "current": {"id": 1}}).replace(
            b'"current":{', b'"current":{"deep":' + nested(900).encode() + b","
        ),
        "bad_value",
        "too deep",
    ),
    "NUL in a string": Bad(deal(title=f"{MARKER}\0"), "bad_value", "data.title"),
    "NUL in a key": Bad(deal(**{f"{MARKER}\0": 1}), "bad_value", "a key"),
    "lone surrogate": Bad(deal().replace(MARKER.encode(), MARKER.encode() + b"\\ud800"), "unreadable_json", "byte"),
    "invalid UTF-8": Bad(deal().replace(MARKER.encode(), MARKER.encode() + b"\xff\xfe"), "unreadable_json", "byte"),
    "bigint overflow": Bad(deal(stage_id=2**63), "bad_value", "stage_id"),
    "integer overflow as text": Bad(deal(owner_id=str(10**30)), "bad_value", "owner_id"),
    "infinite number": Bad(deal().replace(b'"title"', b'"value":1e999,"title"'), "unreadable_json", "byte"),
    "no number": Bad(deal(value=MARKER), "bad_value", "value"),
    "no date": Bad(deal(expected_close_date="31st of " + MARKER), "bad_value", "expected_close_date"),
    "no time": Bad(deal(add_time=MARKER), "bad_value", "add_time"),
    "id out of range": Bad(altered(entity_id=str(2**63)), "bad_id", "bigint"),
    "two ids": Bad(altered(entity_id="2"), "bad_id", "2 different"),
    "no time of the event": Bad(
        v2_body("stage", 1, START, {"name": MARKER}).replace(b'"timestamp"', b'"when"'), "no_event_time", "time"
    ),
    "company of another": Bad(altered(company_id=str(OTHER)), "company_mismatch", str(OTHER)),
    "no meta": Bad(orjson.dumps({"data": {"title": MARKER}}), "not_an_event", "meta"),
    "unknown version": Bad(altered(version="3.0"), "unknown_version", "3.0"),
    "unknown action": Bad(altered(action="explode"), "unknown_action", "explode"),
}


@pytest.fixture(autouse=True)
def quiet_client(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)


async def letters_of(installation: Installation) -> list[dict[str, Any]]:
    """As a person sees them."""
    ran = await installation.run("dead-letters", "list", "--json")
    assert ran.code == 0, ran.err
    found: list[dict[str, Any]] = ran.json
    return found


def nothing_leaked(installation: Installation) -> None:
    log = installation.log
    for secret in (MARKER, SECRET, derive(SECRET, COMPANY), header(SECRET, COMPANY).split()[1]):
        assert secret not in log


async def test_bad_bodies_become_dead_letters_and_good_ones_around_them_land(
    on_both: Installation, judge: Judge
) -> None:
    on_both.settings["MAX_BODY_BYTES"] = str(LIMIT)
    await on_both.running()
    async with posting(on_both) as poster:
        for number, bad in enumerate(BAD.values()):
            assert await poster.post(COMPANY, deal(100 + number)) == 200
            assert await poster.post(COMPANY, bad.body) == 200
        assert await poster.post(COMPANY, deal(99, title="long " * 200_000)) == 200
        assert await poster.post(COMPANY, deal(98, title=" " * LIMIT)) == 413
    await judge.holds(letters=len(BAD), events=len(BAD) + 1)

    bodies = {letter["id"]: decompress(letter["payload"]) for letter in await judge.dead_letters()}
    letters = {bodies[letter["id"]]: letter for letter in await letters_of(on_both)}
    wrong = {name: letters[bad.body] for name, bad in BAD.items() if not bad.describes(letters[bad.body])}
    assert not wrong, wrong
    rows = await judge.rows("SELECT id, length(title) AS length FROM pipedrive_raw.deals ORDER BY id")
    assert [row["id"] for row in rows] == [99, *range(100, 100 + len(BAD))]
    assert rows[0]["length"] == len("long ") * 200_000
    assert tracebacks(on_both.log) == []
    nothing_leaked(on_both)


async def test_only_authentic_requests_are_taken(on_both: Installation, judge: Judge) -> None:
    await on_both.running()
    wrong = {
        "no credentials": {},
        "those of another company": {"Authorization": header(SECRET, OTHER)},
        "those of another secret": {"Authorization": header("another secret of sufficient length", COMPANY)},
        "no base64": {"Authorization": "Basic \N{SNOWMAN}"},
        "another scheme": {"Authorization": f"Bearer {derive(SECRET, COMPANY)}"},
    }
    async with posting(on_both) as poster:
        for name, headers in wrong.items():
            assert await poster.post(COMPANY, deal(), headers) == 401, name
        assert await poster.post(COMPANY, b"x" * 9 * 1024 * 1024, {}) == 401  # decided before the size
        assert await poster.post(COMPANY, deal(7)) == 200
    await judge.holds(letters=0, events=1)
    nothing_leaked(on_both)


async def test_an_unknown_entity_fills_no_more_than_its_share(on_both: Installation, judge: Judge) -> None:
    """All of its events stay in the journal. Definitions of fields are no dead letters at all."""
    await on_both.running()
    unknown = [v2_body("spaceship", n, START + n, {"name": MARKER}, event_id=f"s{n}") for n in range(MANY)]
    definition = v2_body("dealField", 5, START, {"name": MARKER}, event_id="f1")
    async with posting(on_both) as poster:
        await poster.send_all(COMPANY, [(str(n), body) for n, body in enumerate([*unknown, definition])])
        assert poster.refused == 0
    await judge.holds(letters=MOST_LETTERS, events=MANY + 1)
    letters = await letters_of(on_both)
    assert {(letter["code"], letter["entity"], letter["action"]) for letter in letters} == {
        ("unknown_entity", "spaceship", "change")
    }
    assert "spaceship" in letters[0]["reason"]
    assert await judge.value("SELECT count(*) FROM pipemirror.events WHERE applied_at IS NOT NULL") == 0
    nothing_leaked(on_both)


async def test_a_poster_that_is_cut_off_mid_body_harms_nobody(on_both: Installation, judge: Judge) -> None:
    """What was never complete was never acknowledged, so it is nowhere."""
    await on_both.running()
    async with posting(on_both) as poster:
        await cut_off(on_both)
        assert await poster.post(COMPANY, deal(7)) == 200
    await judge.holds(letters=0, events=1)


async def cut_off(installation: Installation) -> None:

    _, writer = await asyncio.open_connection("127.0.0.1", installation.port)
    head = f"POST /webhooks/{COMPANY} HTTP/1.1\r\nHost: x\r\nAuthorization: {header(SECRET, COMPANY)}\r\n"
    writer.write(f"{head}Content-Length: 5000\r\n\r\n".encode() + deal(8))
    await writer.drain()
    writer.transport.abort()
