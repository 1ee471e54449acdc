"""Postgres without installing it: started from a Python wheel, shared by all processes with the same DATA_DIR.

Nobody else on the machine gets in: there is no TCP port, the folder of the Unix socket is closed to others, and every
connection needs a generated password, which is kept in a file that only we can read. The application's role owns its
database and is no superuser.
"""

import contextlib
import fcntl
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final
from urllib.parse import quote

from cli.embedded.home import SHELTER, Home, exists, lock_of, note_of, settle
from cli.embedded.server import DATABASE, ROLE, SUPERUSER, Postmaster, check_version, create, launch, ready, tail
from schema.errors import DatabaseUnavailable, Misconfigured

__all__ = ["EmbeddedPostgres", "discard", "exists", "runs", "start"]

_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A running Postgres that stays up at least until `stop`, or until this process ends, however it ends.

    dsn        for asyncpg and libpq alike, as the application's role; holds no password, so it may be shown
    admin_dsn  the same as the superuser
    psql       a command line for a person, quoted for a shell
    pid        of the postmaster
    """

    dsn: str
    admin_dsn: str
    psql: str
    pid: int
    home: Home
    _lease: BufferedReader

    def stop(self, *, timeout: float = 30.0) -> None:
        """Let go of the database; the last one to do so also waits until it is down. A second call does nothing."""
        if self._lease.closed:
            return
        with self._lease:
            if _others_hold(self._lease):
                return
        deadline = time.monotonic() + timeout
        while runs(self.home):
            _pause(deadline, f"the embedded Postgres (pid {self.pid}) did not stop within {timeout:.0f} s")


def start(
    data_dir: Path,
    *,
    timeout: float = 60.0,
    settings: Mapping[str, str] | None = None,
    binaries: Path | None = None,
    shelter: Path = SHELTER,
) -> EmbeddedPostgres:
    """Start the Postgres of `data_dir`, or join the one that runs already. Blocks up to `timeout` seconds.

    settings  server parameters over ours, used when this call starts the server
    binaries  folder of the programs of another Postgres than the wheel's
    shelter   where root keeps what an ordinary account could not reach under DATA_DIR
    Raises Misconfigured where there is no Postgres to start or it may not live there, else DatabaseUnavailable.
    """
    deadline = time.monotonic() + timeout
    data_dir = data_dir.resolve()
    with _only_starter(data_dir, deadline), contextlib.ExitStack() as undo:
        home = settle(data_dir, shelter=shelter, binaries=binaries)
        lease = undo.enter_context(_share(home, deadline))
        if not home.data.exists():
            create(home, settings or {}, deadline)
        check_version(home)
        postmaster = _ensure_running(home, settings or {}, deadline)
        undo.pop_all()
    dsn = _dsn(home, postmaster, ROLE, DATABASE)
    admin_dsn = _dsn(home, postmaster, SUPERUSER, SUPERUSER)
    return EmbeddedPostgres(dsn, admin_dsn, shlex.join([home.program("psql"), dsn]), postmaster.pid, home, lease)


def discard(data_dir: Path, *, shelter: Path = SHELTER) -> None:
    """Delete the cluster of `data_dir`, wherever it lives. Raises Misconfigured while somebody uses it."""
    data_dir = data_dir.resolve()
    with _only_starter(data_dir, time.monotonic()):
        home = settle(data_dir, shelter=shelter)
        if runs(home):
            raise Misconfigured(f"DATA_DIR: the Postgres of {data_dir} still runs; stop what uses it")
        shutil.rmtree(home.sockets)
        shutil.rmtree(home.folder)
        note_of(data_dir).unlink(missing_ok=True)


def runs(home: Home) -> bool:
    """Whether any process of this Postgres lives, the last backends of a killed postmaster included."""
    with _opened(home.running) as lock:
        return not _locked(lock, fcntl.LOCK_SH)


def _ensure_running(home: Home, settings: Mapping[str, str], deadline: float) -> Postmaster:
    launched = False
    while (postmaster := ready(home)) is None or not runs(home):
        if runs(home):
            _pause(deadline, f"the embedded Postgres is not ready in time; {tail(home.log)}")
        elif launched:
            raise DatabaseUnavailable(f"the embedded Postgres ended at once; {tail(home.log)}")
        else:
            launch(home, settings, deadline)
            launched = True
    return postmaster


def _dsn(home: Home, postmaster: Postmaster, role: str, database: str) -> str:
    where, passwords = quote(str(postmaster.sockets)), quote(str(home.passwords))
    return f"postgresql://{role}@/{database}?host={where}&passfile={passwords}"


# Who uses it, who starts it, whether it runs: locks on files, which the kernel drops whatever happens to a process.


@contextlib.contextmanager
def _only_starter(data_dir: Path, deadline: float) -> Iterator[None]:
    with _opened(lock_of(data_dir)) as lock:
        while not _locked(lock, fcntl.LOCK_EX):
            _pause(deadline, "another process is starting the embedded Postgres and does not finish")
        yield


def _share(home: Home, deadline: float) -> BufferedReader:
    """A share in the lease: the keeper stops Postgres when nobody has one. Waits for a stop that is under way."""
    with contextlib.ExitStack() as undo:
        lease = undo.enter_context(_opened(home.lease))
        while not _locked(lease, fcntl.LOCK_SH):
            _pause(deadline, "the embedded Postgres is being stopped and does not finish")
        undo.pop_all()
    return lease


def _others_hold(lease: BufferedReader) -> bool:
    """False when we were the last, also when the keeper has the lease already in order to stop Postgres."""
    return not _locked(lease, fcntl.LOCK_EX) and _locked(lease, fcntl.LOCK_SH)


def _opened(path: Path) -> BufferedReader:
    path.touch(mode=0o600)
    return path.open("rb")


def _locked(file: BufferedReader, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pause(deadline: float, overdue: str) -> None:
    if time.monotonic() > deadline:
        raise DatabaseUnavailable(overdue)
    time.sleep(_POLL_SECONDS)
