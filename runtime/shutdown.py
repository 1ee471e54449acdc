"""Stopping: a signal asks, the steps run upstream first, and a deadline ends the waiting."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_log = structlog.stdlib.get_logger(__name__)

Step = tuple[str, Callable[[], Awaitable[object]]]
"""A name for the log, and what is awaited."""


@contextmanager
def stop_requested() -> Iterator[asyncio.Event]:
    """An event that the first SIGTERM or SIGINT sets; a second signal ends the process at once, as if unhandled."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()

    def restore() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def request(number: signal.Signals) -> None:
        _log.info("stopping", signal=number.name)
        event.set()
        restore()

    for number in _SIGNALS:
        loop.add_signal_handler(number, request, number)
    try:
        yield event
    finally:
        restore()


async def stop_in_order(steps: Sequence[Step], *, deadline: float) -> bool:
    """Run the steps one after the other, all within `deadline` seconds; True if each ended well and in time.

    A step that fails is logged and the next one runs: closing the queue matters also when the listener would not close.
    Past the deadline the remaining steps get no time, but each is still begun and cancelled, to drop what it holds.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline
    clean = True
    for name, step in steps:
        try:
            async with asyncio.timeout_at(end):
                await step()
        except TimeoutError:
            clean = False
            _log.warning("stop_deadline_passed", step=name, deadline_s=deadline)
        except Exception:  # noqa: BLE001 - whatever it was, the next step must run
            clean = False
            _log.exception("stop_step_failed", step=name)
    return clean
