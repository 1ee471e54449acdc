"""Deliveries against a real HTTP receiver on loopback: what it gets, and what the sandbox books."""

import asyncio
import base64
import random
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from sandbox.cloud import Company
from sandbox.deliveries import Deliveries, Endpoint, Pace
from sandbox.ledger import Ledger
from sandbox.live import run
from sandbox.mischief import Mischief

START = 1_795_000_000_000_000
WAIT = 20
Answer = Callable[[int, dict[str, Any]], int]


class Receiver:
    """Answers as it is told to and remembers everything."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Answer = lambda _nth, _body: 200
        self.silence = asyncio.Event()
        self.stalls = False

    async def take(self, request: web.Request) -> web.Response:
        told = orjson.loads(await request.read())
        self.bodies.append(told)
        self.headers.append({key.lower(): value for key, value in request.headers.items()})
        if self.stalls:
            await self.silence.wait()
        status = self.answer(len(self.bodies), told)
        return web.Response(status=status, headers={"location": "/elsewhere"} if status // 100 == 3 else {})

    async def welcome(self, _request: web.Request) -> web.Response:
        """Where redirects lead: a follower would take this for success."""
        return web.Response()


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    stub = Receiver()
    app = web.Application()
    app.router.add_post("/webhooks/7", stub.take)
    app.router.add_route("*", "/elsewhere", stub.welcome)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield stub, f"http://127.0.0.1:{port}/webhooks/7"
    stub.silence.set()
    await runner.cleanup()


def new_company(**options: Any) -> Company:
    clock = iter(range(START, START + 10**12, 400_000))
    return Company(random.Random(3), 7, lambda: next(clock), deals=10, **options)


class Sleeps:
    """Instead of waiting: how long it would have been; and a clock that this moves on."""

    def __init__(self) -> None:
        self.lengths: list[float] = []
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.lengths.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def pace(self, **options: Any) -> Pace:
        return Pace(sleep=self.sleep, clock=lambda: self.now, concurrency=1, **options)


async def deliver(
    url: str,
    company: Company,
    count: int,
    *,
    mischief: Mischief | None = None,
    pace: Pace | None = None,
) -> Deliveries:
    """Deliver the first `count` announced events."""
    async with aiohttp.ClientSession() as session:
        deliveries = Deliveries(
            *(session, Endpoint(url, "7", "secret ü"), company.account, Ledger()),
            rng=random.Random(1),
            mischief=mischief,
            pace=pace or Pace(concurrency=1),
        )
        async with asyncio.timeout(WAIT):
            for event in company.announce()[:count]:
                await deliveries.send(event)
            await deliveries.drain()
    return deliveries


async def test_a_delivery_looks_like_pipedrives(receiver: tuple[Receiver, str]) -> None:
    stub, url = receiver
    deliveries = await deliver(url, new_company(), 1)
    (headers,), (told,) = stub.headers, stub.bodies
    assert headers["user-agent"] == "Pipedrive Webhooks"
    assert headers["content-type"] == "application/json"
    assert headers["authorization"].startswith("Basic ")
    assert base64.b64decode(headers["authorization"][6:]).decode() == "7:secret ü"
    assert int(headers["content-length"]) > 0
    assert told["meta"]["attempt"] == 1
    counters = deliveries.ledger.counters
    assert (counters.sent, counters.acked, counters.lost, len(counters.response_seconds)) == (1, 1, 0, 1)


@pytest.mark.parametrize("status", [500, 401, 404, 302])
async def test_a_failed_attempt_is_repeated_after_3_30_and_150_seconds_then_given_up(
    receiver: tuple[Receiver, str], status: int
) -> None:
    """Everything but 2xx is a failure, and a redirect is not followed."""
    stub, url = receiver
    stub.answer, sleeps = lambda _nth, _body: status, Sleeps()
    deliveries = await deliver(url, new_company(), 1, pace=sleeps.pace())
    assert sleeps.lengths == [3, 30, 150]
    assert [told["meta"]["attempt"] for told in stub.bodies] == [1, 2, 3, 4]
    assert len({told["meta"]["id"] for told in stub.bodies}) == 1
    assert [lost.reason for lost in deliveries.ledger.lost] == ["gave_up"]
    assert deliveries.ledger.unsettled() == {("user", 1)}


async def test_v1_counts_its_retries_from_zero(receiver: tuple[Receiver, str]) -> None:
    stub, url = receiver
    stub.answer = lambda nth, _body: 503 if nth < 3 else 204
    deliveries = await deliver(url, new_company(), 1, mischief=Mischief(v1=1), pace=Sleeps().pace(clock_scale=0.1))
    assert [told["retry"] for told in stub.bodies] == [0, 1, 2]
    assert (deliveries.ledger.counters.acked, deliveries.ledger.counters.retried) == (1, 2)


async def test_a_receiver_that_does_not_answer_in_time_has_failed(receiver: tuple[Receiver, str]) -> None:
    stub, url = receiver
    stub.stalls = True
    sleeps = Sleeps()
    deliveries = await deliver(url, new_company(), 1, pace=Pace(timeout=0.05, sleep=sleeps.sleep))
    assert len(sleeps.lengths) == 3
    assert deliveries.ledger.counters.failed == 4


async def test_nobody_listening_is_a_failure_too() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/webhooks/7"
        deliveries = await deliver(url, new_company(), 1, pace=Sleeps().pace())
    assert deliveries.ledger.counters.failed == 4


async def test_ten_failed_first_attempts_ban_the_webhook_and_its_events_are_lost(
    receiver: tuple[Receiver, str],
) -> None:
    stub, url = receiver
    stub.answer = lambda _nth, told: 500 if told["meta"]["attempt"] == 1 else 200
    hold = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        await hold.wait()

    company = new_company()
    events = company.announce()
    async with aiohttp.ClientSession() as session, asyncio.timeout(WAIT):
        pace = Pace(sleep=sleep, clock=lambda: 0.0, concurrency=1)
        deliveries = Deliveries(
            *(session, Endpoint(url, "7", "secret ü"), company.account, Ledger()),
            rng=random.Random(1),
            pace=pace,
        )
        for event in [event for event in events if event.entity != "activity_type"][:15]:
            await deliveries.send(event)
        hold.set()
        await deliveries.drain()
    counters = deliveries.ledger.counters
    assert (counters.banned, counters.acked, deliveries.subscription.bans) == (5, 10, 1)
    assert {lost.reason for lost in deliveries.ledger.lost} == {"banned"}


async def test_duplicates_repeat_the_same_event_and_are_acknowledged_once(receiver: tuple[Receiver, str]) -> None:
    stub, url = receiver
    deliveries = await deliver(url, new_company(), 7, mischief=Mischief(duplicates=1.0))
    counters = deliveries.ledger.counters
    assert (counters.sent, counters.acked, counters.duplicates) == (14, 7, 7)
    assert all(
        first["meta"] == second["meta"] for first, second in zip(stub.bodies[::2], stub.bodies[1::2], strict=True)
    )


async def test_reordering_keeps_every_event_and_not_their_order(receiver: tuple[Receiver, str]) -> None:
    stub, url = receiver
    await deliver(url, new_company(), 50, mischief=Mischief(reorder=10))
    times = [told["meta"]["timestamp"] for told in stub.bodies]
    assert len(times) == 47, "three activity types are told in v1 only"
    assert times != sorted(times)


async def test_what_is_dropped_is_booked(receiver: tuple[Receiver, str]) -> None:
    stub, url = receiver
    deliveries = await deliver(url, new_company(), 7, mischief=Mischief(drops=1.0))
    assert stub.bodies == []
    assert deliveries.ledger.counters.lost == 7
    assert deliveries.ledger.unsettled() == {*(("user", n) for n in range(1, 6)), *(("pipeline", n) for n in (1, 2))}


async def test_a_share_of_events_is_told_in_v1(receiver: tuple[Receiver, str]) -> None:
    """Leads only ever come in v2, activity types only in v1."""
    stub, url = receiver
    await deliver(url, new_company(), 100, mischief=Mischief(v1=0.5), pace=Pace(concurrency=8))
    v1 = [told["event"].partition(".")[2] for told in stub.bodies if "event" in told]
    v2 = [told["meta"]["entity"] for told in stub.bodies if "event" not in told]
    assert len(stub.bodies) == len(v1) + len(v2)
    assert "deal" in v1
    assert "deal" in v2
    assert v1.count("activityType") == 3
    assert "lead" not in v1
    assert "activity_type" not in v2


async def test_a_company_lives_at_its_rate_until_it_is_stopped_and_every_event_is_booked(
    receiver: tuple[Receiver, str],
) -> None:
    stub, url = receiver
    stop, company = asyncio.Event(), new_company(same_instant=0.2)
    announced = 0

    def enough(nth: int, _body: dict[str, Any]) -> int:
        if nth > announced + 300:
            stop.set()
        return 503 if nth % 50 == 0 else 200

    stub.answer = enough
    announced = sum(len(shelf) for shelf in company.live.values())
    async with asyncio.timeout(WAIT):
        outcome = await run(
            *(company, url, "7", "secret"),
            rate=500,
            stop=stop,
            rng=random.Random(4),
            mischief=Mischief(duplicates=0.1, reorder=5, drops=0.05, v1=0.3),
            pace=Pace(clock_scale=0.0001),
        )
    counters = outcome.ledger.counters
    assert counters.acked + counters.duplicates + counters.retried <= counters.sent
    assert counters.lost == len(outcome.ledger.lost) > 0
    assert counters.retried > 0
    assert counters.percentile(0.5) is not None
    assert outcome.truth.unsettled
    assert {told["event"].partition(".")[2] for told in stub.bodies if "event" in told} >= {"deal", "activity"}


async def test_a_cancelled_run_leaves_nothing_behind(receiver: tuple[Receiver, str]) -> None:
    stub, url = receiver
    several = asyncio.Event()

    def refuse(nth: int, _body: dict[str, Any]) -> int:
        if nth > 5:
            several.set()
        return 500

    stub.answer = refuse
    running = asyncio.create_task(
        run(new_company(), url, "7", "secret", rate=100, stop=asyncio.Event(), rng=random.Random(1))
    )
    async with asyncio.timeout(WAIT):
        await several.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert not [task for task in asyncio.all_tasks() if "Deliveries" in repr(task.get_coro())]


async def test_a_crash_of_a_delivery_is_raised_and_not_lost(receiver: tuple[Receiver, str]) -> None:
    _, url = receiver

    async def broken(_seconds: float) -> None:
        raise ZeroDivisionError

    company, stop = new_company(), asyncio.Event()
    stop.set()
    with pytest.raises(ZeroDivisionError):
        await run(
            *(company, url.replace("webhooks", "nowhere"), "7", "secret"),
            rate=100,
            stop=stop,
            rng=random.Random(1),
            pace=Pace(sleep=broken),
        )
