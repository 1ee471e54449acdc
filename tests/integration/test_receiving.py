"""A receiver put together from the settings: whatever fails on the way, what was begun is closed."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from cli import roles
from runtime.settings import Settings
from runtime.spool import SpoolWriter
from schema.errors import Misconfigured

HOST = "127.0.0.1"


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was closed, in order."""
    found: list[str] = []

    class Spool(SpoolWriter):
        async def close(self) -> None:
            found.append("spool")
            await super().close()

    class Broker:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        async def start(self) -> None:
            raise Misconfigured("the broker does not let us in")

        async def close(self) -> None:
            found.append("broker")

    monkeypatch.setattr(roles, "SpoolWriter", Spool)
    monkeypatch.setattr(roles, "AmqpPublisher", Broker)
    return found


def process(folder: Path, **settings: Any) -> roles.Process:
    known = {"data_dir": folder, "database_url": None, "amqp_url": None, "receiver_host": HOST}
    return roles.Process(Settings(**(known | settings)), asyncio.Event())


async def test_a_port_that_is_taken_leaves_no_spool_behind(tmp_path: Path, closed: list[str]) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match="RECEIVER_PORT"):
            async with roles.receiving(process(tmp_path), port=port):
                pass
    assert closed == ["spool"]


async def test_an_address_that_is_not_of_this_machine_is_not_told_to_be_a_taken_port(tmp_path: Path) -> None:
    for elsewhere in ("no-such-host.invalid", "192.0.2.1"):
        with pytest.raises(Misconfigured, match=f"RECEIVER_HOST: .*{elsewhere}"):
            async with roles.receiving(process(tmp_path, receiver_host=elsewhere), port=0):
                pass


async def test_a_broker_that_cannot_be_begun_leaves_nothing_behind(tmp_path: Path, closed: list[str]) -> None:
    settings = {"amqp_url": f"amqp://a:b@{HOST}/", "webhook_secret": "x" * 32}
    with pytest.raises(Misconfigured, match="does not let us in"):
        async with roles.receiving(process(tmp_path, **settings), port=0):
            pass
    assert closed == ["broker", "spool"]


async def test_a_receiver_that_listens_closes_its_spool_once(tmp_path: Path, closed: list[str]) -> None:
    async with roles.receiving(process(tmp_path), port=0) as receiver:
        assert receiver.port
        assert closed == []
    assert closed == ["spool"]
