"""A process whose event loop hangs says where and ends; one that was merely stopped goes on."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from rig.waiting import until

from runtime.measurements import LOOP_LAG
from runtime.metrics import Metrics
from runtime.watchdog import Bounds, watched_loop

CHECKOUT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, re, sys, time
from runtime import logs
from runtime.metrics import Metrics
from runtime.watchdog import Bounds, watched_loop

def hang_here():
    {hang}

async def main():
    with watched_loop(Metrics(), Bounds(tick=0.05, tell=0.2, end=1.0, cpu={cpu}, talk=0.5)):
        for turn in range(100_000):
            print(turn, flush=True)
            await asyncio.sleep(0.02)
            if turn == 3:
                hang_here()

logs.configure("test", form="json")
asyncio.run(main())
"""


class Program:
    """The program as a process of its own, with all it has written to stdout so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.turns = 0

    async def read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.turns = int(line)

    async def ended(self) -> tuple[int, str]:
        async with asyncio.timeout(30):
            code = await self.process.wait()
            assert self.process.stderr is not None
            return code, (await self.process.stderr.read()).decode()


@asynccontextmanager
async def program(hang: str, *, cpu: float = 60) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM.format(hang=hang, cpu=cpu),
        cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    found = Program(process)
    reading = asyncio.create_task(found.read())
    try:
        yield found
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            await process.wait()
        assert process.stderr is not None
        await process.stderr.read()
        await reading


@pytest.mark.parametrize("hang", ["time.sleep(60)", "while True: pass"])
async def test_a_stuck_process_says_where_and_ends(hang: str) -> None:
    async with program(hang) as stuck:
        code, said = await stuck.ended()
    assert code == 1
    assert '"event": "stuck"' in said
    assert '"event": "ended_stuck"' in said
    assert '"code": "stuck_loop"' in said
    assert "hang_here" in said


def test_a_process_that_hangs_in_a_write_to_its_log_ends_too() -> None:
    """Nobody reads our stderr any more, and its pipe is full: then there are no last words."""
    text = PROGRAM.format(hang='sys.stderr.write("x" * 1_000_000)', cpu=60)
    with subprocess.Popen(
        [sys.executable, "-c", text], cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as stuck:
        try:
            assert stuck.wait(30) == 1
        finally:
            stuck.kill()


async def test_a_process_whose_interpreter_is_kept_by_one_thread_ends_too() -> None:
    async with program('re.match(r"(a+)+$", "a" * 60 + "b")', cpu=0.5) as stuck:
        code, said = await stuck.ended()
    assert code == -signal.SIGVTALRM
    assert "hang_here" in said


async def test_a_process_that_is_stopped_and_continued_goes_on() -> None:
    """Stopped for longer than it may be stuck, which the clock counts and the watchdog does not."""
    async with program("pass") as stopped:
        await until(lambda: stopped.turns > 5, what="running")
        os.kill(stopped.process.pid, signal.SIGSTOP)
        await asyncio.sleep(1.6)
        before = stopped.turns
        os.kill(stopped.process.pid, signal.SIGCONT)
        # For as long again as a stuck process lives.
        await until(lambda: stopped.turns > before + 60, what="going on")
        assert stopped.process.returncode is None


async def test_how_late_the_loop_is_is_measured() -> None:
    metrics = Metrics()
    with watched_loop(metrics, Bounds(tick=0.01)):
        await until(lambda: (metrics.value(LOOP_LAG) or 0) > 3, what="some answers")
