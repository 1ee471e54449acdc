"""How events gather, which way they take, and what happens when a way is closed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from receiver.gather import Gathering
from receiver.outlet import Outlet
from receiver.ways import Probe, Timing, Ways
from runtime.health import Condition
from runtime.measurements import BUNDLES_PUBLISHED, ON_SPOOL, PUBLISH_FAILURES, SPOOL_PENDING
from runtime.metrics import Metrics
from runtime.transport import Publisher
from schema.envelope import MAX_BUNDLE_BYTES, Envelope, pack, unpack
from schema.errors import NotNow, QueueMissing, QueueUnavailable, SpoolUnavailable
from schema.topology import route

PATIENCE = 5.0
FAST = Timing(confirm=0.05, spool_confirm=0.05, first_retry=0.01, longest_retry=0.02, drain_every=0.01)


class Gate:
    """A publisher whose confirms the test gives: nothing is confirmed while it is `shut`."""

    def __init__(self, *, shut: bool = False) -> None:
        self.open = asyncio.Event()
        if not shut:
            self.open.set()
        self.failure: Exception | None = None
        self.attempts: list[tuple[str, list[Envelope]]] = []
        self.confirmed: list[Envelope] = []
        self.closed = False

    async def publish(self, routing_key: str, body: bytes) -> None:
        self.attempts.append((routing_key, unpack(body)))
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        self.confirmed += unpack(body)

    async def close(self) -> None:
        self.closed = True


class Spool(Gate):
    """A gate that keeps what it took."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[str, bytes]] = []

    async def publish(self, routing_key: str, body: bytes) -> None:
        await super().publish(routing_key, body)
        self.kept.append((routing_key, body))

    async def drain(self, publisher: Publisher, *, max_in_flight: int) -> int:
        assert max_in_flight <= 2
        moved = 0
        while self.kept:
            await publisher.publish(*self.kept[0])
            self.kept.pop(0)
            moved += 1
        return moved

    async def pending(self) -> int:
        return len(self.kept)


class Bench:
    """An outlet with its ways, closed after the test."""

    def __init__(
        self,
        primary: Gate,
        refuge: Spool | None = None,
        *,
        probe: Probe | None = None,
        timing: Timing = FAST,
        in_flight: int = 4,
        most_waiting: int = 10**6,
        lanes: int = 1,
    ) -> None:
        self.metrics = Metrics()
        self.ways = Ways(primary, refuge, metrics=self.metrics, probe=probe, timing=timing)
        self.outlet = Outlet(
            self.ways, lanes=lanes, metrics=self.metrics, in_flight=in_flight, most_waiting=most_waiting
        )
        self.outlet.start()
        self.puts: list[asyncio.Task[None]] = []

    def put(self, body: bytes = b"{}", company_id: int = 1) -> asyncio.Task[None]:
        async def put() -> None:
            await self.outlet.put(Envelope(company_id, 0, body))

        task = asyncio.create_task(put())
        self.puts.append(task)
        return task

    def conditions(self) -> list[Condition]:
        return list(self.outlet.conditions())

    async def close(self) -> None:
        await self.outlet.close(0)
        await asyncio.gather(*self.puts, return_exceptions=True)


