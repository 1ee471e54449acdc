"""The demo's live view."""

import asyncio
import random
from typing import Any

import pytest
from rich.console import Console
from rig.waiting import until

from cli import comparing, demo
from cli.scoreboard import Reading, Scoreboard
from runtime.metrics import Metrics
from sandbox.cloud import Company
from sandbox.compare import differences
from sandbox.ledger import Counters


async def test_a_live_view_that_crashes_says_so_and_the_demo_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(demo._log, "error", lambda name, exc_info: told.append((name, exc_info)))
    crash = RuntimeError("the view is broken")
    crashed = asyncio.Event()

    async def watch(*_: Any) -> None:
        crashed.set()
        raise crash

    monkeypatch.setattr(demo, "_watch", watch)
    pool: Any = None
    async with demo._watching(pool, Metrics(), Scoreboard(Counters())):
        await until(crashed.is_set, what="crashed")
    assert told == [("live_view_crashed", crash)]


async def test_a_live_view_that_is_ended_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(demo._log, "error", lambda name, **_: told.append(name))
    pool: Any = None
    async with demo._watching(pool, Metrics(), Scoreboard(Counters())):
        await asyncio.sleep(0)
    assert told == []


def test_the_live_view_counts_each_event_once_however_often_it_was_posted() -> None:
    board = Scoreboard(Counters(sent=1_149, acked=1_121, retried=3, duplicates=24))
    board.add(Reading(0.0, {"deals": 2}, 1_100, 0.015, 0.044, 23, 4))
    console = Console(width=120)
    with console.capture() as captured:
        console.print(board.render())
    shown = captured.get()
    assert "1,122 events, 1,121 acknowledged; 24 sent twice on purpose, 3 retries" in shown
    assert "dead letters  4" in shown
    assert "duplicates    23 dropped" in shown
    assert board.line().startswith("2 live rows, 1100 events, ")


def test_the_verdict_says_how_many_records_it_compared() -> None:
    row: dict[str, Any] = {"_deleted_at": None}
    found = {"deal": {1: row, 2: row, 3: {"_deleted_at": "2026-11-22"}}, "person": {5: row}}
    equal = comparing.said([], found, 7)
    assert equal == (["mirror equals sandbox: 4 records, 7 events (3 live and 1 deleted records)"], True)


def test_the_verdict_shows_some_of_what_differs() -> None:
    lines, equal = comparing.said([f"deals {n}: missing" for n in range(40)], {}, 7)
    assert (lines[:2], len(lines), equal) == (
        ["mirror differs from sandbox: 40 differences", "  deals 0: missing"],
        1 + comparing.SHOWN_DIFFERENCES,
        False,
    )


def test_what_webhooks_told_is_looked_at_by_itself_and_the_rest_once_all_was_read() -> None:
    company = Company(random.Random(1), 7, lambda: 1_795_000_000_000_000, deals=3)
    events = [company.set("deal", 1, {"title": "told"}), company.create("call_log")]
    truth = company.snapshot({"v2"})
    happened = {(event.entity, event.id) for event in events}
    mirror = {entity: {key: dict(row) for key, row in rows.items()} for entity, rows in truth.live.items()}

    told = comparing.told(company, truth, happened)
    assert differences(told, mirror | {"deal": {}}) == ["deals 1: missing"], "of the others nobody told"
    assert "participants_count" not in told.carried["deal"]

    unheard, beside = comparing.read(company, truth, happened)
    lines = differences(unheard, {})
    assert "deals 2: missing" in lines
    assert "deals 1: missing" not in lines
    assert [line for line in lines if line.startswith("call_logs")], "no webhook tells of it: it must have been read"
    assert "participants_count" in beside.carried["deal"]
    assert "title" not in beside.carried["deal"]
    assert unheard.carried["deal_participant"] == frozenset(), "a call for each deal: nobody has asked for them"
