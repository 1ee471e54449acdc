"""The watchdog of the event loop: a process that hangs says where, and ends, so that its supervisor starts it anew.

`/livez` is served by the loop itself, so a stuck one already answers nothing; but not everybody asks, and nobody would
learn where it hung. A thread asks the loop twice a second to answer. It counts its own ticks, not the clock: whoever is
stopped or put to sleep as a whole (SIGSTOP, a suspended machine, a frozen container) has not been stuck.

A loop that also keeps the interpreter to itself, as a runaway regular expression does, stops the thread as well. For
that the kernel counts the CPU time since the last answer and ends the process with SIGVTALRM.
"""

import asyncio
import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from runtime.measurements import LOOP_LAG
from runtime.metrics import Metrics
from schema.errors import StuckLoop

_log = structlog.stdlib.get_logger(__name__)
_EXIT_CODE = 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """In seconds.

    tick  between two questions
    tell  without an answer for so long, the stack of the loop's thread is logged
    end   and for so long, the process ends
    cpu   spent since the last answer, where not even the watchdog gets to run
    talk  for the last words: whatever hangs may hang in writing to the log
    """

    tick: float = 0.5
    tell: float = 5.0
    end: float = 30.0
    cpu: float = 60.0
    talk: float = 2.0


class _Watchdog:
    def __init__(self, loop: asyncio.AbstractEventLoop, metrics: Metrics, bounds: Bounds) -> None:
        self._loop = loop
        self._metrics = metrics
        self._bounds = bounds
        self._watched = threading.get_ident()
        self._stopping = threading.Event()
        self._unanswered = 0
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        # The only way to say something, and then to end, while another thread does not let go of the interpreter.
        faulthandler.register(signal.SIGVTALRM, all_threads=True, chain=True)
        self._rearm()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        faulthandler.unregister(signal.SIGVTALRM)

    def _watch(self) -> None:
        bounds = self._bounds
        tell, end = round(bounds.tell / bounds.tick), round(bounds.end / bounds.tick)
        while not self._stopping.is_set():
            self._ask()
            self._stopping.wait(bounds.tick)
            if self._unanswered == tell:
                threading.Thread(target=self._tell, daemon=True).start()
            elif self._unanswered >= end:
                self._end()

    def _ask(self) -> None:
        self._unanswered += 1
        if self._unanswered == 1:
            asked = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._answer, asked)
            except RuntimeError:  # the loop was closed: there is nothing left to watch
                self._stopping.set()

    def _answer(self, asked: float) -> None:
        """In the loop."""
        self._unanswered = 0
        self._metrics.observe(LOOP_LAG, time.monotonic() - asked)
        if not self._stopping.is_set():
            self._rearm()

    def _rearm(self) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, self._bounds.cpu)

    def _tell(self) -> None:
        seconds = self._unanswered * self._bounds.tick
        _log.error("stuck", code=StuckLoop.code, seconds=seconds, stack=self._stack())

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._watched)  # noqa: SLF001 - the documented way to look at a thread
        return "".join(traceback.format_stack(frame)) if frame else "unknown"

    def _end(self) -> None:
        last = threading.Timer(self._bounds.talk, os._exit, (_EXIT_CODE,))
        last.daemon = True
        last.start()
        _log.critical("ended_stuck", code=StuckLoop.code, seconds=self._bounds.end, stack=self._stack())
        faulthandler.dump_traceback(all_threads=True)
        os._exit(_EXIT_CODE)


@contextmanager
def watched_loop(metrics: Metrics, bounds: Bounds | None = None) -> Iterator[None]:
    """Watch the running event loop; also measures how late it is. For the main thread of a process."""
    watchdog = _Watchdog(asyncio.get_running_loop(), metrics, bounds or Bounds())
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()
