"""The demo's live view."""

import asyncio
from typing import Any

import pytest
from rig.waiting import until

from cli import demo
from cli.scoreboard import Scoreboard
from runtime.metrics import Metrics
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
