"""What a benchmark stands on: a private RabbitMQ, a private Postgres with fsync, processes as they are shipped."""

import asyncio
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import IO, Final

import aio_pika
import orjson
import psutil
from rig.postgres import OLDEST, Server
from rig.processes import SECRET, Installation, Role, installation
from rig.rabbitmq import Broker, rabbitmq

from bench.load import Order, Seen
from bench.processes import Cores, below_us, cores, family, pin, started_as
from bench.workload import Template, heads, write
from cli import embedded
from schema.topology import queues

EMBEDDED: Final = "18"
_DEBIAN: Final = Path("/usr/lib/postgresql")
_CHECKOUT: Final = Path(__file__).parents[1]
_GRACE_SECONDS: Final = 120.0


class Ground:
    """Services, each started when it is first asked for, and a folder that goes with them."""

    def __init__(self, folder: Path, opened: AsyncExitStack, postgres: str) -> None:
        self.folder = folder
        self.cores: Cores = cores()
        self.facts: dict[str, str] = {}
        self._opened = opened
        self._version = postgres
        self._broker: Broker | None = None
        self._amqp_url = ""
        self._postgres: embedded.EmbeddedPostgres | None = None
        self._oldest: embedded.EmbeddedPostgres | None = None
        self._numbers = count(1)

    def new_folder(self) -> Path:
        found = self.folder / str(next(self._numbers))
        found.mkdir()
        found.chmod(0o711)
        return found

    async def amqp_url(self) -> str:
        """An empty vhost of the private broker, always the same one: see `purge`."""
        if self._broker is None:
            self._broker = await self._opened.enter_async_context(rabbitmq(self.folder / "rabbitmq"))
            self._amqp_url = await self._broker.new_vhost()
            self.facts["RabbitMQ"] = await _broker_version(self._amqp_url)
        return self._amqp_url

    async def postgres(self) -> Server:
        """Our own server, with the settings it is shipped with: fsync is on."""
        if self._postgres is None:
            self._postgres = await self._started(self._version, "postgres")
            self.facts["Postgres"] = _described(self._version)
        return _server(self._version, self._postgres)

    async def oldest_postgres(self) -> Server:
        """Likewise, of the oldest version that is supported; of the usual one where Debian's is not installed."""
        if self._version == str(OLDEST) or not (_DEBIAN / str(OLDEST)).exists():
            return await self.postgres()
        if self._oldest is None:
            self._oldest = await self._started(str(OLDEST), "oldest")
            self.facts["Postgres of full loads"] = _described(str(OLDEST))
        return _server(str(OLDEST), self._oldest)

    async def _started(self, version: str, name: str) -> embedded.EmbeddedPostgres:
        binaries = None if version == EMBEDDED else _DEBIAN / version / "bin"
        started = await asyncio.to_thread(embedded.start, self.folder / name, binaries=binaries)
        self._opened.callback(started.stop)
        return started

    @property
    def postgres_pid(self) -> int:
        assert self._postgres is not None, "not started"
        return self._postgres.pid

    def place(self, *, measured: psutil.Process | None) -> None:
        """Give `measured` a core to itself and the services the others; None: everything may run everywhere."""
        shared = self.cores.all if measured is None else self.cores.others
        pin(below_us("beam"), shared)
        for server in filter(None, (self._postgres, self._oldest)):
            pin(family(psutil.Process(server.pid)), shared)
        if measured is not None:
            pin([measured], self.cores.measured)

    @asynccontextmanager
    async def installed(self, database_url: str, *, broker: bool) -> AsyncIterator[Installation]:
        """Processes that share a new DATA_DIR and end with this context."""
        amqp_url = await self.amqp_url() if broker else None
        folder = self.new_folder()
        try:
            async with installation(folder, database_url, amqp_url) as found:
                yield found
        finally:
            shutil.rmtree(folder)

    async def purge(self) -> None:
        """Empty the broker's queues."""
        connection = await aio_pika.connect(await self.amqp_url())
        async with connection:
            channel = await connection.channel()
            for queue in queues(1):
                with suppress(aio_pika.exceptions.ChannelNotFoundEntity):
                    await (await channel.get_queue(queue.name)).purge()

    def save(self, name: str, templates: list[Template]) -> str:
        """The file of these templates, for an `Order`."""
        path = self.folder / name
        write(path, templates)
        return str(path)

    async def load(self, order: Order, *, on: frozenset[int] | None = None) -> Seen:
        """Run the load generator, on those cores if any are named."""
        printed = await run_module("bench.load", orjson.dumps(asdict(order)).decode(), on=on, within=_within(order))
        return Seen(**orjson.loads(printed))


def _described(version: str) -> str:
    whose = "embedded" if version == EMBEDDED else "Debian's"
    return f"{version}, {whose}, default settings (fsync on), over a Unix socket"


def _server(version: str, started: embedded.EmbeddedPostgres) -> Server:
    return Server(version, started.admin_dsn, started.dsn)


def authorized(companies: range) -> dict[str, str]:
    return heads(companies, SECRET)


def process_of(role: Role) -> psutil.Process:
    return started_as("-m", "cli", role.name)


async def run_module(module: str, *arguments: str, on: frozenset[int] | None = None, within: float) -> str:
    """Run a module of ours as a process; what it printed. Raise RuntimeError with what it complained of."""
    process = await start_module(module, *arguments, on=on)
    try:
        async with asyncio.timeout(within):
            out, complaint = await process.communicate()
    finally:
        await end(process)
    if process.returncode != 0:
        raise RuntimeError(f"{module}: {complaint.decode()[-2000:]}")
    return out.decode()


async def start_module(module: str, *arguments: str, on: frozenset[int] | None = None) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        cwd=_CHECKOUT, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    if on is not None:
        pin([psutil.Process(process.pid)], on)
    return process


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


@asynccontextmanager
async def ground(postgres: str = EMBEDDED) -> AsyncIterator[Ground]:
    """Everything that was started ends with this context, and its files go. Waits until nobody else measures."""
    with await asyncio.to_thread(_alone):
        folder = _made()
        try:
            async with AsyncExitStack() as opened:
                yield Ground(folder, opened, postgres)
        finally:
            shutil.rmtree(folder)


def _alone() -> IO[bytes]:
    """A lock that is held until it is closed: two benchmarks at once would measure each other."""
    lock = (Path(tempfile.gettempdir()) / f"pipemirror-bench-{os.getuid()}.lock").open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _made() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pipemirror-bench-"))
    folder.chmod(0o711)  # as root, Postgres runs under another account and must find its way
    return folder


def _within(order: Order) -> float:
    return order.warm_up + order.seconds + order.requests / 200 + _GRACE_SECONDS


async def _broker_version(url: str) -> str:
    connection = await aio_pika.connect(url)
    async with connection:
        properties = connection.transport.connection.server_properties if connection.transport else {}
        version = properties.get("version", "unknown")
    return f"{version.decode() if isinstance(version, bytes) else version}, one node, quorum queue"
