"""What strangers get to see of a listening process, and how long they may keep it busy."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from runtime import http
from runtime.health import Check, Condition
from runtime.measurements import HTTP_MALFORMED
from runtime.metrics import Metrics
from worker import health

HOST = "127.0.0.1"


@dataclass
class Listening:
    port: int
    metrics: Metrics
    checks: list[Check]

    async def said(self, request: bytes, *, within: float = 10.0) -> bytes:
        """All that is answered until the connection is closed from there."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        writer.write(request)
        try:
            return await asyncio.wait_for(reader.read(), within)
        finally:
            writer.close()

    async def asked(self, path: str) -> tuple[bytes, bytes]:
        """Head and body of the answer."""
        head, _, body = (
            await self.said(f"GET {path} HTTP/1.1\r\nHost: us\r\nConnection: close\r\n\r\n".encode())
        ).partition(b"\r\n\r\n")
        return head, body


@pytest.fixture
async def listening(tmp_path: Path) -> AsyncIterator[Listening]:
    metrics, checks = Metrics(), list[Check]()
    runner = await health.serve(checks, metrics, host=HOST, port=0, fixed=True, note=tmp_path / "port")
    yield Listening(runner.addresses[0][1], metrics, checks)
    await runner.cleanup()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: five\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"hello\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_counted_and_makes_no_noise(
    listening: Listening, nonsense: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answers = [await listening.said(nonsense) for _ in range(5)]
    assert all(answer.startswith(b"HTTP/1.") and b" 400 " in answer for answer in answers)
    assert listening.metrics.value(HTTP_MALFORMED) == 5
    told = [record for record in caplog.records if record.name == "aiohttp.server" or record.exc_info]
    assert told == []
    assert caplog.text.count("http_malformed") <= 1


@pytest.mark.parametrize("request_line", [b"GET /livez HTTP/1.1", b"GET /nothing HTTP/1.1", b"nonsense"])
async def test_no_answer_names_the_libraries(listening: Listening, request_line: bytes) -> None:
    answer = await listening.said(request_line + b"\r\nHost: us\r\nConnection: close\r\n\r\n")
    assert b"Server: pipemirror\r\n" in answer
    assert b"aiohttp" not in answer.lower()
    assert b"python" not in answer.lower()


@pytest.mark.parametrize("begun", [b"", b"POST /webhooks/1 HTTP/1.1\r\nHost: x\r\n"])
async def test_who_does_not_finish_its_headers_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(http, "IDLE_SECONDS", 0.2)
    runner = await health.serve([], Metrics(), host=HOST, port=0, fixed=True, note=tmp_path / "port")
    assert await Listening(runner.addresses[0][1], Metrics(), []).said(begun) == b""
    await runner.cleanup()


async def test_readiness_names_each_reason_and_is_red_only_for_those_that_block(listening: Listening) -> None:
    head, body = await listening.asked("/readyz")
    assert head.startswith(b"HTTP/1.1 200")
    assert orjson.loads(body) == {"ready": True, "reasons": []}

    listening.checks.append(lambda: [Condition("clock_skew", "the clock is ahead", blocking=False)])
    head, body = await listening.asked("/readyz")
    assert head.startswith(b"HTTP/1.1 200")
    skew = {"code": "clock_skew", "reason": "the clock is ahead", "blocking": False}
    assert orjson.loads(body) == {"ready": True, "reasons": [skew]}

    listening.checks.append(lambda: [Condition("database_silent", "no answer")])
    head, body = await listening.asked("/readyz")
    assert head.startswith(b"HTTP/1.1 503")
    silent = {"code": "database_silent", "reason": "no answer", "blocking": True}
    assert orjson.loads(body) == {"ready": False, "reasons": [skew, silent]}


async def test_a_check_that_crashes_is_a_reason_of_its_own(listening: Listening) -> None:
    """Else the question whether all is well would be answered by a stack trace, or worse, by the rest."""

    def crashes() -> list[Condition]:
        raise KeyError("a bug")

    listening.checks += [crashes, lambda: [Condition("clock_skew", "the clock is ahead", blocking=False)]]
    head, body = await listening.asked("/readyz")
    assert head.startswith(b"HTTP/1.1 503")
    assert [reason["code"] for reason in orjson.loads(body)["reasons"]] == ["check_crashed", "clock_skew"]


async def test_a_scrape_has_the_process_its_release_and_our_numbers(listening: Listening) -> None:
    _, body = await listening.asked("/metrics")
    for name in (b"process_resident_memory_bytes ", b"process_cpu_seconds_total ", b"process_open_fds "):
        assert name in body
    assert b'pipemirror_build_info{python="3.' in body
    assert b"pipemirror_http_malformed_total 0.0" in body
