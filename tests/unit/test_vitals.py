"""A worker that does nothing while messages wait says so, unless it is known why."""

import asyncio
from typing import Any, cast

import pytest

from runtime.measurements import BACKLOG, EVENTS
from runtime.metrics import Metrics
from runtime.transport import Subscription
from schema.errors import QueueUnavailable
from worker.upkeep.vitals import IDLE, Vitals


class Queue:
    """Only tells its backlog; None: it cannot be asked."""

    def __init__(self) -> None:
        self.waiting: int | None = 3

    async def backlog(self) -> dict[str, int]:
        if self.waiting is None:
            raise QueueUnavailable("gone")
        return {"lane": self.waiting, "large": 0}


class Watched:
    def __init__(self) -> None:
        self.queue = Queue()
        self.metrics = Metrics()
        self.now = 0.0
        self.excuse = False
        subscription = cast("Subscription", self.queue)
        no_pool: Any = None
        self.vitals = Vitals(no_pool, subscription, self.metrics, excused=lambda: self.excuse, clock=lambda: self.now)

    async def looks(self, after: float = 0.0) -> list[str]:
        self.now += after
        await self.vitals.ask_queue()
        return [condition.code for condition in self.vitals.conditions()]


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def test_messages_that_wait_while_nothing_is_done_are_told(watched: Watched) -> None:
    assert await watched.looks() == []
    assert await watched.looks(IDLE - 1) == []
    assert await watched.looks(1) == ["silent_consumer"]
    assert watched.metrics.value(BACKLOG, "lane") == 3


async def test_any_event_that_is_done_is_progress(watched: Watched) -> None:
    await watched.looks()
    watched.metrics.count(EVENTS, "duplicate")
    assert await watched.looks(IDLE) == []
    assert await watched.looks(IDLE) == []
    assert await watched.looks(IDLE) == ["silent_consumer"]


async def test_an_empty_queue_is_no_silence(watched: Watched) -> None:
    await watched.looks()
    watched.queue.waiting = 0
    assert await watched.looks(IDLE) == []
    watched.queue.waiting = 1
    assert await watched.looks(IDLE) == []


async def test_what_is_known_is_not_told_twice(watched: Watched) -> None:
    """A hold, messages for a newer worker, another worker's turn: each is said by whoever knows."""
    watched.excuse = True
    await watched.looks()
    assert await watched.looks(IDLE) == []
    watched.excuse = False
    assert await watched.looks() == []
    assert await watched.looks(IDLE) == ["silent_consumer"]


async def test_an_excuse_for_idleness_is_none_for_the_database(watched: Watched) -> None:
    """Messages left for a newer worker explain why nothing is done, not why Postgres cannot be asked."""
    watched.excuse = True
    await watched.vitals.ask_database()  # of no pool at all
    assert await watched.looks() == ["database_unavailable"]


async def test_a_look_that_crashes_is_not_the_last(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    third = asyncio.Event()

    async def crash() -> dict[str, int]:
        nonlocal looks
        looks += 1
        if looks == 3:
            third.set()
        raise RuntimeError

    monkeypatch.setattr(watched.queue, "backlog", crash)
    looking = asyncio.create_task(watched.vitals.run(every=0.001))
    try:
        await asyncio.wait_for(third.wait(), 10)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def test_a_queue_that_cannot_be_asked_shows_no_backlog_instead_of_an_old_one(watched: Watched) -> None:
    await watched.looks()
    watched.queue.waiting = None
    assert await watched.looks(IDLE) == []
    assert watched.metrics.value(BACKLOG, "lane") is None
