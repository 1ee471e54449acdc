"""The receiver through its socket: what it answers, and that 200 means durable."""

import asyncio
import base64
import gzip
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest

from receiver import webhook as webhook_module
from receiver.app import Door, Receiver, serve
from receiver.outlet import Outlet
from receiver.ways import Timing, Ways
from receiver.webhook import Webhook
from runtime.health import Check, Condition
from runtime.measurements import BODY_BYTES, RECEIVED, SECRET_USED
from runtime.metrics import Metrics
from schema.credentials import derive, header
from schema.envelope import Envelope, unpack
from schema.errors import QueueUnavailable, SpoolUnavailable

SECRETS = ("the-secret-of-today", "the-secret-of-before")
COMPANY = 1234567
LIMIT = 4096
NOW = 1_760_000_000_000_000
PATIENCE = 5.0
HOST = "127.0.0.1"


class Gate:
    """A publisher whose confirms the test gives."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Exception | None = None
        self.attempts = 0
        self.confirmed: list[Envelope] = []
        self.closed = False

    async def publish(self, routing_key: str, body: bytes) -> None:
        assert routing_key == "lane.0"
        self.attempts += 1
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        self.confirmed += unpack(body)

    async def close(self) -> None:
        self.closed = True

    @property
    def bodies(self) -> list[bytes]:
        return [envelope.body for envelope in self.confirmed]


class Running:
    """A receiver on a free port, its publisher, and a client."""

    def __init__(self, gate: Gate, metrics: Metrics, receiver: Receiver, client: aiohttp.ClientSession) -> None:
        self.gate = gate
        self.metrics = metrics
        self.receiver = receiver
        self.client = client
        self.base = f"http://{HOST}:{receiver.port}"

    def post(
        self, body: Any = b"{}", *, path: str = f"/webhooks/{COMPANY}", **kwargs: Any
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        kwargs.setdefault("headers", {"Authorization": header(SECRETS[0], COMPANY)})
        return self.client.post(self.base + path, data=body, allow_redirects=False, **kwargs)

    def count(self, status: int) -> float | None:
        return self.metrics.value(RECEIVED, str(status))


async def start(
    gate: Gate, *, body_within: float = PATIENCE, room_within: float = PATIENCE, port: int = 0
) -> tuple[Metrics, Receiver]:
    metrics = Metrics()
    ways = Ways(gate, metrics=metrics, timing=Timing(spool_confirm=PATIENCE))
    outlet = Outlet(ways, lanes=1, metrics=metrics)
    webhook = Webhook(
        outlet.put, SECRETS, max_body_bytes=LIMIT, metrics=metrics, clock=lambda: NOW,
        body_within=body_within, room_within=room_within,
    )  # fmt: skip
    return metrics, await serve(Door(webhook, [outlet.conditions], metrics), outlet, host=HOST, port=port)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    gate = Gate()
    metrics, receiver = await start(gate)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as client:
        yield Running(gate, metrics, receiver, client)
    gate.open.set()
    await receiver.stop(PATIENCE)


@pytest.fixture(autouse=True)
def nothing_logged_by_the_server(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test may end in a traceback of the HTTP server."""
    with caplog.at_level(logging.WARNING):
        yield
    assert [record.getMessage() for record in caplog.records if record.name in {"aiohttp.server", "asyncio"}] == []


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)


