"""What the doctor says of settings and clocks, and by what it knows a pooler that gives out transactions."""

from collections.abc import Iterator
from contextlib import asynccontextmanager
from itertools import count, cycle
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from cli.doctor.finding import Finding, guarded
from cli.doctor.of_database import pooler, skew
from cli.doctor.of_settings import of_disk, of_settings
from runtime.settings import Settings
from runtime.spool.file import SpoolFile
from runtime.spool.lease import Lease
from schema.errors import QueueUnavailable


class Session:
    """A connection to a fake: each transaction runs in the next of `sessions`."""

    def __init__(self, sessions: Iterator[int]) -> None:
        self._sessions = sessions
        self._pid = 0

    @asynccontextmanager
    async def transaction(self) -> Any:
        self._pid = next(self._sessions)
        yield

    async def fetchval(self, query: str) -> int:
        assert query == "SELECT pg_backend_pid()"
        return self._pid

    async def close(self) -> None: ...


async def test_two_clients_in_one_session_are_told_as_a_pooler() -> None:
    busy_at_first = iter([1, 2, 1, 1])

    async def connect() -> Session:
        return Session(busy_at_first)

    found = await pooler(connect)
    assert (found.verdict, "transaction mode" in found.found) == ("fail", True)
    assert "session mode" in found.advice


async def test_a_session_each_is_no_pooler() -> None:
    pids = count(1)

    async def connect() -> Session:
        return Session(cycle([next(pids)]))

    assert (await pooler(connect)).verdict == "ok"


@pytest.mark.parametrize(("ahead", "verdict"), [(0.3, "ok"), (-1.9, "ok"), (2.1, "warn"), (-40.0, "warn")])
def test_a_clock_that_differs_by_more_than_two_seconds_is_told(ahead: float, verdict: str) -> None:
    assert skew("clock", ahead).verdict == verdict


def verdicts(settings: Settings) -> dict[str, str]:
    return {finding.name: finding.verdict for finding in of_settings(settings)}


def test_a_worker_beside_a_broker_needs_neither_secret_nor_address(tmp_path: Path) -> None:
    found = verdicts(Settings(data_dir=tmp_path, amqp_url=SecretStr("amqp://broker/")))
    assert (found["WEBHOOK_SECRET"], found["PUBLIC_URL"]) == ("not applicable", "not applicable")


def test_an_address_that_pipedrive_cannot_reach_is_told(tmp_path: Path) -> None:
    def of(url: str | None) -> str:
        return verdicts(Settings(data_dir=tmp_path, public_url=url))["PUBLIC_URL"]

    assert (of(None), of("http://127.0.0.1:8080"), of("https://mirror.example.com")) == ("warn", "warn", "ok")


async def spools(tmp_path: Path, **settings: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in await of_disk(Settings(data_dir=tmp_path, **settings))}


async def test_spools_that_hold_messages_or_are_damaged_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    for name, messages in (("0", 0), ("1", 2), ("2", 3)):
        file = SpoolFile.create(folder / f"{name}.spool")
        file.append([("lane.0", b"x")] * messages)
        file.close()
    (folder / "3.spool.corrupt").write_bytes(b"?")
    lease = Lease.acquire(folder / "2.lease")
    broker = SecretStr("amqp://broker/")
    found = await spools(tmp_path, amqp_url=broker)
    assert found["DATA_DIR"].verdict == "ok"
    assert found["spool 0.spool"].verdict == "ok"
    assert (found["spool 1.spool"].verdict, "no process" in found["spool 1.spool"].found) == ("warn", True)
    assert (found["spool 2.spool"].verdict, "no process" in found["spool 2.spool"].found) == ("warn", False)
    assert (found["spool"].verdict, "3.spool.corrupt" in found["spool"].found) == ("warn", True)
    assert (await spools(tmp_path))["spool 2.spool"].verdict == "ok", "without a broker it is the queue"
    assert lease is not None
    lease.release()


async def test_a_check_that_ends_by_an_error_is_a_finding() -> None:
    async def broken() -> list[Finding]:
        raise QueueUnavailable("no RabbitMQ answers")

    async def crashed() -> list[Finding]:
        raise ValueError("hunter2")

    (found,) = await guarded("RabbitMQ", broken)
    assert (found.verdict, found.found) == ("fail", "no RabbitMQ answers")
    (found,) = await guarded("RabbitMQ", crashed)
    assert found.verdict == "fail"
    assert "hunter2" not in found.found
