"""Stopping: who is asked, in which order, and for how long."""

import asyncio
import os
import signal

import pytest

from runtime.shutdown import stop_in_order, stop_requested

PATIENCE = 5.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_asks_and_the_next_one_would_end_the_process(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_requested() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), PATIENCE)
        assert signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}
    signal.signal(number, before)


async def test_steps_run_in_order_also_after_one_that_fails() -> None:
    ran: list[str] = []

    async def good(name: str) -> None:
        ran.append(name)

    async def bad() -> None:
        ran.append("bad")
        raise OSError("would not close")

    steps = [("first", lambda: good("first")), ("bad", bad), ("last", lambda: good("last"))]
    assert not await stop_in_order(steps, deadline=PATIENCE)
    assert ran == ["first", "bad", "last"]
    assert await stop_in_order(steps[:1], deadline=PATIENCE)


async def test_the_deadline_is_for_all_steps_together_and_the_late_ones_are_begun() -> None:
    ran: list[str] = []

    async def hangs(name: str) -> None:
        ran.append(name)
        await asyncio.Event().wait()

    async with asyncio.timeout(PATIENCE):
        clean = await stop_in_order([("a", lambda: hangs("a")), ("b", lambda: hangs("b"))], deadline=0.02)
    assert not clean
    assert ran == ["a", "b"]
