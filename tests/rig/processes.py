"""The real processes, as a person starts them: `python -m cli receiver`, `worker`, `up`, and the commands."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import aiohttp
import orjson
from cryptography.fernet import Fernet
from rig.kept import Kept, free_ports
from rig.waiting import until

from schema.credentials import header

HOST: Final = "127.0.0.1"
SECRET: Final = "the-master-secret-of-the-system-tests"
_A_KEY: Final = Fernet.generate_key().decode()
CHECKOUT: Final = Path(__file__).parents[2]
_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


class Role:
    """One long-running process; started again after its end, it keeps its port and its log."""

    def __init__(self, name: str, environment: Mapping[str, str], port: int, log: Path) -> None:
        self.name = name
        self.port = port
        self._environment = environment
        self._log = log
        self._kept: Kept | None = None

    @property
    def running(self) -> bool:
        return self._kept is not None and self._kept.running

    @property
    def log(self) -> str:
        """Everything it has said so far, over all its starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def logged(self) -> list[dict[str, Any]]:
        """The lines of the log that are JSON, as all should be but those of our keeper and of a crashed interpreter."""
        return [orjson.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    async def start(self) -> None:
        """Return when it is ready."""
        await self.launch()
        await self.until_ready()

    async def launch(self) -> None:
        """Return at once: it may never become ready."""
        await self.close()
        command = [sys.executable, "-m", "cli", self.name]
        self._kept = await asyncio.to_thread(Kept, command, self._environment, self._log)

    async def until_ready(self, within: float = _READY_SECONDS) -> None:
        def ended() -> str | None:
            return None if self.running else f"{self.name} ended instead of becoming ready:\n{self.log[-3000:]}"

        await until(lambda: self._answers(200), within=within, fails_when=ended, what=f"{self.name} ready")

    async def until_not_ready(self, code: str, within: float = 30.0) -> None:
        """Wait for /readyz to answer 503 and to name `code`."""
        await until(lambda: self._answers(503, code), within=within, what=f"{self.name} says {code}")

    async def readiness(self) -> tuple[int, set[str]]:
        """Status and codes of /readyz; status 0 when nobody listens."""
        try:
            async with _session() as session, session.get(f"http://{HOST}:{self.port}/readyz") as answer:
                return answer.status, {reason["code"] for reason in orjson.loads(await answer.read())["reasons"]}
        except (aiohttp.ClientError, TimeoutError):
            return 0, set()

    async def metrics(self) -> str:
        async with _session() as session, session.get(f"http://{HOST}:{self.port}/metrics") as answer:
            return await answer.text()

    def signal(self, number: int) -> None:
        self._mine().signal(number)

    async def kill9(self) -> None:
        await asyncio.to_thread(self._mine().kill9)
        await self.close()

    async def terminate(self, within: float = _STOP_SECONDS) -> int:
        """SIGTERM; the exit code. Raise TimeoutExpired when it does not end in time."""
        kept = self._mine()
        kept.signal(signal.SIGTERM)
        return await self.ended(within)

    async def ended(self, within: float = _STOP_SECONDS) -> int:
        """The exit code of a process that ends by itself."""
        kept = self._mine()
        code = await asyncio.to_thread(kept.wait, within)
        await self.close()
        return code

    async def close(self) -> None:
        if self._kept is not None:
            await asyncio.to_thread(self._kept.end)
            self._kept = None

    async def _answers(self, status: int, code: str | None = None) -> bool:
        found, codes = await self.readiness()
        return found == status and (code is None or code in codes)

    def _mine(self) -> Kept:
        assert self._kept is not None, f"{self.name} was not started"
        return self._kept


@dataclass
class Installation:
    """One deployment: the settings that its processes share, and those of them that were started.

    Without `amqp_url` it works by the spool, on which one process does all.
    """

    folder: Path
    database_url: str
    amqp_url: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    roles: list[Role] = field(default_factory=list)
    port: int = field(default_factory=lambda: free_ports(1)[0])
    """Where the receivers listen, all on the same one."""

    def url(self, company_id: int) -> str:
        return f"http://{HOST}:{self.port}/webhooks/{company_id}"

    def authorization(self, company_id: int) -> dict[str, str]:
        return {"Authorization": header(SECRET, company_id)}

    def connects_to(self, api_url: str, token: str, **settings: str) -> None:
        """From now on its processes have what a person sets to mirror an account. They may ask as much as they like."""
        self.settings |= {
            "PIPEDRIVE_API_URL": api_url,
            "PIPEDRIVE_API_TOKEN": token,
            "PIPEDRIVE_TOKEN_SHARE": "1",
            "PIPEDRIVE_DAILY_TOKENS": "1000000",
            "PUBLIC_URL": f"http://{HOST}:{self.port}",
            "ENCRYPTION_KEYS": _A_KEY,
            **settings,
        }

    async def running(self, *, workers: int = 1) -> list[Role]:
        """Start what takes events in, first of the list, and what applies them, last: on the spool one process."""
        if self.amqp_url is None:
            return [await self.up()]
        return list(await asyncio.gather(self.receiver(), *(self.worker() for _ in range(workers))))

    async def up(self) -> Role:
        return await self._started("up", self.port)

    async def receiver(self) -> Role:
        return await self._started("receiver", self.port)

    async def worker(self) -> Role:
        return await self._started("worker", free_ports(1)[0])

    def role(self, name: str, port: int, settings: Mapping[str, str] = MappingProxyType({})) -> Role:
        """A process that is not started yet; `settings` are its own."""
        ports = {"RECEIVER_PORT": str(self.port), "WORKER_METRICS_PORT": str(port)}
        environment = {**self.environment, **ports, **settings}
        role = Role(name, environment, port, self.folder / f"{name}-{len(self.roles)}.log")
        self.roles.append(role)
        return role

    @property
    def workers(self) -> list[Role]:
        return [role for role in self.roles if role.name == "worker"]

    @property
    def log(self) -> str:
        return "\n".join(role.log for role in self.roles)

    @property
    def environment(self) -> dict[str, str]:
        ours = {
            "DATABASE_URL": self.database_url,
            "WEBHOOK_SECRET": SECRET,
            "DATA_DIR": str(self.folder / "data"),
            "RECEIVER_PORT": str(self.port),
            "PYTHONPATH": str(CHECKOUT),
        }
        broker = {} if self.amqp_url is None else {"AMQP_URL": self.amqp_url}
        return {**os.environ, **ours, **broker, **self.settings}

    async def run(self, *arguments: str, within: float = 60.0, **settings: str) -> Ran:
        """Run a command to its end. An empty setting counts as not set."""
        process = await self.start(*arguments, **settings)
        try:
            async with asyncio.timeout(within):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Ran(process.returncode or 0, out.decode(), err.decode())

    async def start(self, *arguments: str, **settings: str) -> asyncio.subprocess.Process:
        """A command under way; whoever started it waits for its end."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli", *arguments,
            env=self.environment | settings,
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def close(self) -> None:
        await asyncio.gather(*(role.close() for role in self.roles))

    async def _started(self, name: str, port: int) -> Role:
        role = self.role(name, port)
        await role.start()
        return role


@asynccontextmanager
async def installation(folder: Path, database_url: str, amqp_url: str | None) -> AsyncIterator[Installation]:
    """An installation whose processes end with this context, or with us, however we end."""
    found = Installation(folder, database_url, amqp_url)
    try:
        yield found
    finally:
        await found.close()


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