async def raw(port: int, *pieces: bytes, end: bool = False) -> bytes:
    """Send the pieces as they are; what comes back until the server closes, or the first answer."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if end:
            return b""
        async with asyncio.timeout(PATIENCE):
            return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def head(length: int | None = None, *more: str, company: int | str = COMPANY) -> bytes:
    lines = [f"POST /webhooks/{company} HTTP/1.1", "Host: here", f"Authorization: {header(SECRETS[0], COMPANY)}", *more]
    lines += [f"Content-Length: {length}"] if length is not None else ["Transfer-Encoding: chunked"]
    return "\r\n".join((*lines, "", "")).encode()


@pytest.mark.parametrize("slash", ["", "/", "?a=1", "/?a=1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_pipedrive_may_probe_the_address(running: Running, method: str, slash: str) -> None:
    url = f"{running.base}/webhooks/{COMPANY}{slash}"
    async with running.client.request(method, url, allow_redirects=False) as response:
        assert (response.status, await response.read()) == (200, b"")


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_post_is_taken_as_it_is_with_or_without_trailing_slash(running: Running, slash: str) -> None:
    body = b'{"not even": json \xff\x00'
    async with running.post(body, path=f"/webhooks/{COMPANY}{slash}") as response:
        assert (response.status, await response.read()) == (200, b"")
    assert running.gate.confirmed == [Envelope(COMPANY, NOW, body)]


async def test_200_means_durable(running: Running) -> None:
    running.gate.open.clear()
    post = asyncio.ensure_future(running.post(b"waits").__aenter__())
    await until(lambda: running.gate.attempts)
    assert not post.done()
    running.gate.open.set()
    assert (await asyncio.wait_for(post, PATIENCE)).status == 200
    assert running.gate.bodies == [b"waits"]


async def test_the_answer_is_complete_and_the_connection_serves_on(running: Running) -> None:
    reader, writer = await asyncio.open_connection(HOST, running.receiver.port)
    for number in range(3):
        writer.write(head(1) + b"%d" % number)
        async with asyncio.timeout(PATIENCE):
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        assert answer[0] == "HTTP/1.1 200 OK"
        headers = dict(line.split(": ", 1) for line in answer[1:] if line)
        assert set(headers) == {"Content-Length", "Date"}
        assert headers["Content-Length"] == "0"
        assert abs(parsedate_to_datetime(headers["Date"]).timestamp() - time.time()) < PATIENCE
    writer.close()
    assert running.gate.bodies == [b"0", b"1", b"2"]


async def test_requests_sent_without_waiting_are_all_answered(running: Running) -> None:
    reader, writer = await asyncio.open_connection(HOST, running.receiver.port)
    writer.write(b"".join(head(1) + b"%d" % number for number in range(10)))
    async with asyncio.timeout(PATIENCE):
        for _ in range(10):
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert running.gate.bodies == [b"%d" % number for number in range(10)]


@pytest.mark.parametrize(
    "request_head", [head(2, "Connection: close"), head(2).replace(b"HTTP/1.1", b"HTTP/1.0")], ids=["close", "1.0"]
)
async def test_a_sender_that_wants_its_connection_closed_is_obeyed(running: Running, request_head: bytes) -> None:
    reader, writer = await asyncio.open_connection(HOST, running.receiver.port)
    writer.write(request_head + b"{}")
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    assert b" 200 OK\r\n" in answer
    writer.close()


async def test_an_empty_body_is_taken_too(running: Running) -> None:
    """It cannot be read, so the worker parks it; a refusal would count against the subscription."""
    async with running.post(b"") as response:
        assert response.status == 200
    assert b"200 OK" in await raw(running.receiver.port, head(0))
    assert running.gate.bodies == [b"", b""]


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Bearer " + header(SECRETS[0], COMPANY).removeprefix("Basic "),
        header(SECRETS[0], COMPANY + 1),
        header("another-secret-altogether", COMPANY),
        header(SECRETS[0], COMPANY) + "x",
        "Basic \u00fcml\u00e4ut",
    ],
)
async def test_wrong_credentials_are_401_and_nothing_is_taken(running: Running, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    async with running.post(b"x" * 2 * LIMIT, headers=headers) as response:
        assert response.status == 401, "before size: a stranger learns nothing of our limit"
        assert response.headers["WWW-Authenticate"].startswith("Basic")
    assert running.gate.attempts == 0
    assert running.count(401) == 1


async def test_a_header_that_is_not_even_text_is_401(running: Running) -> None:
    request = head(2).replace(b"Authorization: Basic ", b"Authorization: Basic \xff\xfe") + b"{}"
    assert b" 401 " in await raw(running.receiver.port, request)


@pytest.mark.parametrize("company", ["abc", "0", "-1", "007", "9" * 20, "%31", "", "1/2"])
async def test_what_is_no_company_id_is_like_wrong_credentials(running: Running, company: str) -> None:
    assert b" 401 " in await raw(running.receiver.port, head(2, company=company) + b"{}")
    assert running.gate.attempts == 0


async def test_the_credentials_may_come_in_any_lawful_form(running: Running) -> None:
    """The scheme's case is free, and so is the number of spaces behind it."""
    lower = header(SECRETS[0], COMPANY).replace("Basic", "basic")
    async with running.post(headers={"Authorization": lower}) as response:
        assert response.status == 200
    pair = f"{COMPANY}:{derive(SECRETS[0], COMPANY)}"
    spaced = "Basic  " + base64.b64encode(pair.encode()).decode()
    async with running.post(headers={"Authorization": spaced}) as response:
        assert response.status == 200
    assert running.metrics.value(SECRET_USED, "current") == 2


