"""Postgres servers for the tests: private clusters without fsync, or the one that TEST_DATABASE_URL names.

"18" is the embedded one and always there; an older one that Debian installed (15 is the oldest we support) is used
where it is found. The tests work as a role that owns its databases and is no superuser.
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg.sql import SQL, Identifier

from cli import embedded

EMBEDDED: Final = "18"
EXTERNAL: Final = "external"
OLDEST: Final = 15
MISSING: Final = "no Postgres: run `make venv`, or set TEST_DATABASE_URL to one with a role that may create databases"

_DEBIAN: Final = Path("/usr/lib/postgresql")
_UNSAFE_AND_FAST: Final = {"fsync": "off", "full_page_writes": "off", "max_connections": "200"}
_STOP_SECONDS: Final = 30.0
_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 2 * 1024**3


class Server:
    """A server and two ways in: `admin_dsn` may create databases, `role` owns the databases of the tests."""

    def __init__(self, version: str, admin_dsn: str, dsn: str) -> None:
        self.version = version
        self.admin_dsn = admin_dsn
        self._dsn = dsn
        self._numbers = count(1)
        self._templates: dict[str, str] = {}

    @property
    def role(self) -> str:
        return urlsplit(self._dsn).username or ""

    def new_database(self, template: str = "template1") -> str:
        """The DSN of a database of its own, owned by `role`."""
        name = f"test_{next(self._numbers)}_{secrets.token_hex(4)}"
        create = SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
        self._administer(create.format(Identifier(name), Identifier(self.role), Identifier(template)))
        return self.dsn_of(name)

    def template(self, key: str, prepare: Callable[[str], None]) -> str:
        """The name of a database that `prepare`, given its DSN, has filled; made once per `key`, for `new_database`."""
        if key not in self._templates:
            dsn = self.new_database()
            prepare(dsn)
            self._templates[key] = urlsplit(dsn).path.strip("/")
        return self._templates[key]

    def drop_database(self, dsn: str) -> None:
        """Whoever is still connected is thrown out."""
        name = urlsplit(dsn).path.strip("/")
        self._administer(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))

    def dsn_of(self, database: str) -> str:
        return urlsplit(self._dsn)._replace(path=f"/{database}").geturl()

    def close(self) -> None:
        for name in self._templates.values():
            self.drop_database(self.dsn_of(name))

    def _administer(self, statement: psycopg.sql.Composed) -> None:
        with psycopg.connect(self.admin_dsn, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)


class PrivateServer(Server):
    """A server of our own, which a test may hurt. Its DSNs stay the same over a restart."""

    def __init__(self, version: str, data_dir: Path, binaries: Path | None) -> None:
        self._data_dir = data_dir
        self._binaries = binaries
        self._postgres = self._started()
        super().__init__(version, self._postgres.admin_dsn, self._postgres.dsn)

    @property
    def pid(self) -> int:
        return self._postgres.pid

    def kill9(self) -> None:
        """Kill the postmaster; returns once the last backend has noticed and left."""
        self._end(signal.SIGKILL)

    def restart(self, mode: Literal["smart", "fast", "immediate"] = "immediate") -> None:
        """Stop in one of the ways of pg_ctl and start again; returns once it takes connections."""
        self._end({"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
        self.start()

    def start(self) -> None:
        """Start again what was killed; does nothing to a server that runs."""
        before, self._postgres = self._postgres, self._started()
        before.stop()

    def freeze(self) -> None:
        """Connections stay open, new ones are taken by the kernel alone, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)  # first, so that it makes no further ones
        for pid in self._backends():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in (*self._backends(), self.pid):
            os.kill(pid, signal.SIGCONT)

    @property
    def socket(self) -> str:
        """The path of the Unix socket it listens on."""
        (folder,) = parse_qs(urlsplit(self.admin_dsn).query)["host"]
        return f"{folder}/.s.PGSQL.5432"

    def new_database(self, template: str = "template1") -> str:
        if not embedded.runs(self._postgres.home):  # a test that failed half-way may have left it dead
            self.start()
        return super().new_database(template)

    def close(self) -> None:
        self._postgres.stop()

    def revive(self) -> None:
        """Undo whatever a test did that ended half-way."""
        if embedded.runs(self._postgres.home):
            self.thaw()
        else:
            self.start()

    def _backends(self) -> list[int]:
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
        pairs = [map(int, line.split()) for line in listed.stdout.splitlines()]
        return [pid for pid, parent in pairs if parent == self.pid]

    def _started(self) -> embedded.EmbeddedPostgres:
        return embedded.start(self._data_dir, settings=_UNSAFE_AND_FAST, binaries=self._binaries)

    def _end(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)
        deadline = time.monotonic() + _STOP_SECONDS
        while embedded.runs(self._postgres.home):
            assert time.monotonic() < deadline, f"Postgres {self.version} did not end on {number.name}"
            time.sleep(0.01)


class Servers:
    """The servers of a test session, each started when it is first asked for."""

    def __init__(self, folder: Path, external: str | None) -> None:
        self._folder = folder
        self._external = external
        self._started: dict[str, Server] = {}

    def get(self, version: str) -> Server:
        """Raise schema.errors.Problem when it cannot be started, LookupError when there is no such version here."""
        if version not in self._started:
            self._started[version] = self._start(version)
        return self._started[version]

    def close(self) -> None:
        for server in self._started.values():
            server.close()

    def _start(self, version: str) -> Server:
        if version == EXTERNAL and self._external is not None:
            return Server(version, self._external, self._external)
        if version == EMBEDDED:
            return PrivateServer(version, self._folder / version, None)
        if version in installed_versions():
            return PrivateServer(version, self._folder / version, _DEBIAN / version / "bin")
        raise LookupError(f"no Postgres {version} in {_DEBIAN}")


@contextmanager
def servers(external: str | None) -> Iterator[Servers]:
    """The servers of one session. Their folder is ours, so that as root Postgres finds its way to it."""
    folder = Path(tempfile.mkdtemp(prefix="pipemirror-test-", dir=_roomy_memory()))
    folder.chmod(0o711)
    session = Servers(folder, external)
    try:
        yield session
    finally:
        session.close()
        shutil.rmtree(folder)


def _roomy_memory() -> Path | None:
    """Each test makes and drops hundreds of small tables, which takes a disk several times as long as memory.

    A container may have little of it; None means where temporary files go.
    """
    try:
        return _MEMORY if shutil.disk_usage(_MEMORY).free >= _ROOM else None
    except OSError:
        return None


def installed_versions() -> list[str]:
    """Major versions, other than the embedded one, that Debian's packages put here and that we support."""
    found = [path.parents[1].name for path in _DEBIAN.glob("*/bin/postgres")]
    return sorted(major for major in found if major.isdecimal() and int(major) >= OLDEST and major != EMBEDDED)
