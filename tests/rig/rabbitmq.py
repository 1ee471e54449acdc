"""A RabbitMQ for the tests: one that is there, or a private throw-away node.

In this order: an installed rabbitmq-server, run as the current user in a temporary folder; a container; AMQP_URL; a
server on 127.0.0.1:5672 that takes guest/guest; what apt-get can install; else one line that says what to run. A node
of our own comes first because tests kill, freeze and restart it, which they cannot do to somebody else's broker.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final
from urllib.parse import quote

import aio_pika
from rig.rabbitmq_node import Container, Node

from schema.topology import DEAD_EXCHANGE, EXCHANGE, queues

LOCAL: Final = "amqp://guest:guest@127.0.0.1:5672/"
INSTALL: Final = "run `apt-get install --no-install-recommends rabbitmq-server`"
MISSING: Final = f"no RabbitMQ: {INSTALL}, or set AMQP_URL to one that tests may use"
_SCRIPTS: Final = ("/usr/lib/rabbitmq/bin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/sbin")
_MOST_LANES: Final = 16


class Uncontrolled(RuntimeError):
    """The broker is somebody else's: it cannot be restarted, killed or frozen by a test."""


class Broker:
    """A broker and, when it is ours, the means to hurt it. `service` is None for one that is somebody else's."""

    def __init__(self, url: str, service: Node | Container | None) -> None:
        self.url = url
        self._service = service
        self._numbers = count(1)

    @property
    def controlled(self) -> bool:
        return self._service is not None

    def version(self) -> str:
        return "" if self._service is None else self._service.control("version").strip()

    async def new_vhost(self) -> str:
        """The URL of an empty vhost; of a broker that is not ours, its own vhost with our queues deleted."""
        if self._service is None:
            await _delete_topology(self.url)
            return self.url
        name = f"test-{next(self._numbers)}"
        quoted = f'<<"{name}">>'
        await self._control(
            "eval",
            f'rabbit_vhost:add({quoted}, <<"test">>),'
            f'rabbit_auth_backend_internal:set_permissions(<<"guest">>, {quoted}, <<".*">>, <<".*">>, <<".*">>, <<>>).',
        )
        return self.url.rstrip("/") + "/" + quote(name)

    async def restart(self) -> None:
        """Stop in good order and start again; return once it takes connections."""
        await asyncio.to_thread(self._ours().stop)
        await self.start()

    async def kill9(self) -> None:
        await asyncio.to_thread(self._ours().kill9)

    async def start(self) -> None:
        """Start again what was killed; return once it takes connections."""
        await asyncio.to_thread(self._ours().start)

    async def close_all_connections(self) -> None:
        await self._control("close_all_connections", "--global", "closed by a test")

    async def block_publishers(self) -> None:
        """Raise the memory alarm: publishing connections get connection.blocked."""
        await self._control("set_vm_memory_high_watermark", "absolute", "1")

    async def unblock_publishers(self) -> None:
        await self._control("set_vm_memory_high_watermark", "0.4")

    async def fill_disk(self) -> None:
        """Raise the disk alarm: as if less were free than the limit."""
        await self._control("set_disk_free_limit", "100000GB")

    async def free_disk(self) -> None:
        await self._control("set_disk_free_limit", "50MB")

    def freeze(self) -> None:
        """Connections stay open and nothing answers."""
        self._ours().freeze()

    def thaw(self) -> None:
        self._ours().thaw()

    async def revive(self) -> None:
        """Undo whatever a test did that ended half-way."""
        if not self._ours().running:
            await self.start()
        self.thaw()
        await self.unblock_publishers()
        await self.free_disk()

    def _ours(self) -> Node | Container:
        if self._service is None:
            raise Uncontrolled(f"this test kills and restarts its broker and needs one of its own: {INSTALL}")
        return self._service

    async def _control(self, *arguments: str) -> str:
        return await asyncio.to_thread(self._ours().control, *arguments)


@asynccontextmanager
async def rabbitmq(folder: Path) -> AsyncIterator[Broker]:
    """A broker that is ready; a private one lives in `folder` and ends with this context, or with this process."""
    service = await asyncio.to_thread(_found, folder)
    given = os.environ.get("AMQP_URL")
    if service is None and (given or await _answers(LOCAL)):
        yield Broker(given or LOCAL, None)
        return
    service = service or await asyncio.to_thread(_freshly_installed, folder)
    if service is None:
        raise RuntimeError(MISSING)
    try:
        await asyncio.to_thread(service.start)
        yield Broker(service.url, service)
    finally:
        await asyncio.to_thread(service.end)


def _found(folder: Path) -> Node | Container | None:
    return _installed(folder) or _container(folder)


def _installed(folder: Path) -> Node | None:
    # The rabbitmq-server of /usr/sbin is Debian's wrapper, which insists on the users root or rabbitmq.
    candidates = [Path(scripts) for scripts in _SCRIPTS]
    if on_path := shutil.which("rabbitmq-server"):
        candidates.append(Path(on_path).resolve().parent)
    for scripts in candidates:
        if (scripts / "rabbitmq-server").exists() and (scripts / "rabbitmq-env").exists():
            return Node(scripts, folder)
    return None


def _container(_: Path) -> Container | None:
    if shutil.which("docker") is None:
        return None
    engine = subprocess.run(["docker", "info"], capture_output=True, check=False)
    return Container() if engine.returncode == 0 else None


def _freshly_installed(folder: Path) -> Node | None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    # Exit code 101 of policy-rc.d tells Debian's install scripts to start no service.
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        for step in (["update"], ["install", "-y", "--no-install-recommends", "rabbitmq-server"]):
            quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(["apt-get", "-q", *step], capture_output=True, check=False, env=quiet)
    finally:
        if ours:
            policy.unlink()
    return _installed(folder)


async def _answers(url: str) -> bool:
    with suppress(Exception):
        async with asyncio.timeout(2):
            connection = await aio_pika.connect(url)
            await connection.close()
            return True
    return False


async def _delete_topology(url: str) -> None:
    connection = await aio_pika.connect(url, timeout=5)
    async with connection:
        channel = await connection.channel()
        for queue in queues(_MOST_LANES):
            # Refused by the broker while it holds messages: they may be somebody's events.
            await channel.queue_delete(queue.name, if_empty=True)
        for exchange in (EXCHANGE, DEAD_EXCHANGE):
            await channel.exchange_delete(exchange)