async def test_an_old_secret_still_verifies_and_is_counted_apart(running: Running) -> None:
    async with running.post(headers={"Authorization": header(SECRETS[1], COMPANY)}) as response:
        assert response.status == 200
    assert running.metrics.value(SECRET_USED, "old-1") == 1
    assert running.metrics.value(SECRET_USED, "current") is None


async def test_a_body_at_the_limit_is_taken_and_one_over_it_is_413(running: Running) -> None:
    async with running.post(b"x" * LIMIT) as response:
        assert response.status == 200
    async with running.post(b"x" * (LIMIT + 1)) as response:
        assert response.status == 413
    assert running.gate.bodies == [b"x" * LIMIT]
    assert b"pipemirror_received_refused_large_total 1.0" in running.metrics.render()


async def test_a_chunked_body_is_counted_while_it_is_read(running: Running) -> None:
    async def pieces(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x" * 1024

    async with running.post(pieces(4)) as response:
        assert response.status == 200
    async with running.post(pieces(5)) as response:
        assert response.status == 413
    assert running.gate.bodies == [b"x" * LIMIT]


async def test_a_compressed_body_is_stored_as_received_even_when_broken(running: Running) -> None:
    """Inflating could fail, and content must never cause a refusal; the limit counts the bytes on the wire."""
    headers = {"Authorization": header(SECRETS[0], COMPANY), "Content-Encoding": "gzip"}
    bodies = [gzip.compress(b"{}" * 10 * LIMIT), b"not gzip at all"]
    for body in bodies:
        async with running.post(body, headers=headers) as response:
            assert response.status == 200
    assert running.gate.bodies == bodies


async def test_a_body_in_pieces_is_put_together(running: Running) -> None:
    reader, writer = await asyncio.open_connection(HOST, running.receiver.port)
    for piece in (head(6), b"ab", b"cd"):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)  # only makes it likelier that the pieces arrive apart
    writer.write(b"ef")
    async with asyncio.timeout(PATIENCE):
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert running.gate.bodies == [b"abcdef"]


async def test_a_sender_that_asks_before_sending_is_told_to_go_on(running: Running) -> None:
    reader, writer = await asyncio.open_connection(HOST, running.receiver.port)
    writer.write(head(2, "Expect: 100-continue"))
    async with asyncio.timeout(PATIENCE):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"{}")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    assert b" 413 " in await raw(running.receiver.port, head(LIMIT + 1, "Expect: 100-continue"))


@pytest.mark.parametrize("begun", [head(100) + b"half", head() + b"5\r\nhal"])
async def test_a_sender_that_leaves_in_the_middle_leaves_nothing_behind(running: Running, begun: bytes) -> None:
    await raw(running.receiver.port, begun, end=True)
    await until(lambda: running.receiver.door._open == 0 and running.count(400) == 1)
    async with running.post(b"next") as response:
        assert response.status == 200
    assert running.gate.bodies == [b"next"]


async def test_a_sender_that_leaves_while_its_event_is_published_changes_nothing_for_the_others(
    running: Running,
) -> None:
    running.gate.open.clear()
    await raw(running.receiver.port, head(4) + b"gone", end=True)
    await until(lambda: running.gate.attempts == 1)
    post = asyncio.ensure_future(running.post(b"stays").__aenter__())
    await until(lambda: running.receiver.door._open == 2)
    running.gate.open.set()
    assert (await asyncio.wait_for(post, PATIENCE)).status == 200
    assert sorted(running.gate.bodies) == [b"gone", b"stays"]


