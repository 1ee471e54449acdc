"""`pipemirror sandbox` ends when it is asked to, also without anybody who takes what it posts."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from cli import sandbox_alone
from runtime.settings import Settings
from sandbox.ledger import Counters

URL = "http://127.0.0.1:1/webhooks/1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, webhook_secret=SecretStr("a-secret-of-the-unit-tests"))


async def run(settings: Settings, stop: asyncio.Event) -> None:
    async with asyncio.timeout(30):
        await sandbox_alone.run_sandbox(settings, 1, URL, stop, rate=1, deals=1)


async def test_retries_that_still_wait_are_given_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def retry_for_ever(*_: Any, counters: Counters, stop: asyncio.Event, **__: Any) -> None:
        counters.sent = counters.failed = 3
        stop.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(sandbox_alone, "run", retry_for_ever)
    monkeypatch.setattr(sandbox_alone, "_GRACE", 0.01)
    await run(settings, asyncio.Event())
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "3 sent, 0 acknowledged, 3 not taken: is the receiver running? If so, see its log"


async def test_posts_under_way_may_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def post_once_more(*_: Any, counters: Counters, stop: asyncio.Event, **__: Any) -> None:
        stop.set()
        await asyncio.sleep(0.01)
        counters.sent = counters.acked = 1

    monkeypatch.setattr(sandbox_alone, "run", post_once_more)
    await run(settings, asyncio.Event())
    assert capsys.readouterr().out.splitlines()[-1] == "1 sent, 1 acknowledged"


async def test_what_ends_it_otherwise_is_raised(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sandbox_alone, "run", crash)
    with pytest.raises(ZeroDivisionError):
        await run(settings, asyncio.Event())
