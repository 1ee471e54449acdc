"""Making the cluster of an embedded Postgres, and starting its server."""

import os
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.embedded import keeper
from cli.embedded.account import run_as
from cli.embedded.home import Home
from schema.errors import DatabaseUnavailable, Misconfigured

ROLE: Final = "pipemirror"
DATABASE: Final = "pipemirror"
SUPERUSER: Final = "postgres"

_SETTINGS: Final = {
    "listen_addresses": "",
    "port": "5432",  # only a part of the socket's name
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_error_verbosity": "terse",  # the details of an error quote rows, which are people's data
}
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_BUILTIN_LOCALES_SINCE: Final = 17
_LOG_TAIL_LINES: Final = 5
_UNFINISHED: Final = "data.unfinished"


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A server that takes connections: its process, and the folder of its Unix socket."""

    pid: int
    sockets: Path


def create(home: Home, settings: Mapping[str, str], deadline: float) -> None:
    """Make the cluster, its role and its database. It appears whole or not at all: the folder is renamed at the end."""
    _remove_unfinished(home)
    # A new name: what an interrupted start began may go on writing into its own for a moment.
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=home.folder))
    if home.account:
        os.chown(unfinished, home.account.uid, home.account.gid)
    _run(home, _initdb(home, unfinished, settings), deadline)
    # In single-user mode, before anybody could connect: there is never a moment without passwords.
    single = [home.program("postgres"), "--single", "-D", str(unfinished)]
    options = _options({"exit_on_error": "on", **settings})
    _run(home, [*single, *options, SUPERUSER], deadline, _first_statements(_new_passwords(home)))
    unfinished.rename(home.data)
    _remove_unfinished(home)


def _remove_unfinished(home: Home) -> None:
    for folder in home.folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(folder, ignore_errors=True)


def check_version(home: Home) -> None:
    """Raise Misconfigured when the cluster was made by another major version, which cannot be read."""
    made_by = (home.data / "PG_VERSION").read_text("utf-8").strip()
    if made_by != str(home.binaries.major):
        raise Misconfigured(
            f"DATA_DIR: the cluster in {home.data} is of Postgres {made_by}, this is {home.binaries.major}: "
            "move it with pg_dump of that version, or set DATA_DIR to a new folder"
        )


def ready(home: Home) -> Postmaster | None:
    """What postmaster.pid says, when it says `ready`: its lines 1, 5 and 8 are pid, socket folder and state."""
    try:
        lines = (home.data / "postmaster.pid").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    match [line.strip() for line in lines]:
        case [pid, _, _, _, sockets, _, _, "ready", *_] if _lives(int(pid)):
            return Postmaster(int(pid), Path(sockets))
        case _:
            return None


def launch(home: Home, settings: Mapping[str, str], deadline: float) -> None:
    """Run the keeper, which runs Postgres. Returns once Postgres is under way; raises DatabaseUnavailable if not."""
    home.log.touch(mode=0o600)
    # Nothing of an old server lives (the caller saw to it), but its pid may by now belong to another process of the
    # same account, for which Postgres would refuse to start.
    (home.data / "postmaster.pid").unlink(missing_ok=True)
    command = [sys.executable, "-I", "-S", keeper.__file__, keeper.encode(_plan(home, settings))]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,  # Ctrl-C in our terminal is for us, not for the database we still need to finish
    ) as started:
        assert started.stdout is not None
        heard, _, _ = select.select([started.stdout], [], [], _left(deadline))
        if not heard or started.stdout.readline() != keeper.STARTED:
            raise DatabaseUnavailable(f"the embedded Postgres could not be started; {tail(home.log)}")


def tail(log: Path) -> str:
    """The end of the server's log, for an error message."""
    try:
        lines = log.read_text("utf-8", errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    except FileNotFoundError:
        return f"{log} was not written"
    return "\n  ".join([f"the end of {log}:", *lines])


def _initdb(home: Home, folder: Path, settings: Mapping[str, str]) -> list[str]:
    locale = ["--locale=C"]
    if home.binaries.major >= _BUILTIN_LOCALES_SINCE:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]  # upper() beyond ASCII, on any machine
    sync = ["--no-sync"] if settings.get("fsync") == "off" else []
    return [
        *(
            home.program("initdb"),
            "-D",
            str(folder),
            "-U",
            SUPERUSER,
            "-E",
            "UTF8",
            "--auth=reject",
            "--no-instructions",
        ),
        *locale,
        *sync,
    ]


def _new_passwords(home: Home) -> dict[str, str]:
    passwords = {role: secrets.token_urlsafe(24) for role in (SUPERUSER, ROLE)}
    home.passwords.unlink(missing_ok=True)
    home.passwords.touch(mode=0o600)
    home.passwords.write_text("".join(f"*:*:*:{role}:{word}\n" for role, word in passwords.items()), "utf-8")
    return passwords


def _first_statements(passwords: Mapping[str, str]) -> str:
    """One statement a line, as single-user mode reads them."""
    return (
        f"ALTER ROLE {SUPERUSER} PASSWORD '{passwords[SUPERUSER]}'\n"
        f"CREATE ROLE {ROLE} LOGIN PASSWORD '{passwords[ROLE]}'\n"
        f"CREATE DATABASE {DATABASE} OWNER {ROLE}\n"
    )


def _plan(home: Home, settings: Mapping[str, str]) -> keeper.Plan:
    hba = home.folder / "pg_hba.conf"
    hba.write_text("local all all scram-sha-256\n", "utf-8")
    hba.chmod(0o644)
    sockets = '"' + str(home.sockets).replace('"', '""') + '"'  # the setting is a list
    ours = {**_SETTINGS, "hba_file": str(hba), "unix_socket_directories": sockets}
    return keeper.Plan(
        command=[home.program("postgres"), "-D", str(home.data), *_options({**ours, **settings})],
        environment=_ENVIRONMENT,
        lease=str(home.lease),
        running=str(home.running),
        log=str(home.log),
        uid=home.account.uid if home.account else None,
        gid=home.account.gid if home.account else None,
    )


def _options(settings: Mapping[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def _run(home: Home, command: list[str], deadline: float, statements: str = "") -> None:
    try:
        run_as(home.account, command, timeout=_left(deadline), environment=_ENVIRONMENT, stdin=statements)
    except subprocess.CalledProcessError as error:
        raise DatabaseUnavailable(f"cannot make a cluster in {home.folder}: {error.stderr.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise DatabaseUnavailable(f"making a cluster in {home.folder} took more than {error.timeout:.0f} s") from error


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.1)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