async def test_bodies_that_are_sent_slowly_do_not_fill_the_memory_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is room for one of this size at a time; the next one stays in its socket until then."""
    monkeypatch.setattr(webhook_module, "_READ_AT_ONCE", LIMIT)
    gate = Gate()
    _metrics, receiver = await start(gate)
    first, slow = await asyncio.open_connection(HOST, receiver.port)
    slow.write(head(LIMIT) + b"a")
    await until(lambda: receiver.door._open == 1)
    second, waiting = await asyncio.open_connection(HOST, receiver.port)
    waiting.write(head(LIMIT - 1) + b"b")
    await until(lambda: receiver.door._open == 2)
    waiting.write(b"b" * (LIMIT - 2))
    await waiting.drain()
    async with aiohttp.ClientSession() as client, client.get(f"http://{HOST}:{receiver.port}/livez") as response:
        assert response.status == 200
    assert gate.confirmed == []

    slow.write(b"a" * (LIMIT - 1))
    async with asyncio.timeout(PATIENCE):
        assert b"200 OK" in await first.readuntil(b"\r\n\r\n")
        assert b"200 OK" in await second.readuntil(b"\r\n\r\n")
    assert [len(body) for body in gate.bodies] == [LIMIT, LIMIT - 1]
    slow.close()
    waiting.close()
    await receiver.stop(PATIENCE)


async def test_a_sender_that_never_finishes_is_let_go() -> None:
    _metrics, receiver = await start(Gate(), body_within=0.05)
    try:
        assert b" 408 " in await raw(receiver.port, head(100) + b"half")
    finally:
        await receiver.stop(PATIENCE)


@asynccontextmanager
async def begun_without_room(
    monkeypatch: pytest.MonkeyPatch, *, body_within: float = PATIENCE, room_within: float = PATIENCE
) -> AsyncIterator[tuple[asyncio.StreamReader, AsyncExitStack]]:
    """What answers a complete body that had to wait for room, and all the room there is, to be left."""
    monkeypatch.setattr(webhook_module, "_READ_AT_ONCE", LIMIT)
    _metrics, receiver = await start(Gate(), body_within=body_within, room_within=room_within)
    async with AsyncExitStack() as room:
        await room.enter_async_context(receiver.door._webhook._reading.room(LIMIT))
        reader, writer = await asyncio.open_connection(HOST, receiver.port)
        writer.write(head(2) + b"h")
        await until(lambda: receiver.door._open == 1)
        writer.write(b"i")
        await writer.drain()
        yield reader, room
    writer.close()
    await receiver.stop(PATIENCE)


async def test_waiting_for_room_of_ours_does_not_count_against_the_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    async with begun_without_room(monkeypatch, body_within=0.2) as (reader, room):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                pytest.fail((await reader.readuntil(b"\r\n")).decode())
        await room.aclose()
        async with asyncio.timeout(PATIENCE):
            assert b" 200 " in await reader.readuntil(b"\r\n")


async def test_when_there_is_no_room_in_time_the_answer_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    async with begun_without_room(monkeypatch, room_within=0.05) as (reader, _):
        async with asyncio.timeout(PATIENCE):
            assert b" 503 " in await reader.readuntil(b"\r\n")


async def test_when_nothing_can_take_it_the_answer_is_503_and_readiness_says_why(running: Running) -> None:
    running.gate.failure = QueueUnavailable("the disk is full")
    async with running.post() as response:
        assert response.status == 503
    async with running.client.get(running.base + "/readyz") as response:
        assert response.status == 503
        assert json.loads(await response.read()) == {
            "ready": False,
            "reasons": [{"code": "queue_unavailable", "reason": "the disk is full", "blocking": True}],
        }
    running.gate.failure = None
    async with running.post() as response:
        assert response.status == 200
    async with running.client.get(running.base + "/readyz") as response:
        assert (response.status, json.loads(await response.read())) == (200, {"ready": True, "reasons": []})


async def test_it_tells_that_it_lives_and_what_it_measured(running: Running) -> None:
    async with running.post(b"x" * 300) as response:
        assert response.status == 200
    async with running.client.get(running.base + "/livez") as response:
        assert response.status == 200
    async with running.client.get(running.base + "/metrics") as response:
        assert response.content_type == "text/plain"
        text = await response.text()
    assert 'pipemirror_received_total{status="200"} 1.0' in text
    assert 'pipemirror_body_bytes_bucket{le="512.0"} 1.0' in text
    assert "pipemirror_ack_seconds_count 1.0" in text
    assert running.metrics.value(BODY_BYTES) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("POST", "/", 404), ("POST", "/metrics", 404), ("PUT", f"/webhooks/{COMPANY}", 405)],
)
async def test_other_addresses_and_methods_are_refused(running: Running, method: str, path: str, status: int) -> None:
    async with running.client.request(method, running.base + path) as response:
        assert response.status == status


async def test_many_at_once_are_each_stored_once(running: Running) -> None:
    async def one(number: int) -> int:
        async with running.post(b"%d" % number) as response:
            return response.status

    assert set(await asyncio.gather(*(one(number) for number in range(500)))) == {200}
    assert sorted(running.gate.bodies) == sorted(b"%d" % number for number in range(500))
    assert running.gate.attempts < 500, "they shared bundles"


async def test_stopping_finishes_open_requests_and_takes_no_new_ones() -> None:
    gate = Gate()
    _metrics, receiver = await start(gate)
    gate.open.clear()
    reader, slow = await asyncio.open_connection(HOST, receiver.port)
    slow.write(head(4) + b"lo")  # its body is not complete when the stop begins
    await slow.drain()
    answer = asyncio.create_task(raw(receiver.port, head(4) + b"open"))
    await until(lambda: gate.attempts == 1 and receiver.door._open == 2)
    stop = asyncio.create_task(receiver.stop(PATIENCE))
    await until(lambda: receiver.door._stopping)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, receiver.port)
    slow.write(b"ng")
    gate.open.set()
    got = await answer
    assert b"200 OK" in got
    assert b"connection: close" in got.lower()
    async with asyncio.timeout(PATIENCE):
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    assert await asyncio.wait_for(stop, PATIENCE)
    assert sorted(gate.bodies) == [b"long", b"open"]
    assert gate.closed
    slow.close()


async def test_stopping_ends_also_when_nothing_is_confirmed_any_more() -> None:
    gate = Gate()
    gate.open.clear()
    _metrics, receiver = await start(gate)
    answer = asyncio.create_task(raw(receiver.port, head(4) + b"lost"))
    await until(lambda: gate.attempts == 1)
    clean = await asyncio.wait_for(receiver.stop(0.1), PATIENCE)
    assert not clean
    assert b" 503 " in await answer
    assert gate.closed


async def test_several_receivers_share_one_port(running: Running) -> None:
    _metrics, second = await start(Gate(), port=running.receiver.port)
    assert second.port == running.receiver.port
    assert await second.stop(PATIENCE)
    async with running.post() as response:
        assert response.status == 200


async def test_readiness_hears_checks_that_are_added_after_the_door_was_made() -> None:
    """In `up` the worker starts after the receiver and adds its own."""
    metrics = Metrics()
    outlet = Outlet(Ways(Gate(), metrics=metrics), lanes=1, metrics=metrics)
    checks: list[Check] = [outlet.conditions]
    webhook = Webhook(outlet.put, SECRETS, max_body_bytes=LIMIT, metrics=metrics)
    receiver = await serve(Door(webhook, checks, metrics), outlet, host=HOST, port=0)
    checks.append(lambda: [Condition("database_unavailable", "gone")])
    async with aiohttp.ClientSession() as client, client.get(f"http://{HOST}:{receiver.port}/readyz") as answer:
        assert answer.status == 503
        assert "database_unavailable" in await answer.text()
    await receiver.stop(PATIENCE)


async def test_refused_credentials_are_told_once_a_minute(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets a webhook up must see that its password is wrong; whoever attacks must not fill the disk."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(webhook_module._log, "warning", lambda name, **fields: told.append({"name": name} | fields))
    for _ in range(3):
        async with running.post(headers={"Authorization": "Basic wrong"}) as answer:
            assert answer.status == 401
    assert [(line["name"], line["last_company_id"]) for line in told] == [("credentials_refused", COMPANY)]


async def test_refused_events_are_told_once_a_minute_and_code(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full gets no fuller by our telling of it."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(webhook_module._log, "warning", lambda name, **fields: told.append({"name": name} | fields))
    for problem in (SpoolUnavailable("the disk is full"), QueueUnavailable("stopping"), SpoolUnavailable("still")):
        running.gate.failure = problem
        for _ in range(3):
            async with running.post() as answer:
                assert answer.status == 503
    assert [(line["name"], line["code"], line["refused"]) for line in told] == [
        ("refused", "spool_unavailable", 1),
        ("refused", "queue_unavailable", 1),
    ]
    assert running.count(503) == 9
