"""What somebody sees who waits for an account to be read."""

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from cli.walks import Walks
from store.walks import BACKFILL, DONE, FAILED, Walk

DEALS, LEADS = "/api/v2/deals", "/v1/leads"


def walk(entity: str = "deal", listing: str = DEALS, **stands: object) -> Walk:
    return replace(Walk(7, BACKFILL, entity, listing), **stands)  # type: ignore[arg-type]  # names of its fields


def table(walks: Walks) -> list[list[str]]:
    """Its lines, cut into words."""
    text = io.StringIO()
    Console(file=text, width=200).print(walks.table())
    return [line.split() for line in text.getvalue().splitlines()]


@pytest.fixture
def ten_seconds(monkeypatch: pytest.MonkeyPatch) -> Walks:
    """Of deals up to id 1,000, a quarter of which was read within ten seconds."""
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    walks = Walks("reading", 3, {DEALS: 1_000}, started=now)
    walks.told(walk())
    now += 10.0
    walks.told(walk(rows=500, reached=250, calls=5, tokens=50))
    return walks


def test_each_entity_has_its_rows_its_pace_what_it_cost_and_how_long_it_takes(ten_seconds: Walks) -> None:
    assert ten_seconds.line == "reading: 500 rows, 50 rows/s, 5 calls, 50 tokens, 0 of 3 lists"
    [row] = [line for line in table(ten_seconds) if line[0] == "deal"]
    assert [row[0], *row[-7:]] == ["deal", "500", "50", "5", "50", "30", "s", "reading"]


def test_what_an_earlier_process_has_read_is_no_speed_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    walks = Walks("reading", 1, {DEALS: 1_000}, started=now)
    walks.told(walk(rows=800, reached=800, calls=8, tokens=80))
    now += 10.0
    walks.told(walk(rows=900, reached=900, calls=9, tokens=90))
    [row] = [line for line in table(walks) if line[0] == "deal"]
    assert [row[0], *row[-7:]] == ["deal", "900", "10", "9", "90", "10", "s", "reading"]


def test_how_long_a_list_takes_of_which_nobody_knows_the_end_is_not_said(ten_seconds: Walks) -> None:
    ten_seconds.told(walk("lead", LEADS, rows=100, calls=1, tokens=20))
    [row] = [line for line in table(ten_seconds) if line[0] == "lead"]
    assert row[-4:] == ["0", "1", "20", "reading"]


def test_what_ended_soon_is_one_row_and_what_was_refused_says_why(ten_seconds: Walks) -> None:
    ten_seconds.told(walk("currency", "/v1/currencies", state=DONE, rows=170, calls=1, tokens=20))
    ten_seconds.told(walk("user", "/v1/users", state=DONE, rows=4, calls=1, tokens=20))
    ten_seconds.told(walk("role", "/v1/roles", state=FAILED, code="scope_missing", reason="403"))
    lines = table(ten_seconds)
    [small] = [line for line in lines if line[1:3] == ["small", "ones"]]
    assert (small[0], small[-4:]) == ("2", ["174", "2", "40", "done"])
    [refused] = [line for line in lines if line[0] == "role"]
    assert refused[-1] == "scope_missing"
    assert [one.entity for one in ten_seconds.refused] == ["role"]