@pytest.fixture
async def bench() -> AsyncIterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*args: Any, **kwargs: Any) -> Bench:
        made.append(Bench(*args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)


async def all_of(tasks: list[asyncio.Task[None]]) -> list[BaseException | None]:
    async with asyncio.timeout(PATIENCE):
        return await asyncio.gather(*tasks, return_exceptions=True)


def sizes(gate: Gate) -> list[int]:
    return [len(envelopes) for _, envelopes in gate.attempts]


async def test_a_lone_event_goes_at_once(bench: Callable[..., Bench]) -> None:
    gate = Gate(shut=True)
    put = bench(gate).put(b"one")
    await until(lambda: gate.attempts)
    assert not put.done(), "not durable yet"
    gate.open.set()
    assert await all_of([put]) == [None]


async def test_arrivals_of_one_moment_share_a_bundle(bench: Callable[..., Bench]) -> None:
    gate = Gate()
    room = bench(gate)
    assert await all_of([room.put(str(number).encode()) for number in range(10)]) == [None] * 10
    assert [[envelope.body for envelope in envelopes] for _, envelopes in gate.attempts] == [
        [str(number).encode() for number in range(10)]
    ]


async def test_arrivals_gather_until_they_are_half_of_what_is_in_flight_or_a_confirm_releases_them(
    bench: Callable[..., Bench],
) -> None:
    gate = Gate(shut=True)
    room = bench(gate, timing=replace(FAST, spool_confirm=PATIENCE))

    async def arrive(number: int) -> None:
        for _ in range(number):
            room.put()
        due = len(room.puts) * len(pack([Envelope(1, 0, b"{}")]))
        await until(lambda: room.outlet._waiting == due)
        await asyncio.sleep(0.001)  # long enough for a bundle to leave, if it may

    await arrive(20)
    assert sizes(gate) == [20]
    await arrive(9)
    assert sizes(gate) == [20], "fewer than half wait"
    await arrive(1)
    assert sizes(gate) == [20, 10], "half follow"
    await arrive(14)
    assert sizes(gate) == [20, 10], "of all that is in flight"
    gate.open.set()
    assert set(await all_of(room.puts)) == {None}
    assert sizes(gate) == [20, 10, 14]


async def test_full_bundles_follow_without_waiting_but_only_four_are_in_flight(bench: Callable[..., Bench]) -> None:
    gate = Gate(shut=True)
    room = bench(gate, timing=replace(FAST, spool_confirm=PATIENCE))
    for _ in range(6 * 64 + 10):
        room.put()
    await until(lambda: len(gate.attempts) == 4)
    await asyncio.sleep(0.01)  # long enough for a fifth, if there were one
    assert sizes(gate) == [64] * 4
    gate.open.set()
    assert set(await all_of(room.puts)) == {None}
    assert sizes(gate) == [64] * 6 + [10]


async def test_a_slow_lane_does_not_hold_back_another(bench: Callable[..., Bench]) -> None:
    gate = Gate(shut=True)
    room = bench(gate, lanes=8, timing=replace(FAST, spool_confirm=PATIENCE))
    assert route(1, 1, lanes=8, large=10) != route(2, 1, lanes=8, large=10)
    room.put(company_id=1)
    await until(lambda: len(gate.attempts) == 1)
    room.put(company_id=2)
    await until(lambda: len(gate.attempts) == 2)
    gate.open.set()
    assert await all_of(room.puts) == [None, None]


async def test_an_event_over_the_bound_travels_alone_and_apart(bench: Callable[..., Bench]) -> None:
    gate = Gate()
    room = bench(gate, most_waiting=10**8)
    fits = MAX_BUNDLE_BYTES - len(pack([Envelope(1, 0, b"")]))
    await all_of([room.put(b"small"), room.put(b"x" * fits), room.put(b"x" * (fits + 1))])
    assert sorted((key, len(envelopes)) for key, envelopes in gate.attempts) == [
        ("lane.0", 1),
        ("lane.0", 1),
        ("large", 1),
    ]
    assert all(len(pack(envelopes)) <= MAX_BUNDLE_BYTES for key, envelopes in gate.attempts if key == "lane.0")


async def test_a_bundle_belongs_to_one_lane(bench: Callable[..., Bench]) -> None:
    gate = Gate()
    room = bench(gate, lanes=8)
    await all_of([room.put(company_id=company) for company in range(1, 50)])
    lanes: dict[str, set[int]] = {}
    for key, envelopes in gate.attempts:
        lanes.setdefault(key, set()).update(envelope.company_id for envelope in envelopes)
    assert len(lanes) > 1
    assert sum(len(companies) for companies in lanes.values()) == 49, "each company in one lane only"


def test_lanes_take_turns_and_keep_their_order() -> None:
    gathering: Gathering[int] = Gathering(most_events=2, most_bytes=100)
    for number in range(5):
        gathering.add("busy", number, 1)
    gathering.add("quiet", 9, 1)
    taken = [gathering.take() for _ in range(5)]
    assert [bundle and (bundle.routing_key, bundle.items) for bundle in taken] == [
        ("busy", [0, 1]),
        ("quiet", [9]),
        ("busy", [2, 3]),
        ("busy", [4]),
        None,
    ]


def test_of_a_lane_with_items_in_flight_half_as_many_are_taken_or_a_full_bundle() -> None:
    gathering: Gathering[int] = Gathering(most_events=4, most_bytes=100)
    gathering.add("busy", 0, 1)
    assert gathering.take({"busy": 3}) is None
    gathering.add("other", 9, 1)
    assert gathering.take({"busy": 3}) == ("other", [9], 1)
    gathering.add("busy", 1, 1)
    assert gathering.take({"busy": 3}) == ("busy", [0, 1], 2)
    for number in range(2, 7):
        gathering.add("busy", number, 1)
    assert gathering.take({"busy": 100}) == ("busy", [2, 3, 4, 5], 4), "full by events"
    assert gathering.take({"busy": 100}) is None, "what is left does not fill one"
    gathering.add("busy", 7, 99)
    assert gathering.take({"busy": 100}) == ("busy", [6, 7], 100), "full by bytes"
    gathering.add("busy", 8, 1)
    assert gathering.take() == ("busy", [8], 1)
    assert gathering.take() is None


def test_a_bundle_closes_before_it_would_exceed_its_bytes() -> None:
    gathering: Gathering[str] = Gathering(most_events=10, most_bytes=100)
    for name, size in (("a", 60), ("b", 40), ("c", 1), ("d", 500), ("e", 1)):
        gathering.add("lane", name, size)
    taken = [gathering.take() for _ in range(4)]
    assert [bundle and (bundle.items, bundle.size) for bundle in taken] == [
        (["a", "b"], 100),
        (["c"], 1),
        (["d"], 500),
        (["e"], 1),
    ]


@pytest.mark.parametrize("failure", [QueueUnavailable("gone"), RuntimeError("a bug"), TimeoutError()])
async def test_when_the_primary_fails_the_refuge_takes_the_bundle(
    bench: Callable[..., Bench], failure: Exception
) -> None:
    broker, spool = Gate(), Spool()
    broker.failure = failure
    room = bench(broker, spool, timing=replace(FAST, first_retry=60, longest_retry=60))
    assert await all_of([room.put(b"saved")]) == [None]
    assert [envelope.body for envelope in spool.confirmed] == [b"saved"]
    assert room.metrics.value(ON_SPOOL) == 1
    assert room.metrics.value(PUBLISH_FAILURES, "amqp", "queue_unavailable") == 1
    assert room.metrics.value(BUNDLES_PUBLISHED, "spool") == 1
    assert [(condition.code, condition.blocking) for condition in room.conditions()] == [("queue_unavailable", False)]


async def test_a_blocked_broker_costs_one_deadline_and_not_each_request_one(bench: Callable[..., Bench]) -> None:
    broker, spool = Gate(shut=True), Spool()
    room = bench(broker, spool, timing=replace(FAST, first_retry=60, longest_retry=60))
    assert await all_of([room.put()]) == [None]
    attempts = len(broker.attempts)
    for _ in range(20):
        assert await all_of([room.put()]) == [None]
    assert len(broker.attempts) == attempts, "nobody waits for the blocked broker again"
    assert len(spool.confirmed) == 21


async def test_the_broker_is_used_again_once_a_probe_finds_it_working_and_the_refuge_is_drained(
    bench: Callable[..., Bench],
) -> None:
    broker, spool = Gate(), Spool()
    broker.failure = QueueUnavailable("gone")
    probes = 0

    async def probe() -> None:
        nonlocal probes
        probes += 1
        if broker.failure is not None:
            raise broker.failure

    room = bench(broker, spool, probe=probe)
    await all_of([room.put(b"kept")])
    await until(lambda: probes >= 3)
    assert room.metrics.value(ON_SPOOL) == 1, "a failed probe brings nothing back"
    broker.failure = None
    await until(lambda: [envelope.body for envelope in broker.confirmed] == [b"kept"])
    await until(lambda: room.metrics.value(SPOOL_PENDING) == 0)
    await all_of([room.put(b"direct")])
    assert [envelope.body for envelope in broker.confirmed] == [b"kept", b"direct"]
    assert room.metrics.value(ON_SPOOL) == 0
    assert room.conditions() == []


async def test_without_a_probe_the_primary_is_tried_again_after_a_while(bench: Callable[..., Bench]) -> None:
    broker, spool = Gate(), Spool()
    broker.failure = QueueUnavailable("gone")
    room = bench(broker, spool)
    await all_of([room.put(b"kept")])
    broker.failure = None
    await until(lambda: broker.confirmed)
    assert spool.kept == []


async def test_a_probe_that_is_content_too_early_does_not_lose_anything(bench: Callable[..., Bench]) -> None:
    """A broker may accept connections and refuse to take messages: the outlet goes there and back, longer each time."""
    broker, spool = Gate(), Spool()
    broker.failure = QueueUnavailable("takes connections only")

    async def content() -> None:
        return None

    room = bench(broker, spool, probe=content, timing=replace(FAST, longest_retry=PATIENCE))
    for _ in range(30):
        assert await all_of([room.put()]) == [None]
    assert len(spool.confirmed) >= 30
    await until(lambda: room.ways._attempts >= 2)
    assert room.ways._wait() > FAST.first_retry


async def test_a_crash_of_the_drain_does_not_keep_the_primary_away(bench: Callable[..., Bench]) -> None:
    class Crashing(Spool):
        crashes = 0

        async def drain(self, publisher: Publisher, *, max_in_flight: int) -> int:
            del publisher, max_in_flight
            self.crashes += 1
            raise RuntimeError("a bug")

    broker, spool = Gate(), Crashing()
    room = bench(broker, spool)
    await until(lambda: spool.crashes > 2)
    broker.failure = QueueUnavailable("gone")
    await all_of([room.put()])
    broker.failure = None
    await until(lambda: room.metrics.value(ON_SPOOL) == 0)


async def test_a_spool_that_cannot_be_read_does_not_make_the_broker_guilty(bench: Callable[..., Bench]) -> None:
    class Unreadable(Spool):
        drains = 0

        async def drain(self, publisher: Publisher, *, max_in_flight: int) -> int:
            del publisher, max_in_flight
            self.drains += 1
            raise SpoolUnavailable("input/output error")

    spool = Unreadable()
    room = bench(Gate(), spool)
    await until(lambda: spool.drains > 2)
    assert room.conditions() == []


async def test_when_neither_takes_it_the_request_is_refused_and_readiness_says_why(
    bench: Callable[..., Bench],
) -> None:
    broker, spool = Gate(shut=True), Spool()
    spool.failure = SpoolUnavailable("disk full")
    room = bench(broker, spool, timing=replace(FAST, refusal_shown=0.5))
    failures = await all_of([room.put(), room.put()])
    assert [(type(failure), str(failure)) for failure in failures] == [(SpoolUnavailable, "disk full")] * 2
    assert failures[0] is not failures[1], "each request raises its own"
    assert ("spool_unavailable", True) in [(condition.code, condition.blocking) for condition in room.conditions()]
    await until(lambda: not any(condition.blocking for condition in room.conditions()))


async def test_a_spool_that_hangs_is_given_up_after_its_deadline(bench: Callable[..., Bench]) -> None:
    room = bench(Gate(shut=True))
    (failure,) = await all_of([room.put()])
    assert isinstance(failure, SpoolUnavailable)
    assert "did not confirm within 0.05 s" in failure.reason


async def test_what_waits_in_memory_is_bounded(bench: Callable[..., Bench]) -> None:
    gate = Gate(shut=True)
    room = bench(gate, most_waiting=1000, timing=replace(FAST, spool_confirm=PATIENCE))
    room.put(b"x" * 5000)  # alone it is taken, however large
    await until(lambda: gate.attempts)
    (refused,) = await all_of([room.put(b"x")])
    assert isinstance(refused, QueueUnavailable)
    gate.open.set()
    await all_of(room.puts)
    assert await all_of([room.put(b"x")]) == [None], "what became durable makes room"


async def test_a_cancelled_request_does_not_take_the_others_with_it(bench: Callable[..., Bench]) -> None:
    gate = Gate(shut=True)
    room = bench(gate, timing=replace(FAST, spool_confirm=PATIENCE))
    gone, stays = room.put(b"gone"), room.put(b"stays")
    await until(lambda: gate.attempts)
    gone.cancel()
    await until(gone.done)
    gate.open.set()
    assert await all_of([stays]) == [None]
    assert [envelope.body for envelope in gate.confirmed] == [b"gone", b"stays"]
    assert room.outlet._waiting == 0


async def test_closing_flushes_what_has_gathered(bench: Callable[..., Bench]) -> None:
    broker, spool = Gate(shut=True), Spool()
    room = bench(broker, spool, in_flight=1, timing=replace(FAST, confirm=PATIENCE))
    room.put(b"0")
    await until(lambda: broker.attempts)
    for number in range(1, 70):
        room.put(str(number).encode())
    await until(lambda: room.outlet._waiting >= 70 * 21)
    closing = asyncio.create_task(room.outlet.close(PATIENCE))
    broker.open.set()
    await asyncio.wait_for(closing, PATIENCE)
    assert await all_of(room.puts) == [None] * 70
    assert (broker.closed, spool.closed) == (True, True)


async def test_after_closing_nothing_is_taken(bench: Callable[..., Bench]) -> None:
    gate = Gate()
    room = bench(gate)
    await room.outlet.close(PATIENCE)
    (refused,) = await all_of([room.put()])
    assert isinstance(refused, NotNow)
    assert gate.attempts == []


async def test_past_the_deadline_closing_refuses_what_is_not_durable(bench: Callable[..., Bench]) -> None:
    gate = Gate(shut=True)
    room = bench(gate, in_flight=1, timing=replace(FAST, spool_confirm=PATIENCE))
    sent = room.put(b"sent")
    await until(lambda: gate.attempts)
    waiting = room.put(b"waiting")
    await until(lambda: room.outlet._waiting > 40)
    await asyncio.wait_for(room.outlet.close(0.01), PATIENCE)
    assert [type(failure) for failure in await all_of([sent, waiting])] == [QueueUnavailable] * 2
    assert gate.closed


async def test_what_no_queue_takes_stays_in_the_refuge_and_is_told_while_the_broker_is_used(
    bench: Callable[..., Bench],
) -> None:
    """A drain that fails for one lane must not send everything there and back for ever."""

    class Stuck(Spool):
        drains = 0
        missing = True

        async def drain(self, publisher: Publisher, *, max_in_flight: int) -> int:
            self.drains += 1
            if self.missing:
                raise QueueMissing("no queue for lane.9")
            return await super().drain(publisher, max_in_flight=max_in_flight)

    broker, spool = Gate(), Stuck()
    room = bench(broker, spool)
    await until(lambda: spool.drains >= 3)
    assert await all_of([room.put(b"direct")]) == [None]
    assert [envelope.body for envelope in broker.confirmed] == [b"direct"]
    assert [(condition.code, condition.blocking) for condition in room.conditions()] == [("queue_missing", False)]
    spool.missing = False
    await until(lambda: not room.conditions())


async def test_gauges_are_absent_before_a_first_reading(bench: Callable[..., Bench]) -> None:
    room = bench(Gate())
    text = room.metrics.render().decode()
    assert "pipemirror_received_refused_large_total 0.0" in text, "a counter is truly zero"
    assert not any(line.startswith(("pipemirror_on_spool", "pipemirror_spool_pending")) for line in text.splitlines())
