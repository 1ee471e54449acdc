"""The demo's live view."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from rich.console import Console
from rig.waiting import until

from cli import demo
from cli.scoreboard import Reading, Scoreboard
from runtime.metrics import Metrics
from sandbox.cloud import Truth
from sandbox.ledger import Counters
from sandbox.live import Outcome


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


async def test_the_verdict_says_which_records_it_compared() -> None:
    records: dict[str, Any] = {"deal": {1: {}, 2: {}}, "person": {5: {}}}
    gone: dict[str, Any] = {"deal": {3: {}}, "person": {}}
    truth = Truth(records, gone, {}, {"deal": frozenset(), "person": frozenset()}, frozenset())
    ledger: Any = None
    pool: Any = PoolOfOne()
    verdict = await demo._verdict(pool, Outcome(ledger, truth), [])
    assert verdict.lines == ["mirror equals sandbox: 4 records, 7 events (3 live and 1 deleted records)"]


class PoolOfOne:
    """A pool whose database counts seven events."""

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator["PoolOfOne"]:
        yield self

    async def fetchval(self, _query: str) -> int:
        return 7
