"""A PgBouncer in transaction mode before a database, where one is installed."""

import asyncio
import getpass
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg
from rig.kept import free_ports
from rig.waiting import until

PROGRAM = os.environ.get("TEST_PGBOUNCER") or shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

_CONFIG = """
[databases]
* = {target}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
logfile = {folder}/log
pidfile = {folder}/pid
{more}
"""


@asynccontextmanager
async def pgbouncer(dsn: str, more: str = "") -> AsyncIterator[str]:
    """The DSN through it. `dsn` names a user and a host; `more` are further settings."""
    assert PROGRAM is not None
    # Not pytest's folder: that is closed to the user as whom it runs.
    folder = Path(tempfile.mkdtemp(prefix="pipemirror-test-"))
    (port,) = free_ports(1)
    parts = urlsplit(dsn)
    config = folder / "pgbouncer.ini"
    config.write_text(_CONFIG.format(target=_target(dsn), port=port, folder=folder, more=more))
    command = [PROGRAM, str(config)]
    if os.getuid() == 0:  # it refuses to run as root
        nobody = pwd.getpwnam("nobody")
        for path in (folder, config):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        command += ["--user", "nobody"]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
    through = urlunsplit(("postgresql", f"{parts.username or getpass.getuser()}@127.0.0.1:{port}", parts.path, "", ""))
    try:
        await until(lambda: _answers(through), what="PgBouncer answers")
        yield through
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), 10)
        shutil.rmtree(folder)


def _target(dsn: str) -> str:
    parts = urlsplit(dsn)
    options = dict(pair.partition("=")[::2] for pair in parts.query.split("&") if pair)
    host, port = options.get("host", parts.hostname), options.get("port", parts.port)
    password = parts.password or _kept(unquote(options.get("passfile", "")), parts.username or "")
    return f"host={unquote(str(host))} port={port or 5432} user={parts.username} password={password}"


def _kept(passfile: str, user: str) -> str:
    lines = Path(passfile).read_text().splitlines() if passfile else []
    fields = [line.split(":") for line in lines]
    return next((found[-1] for found in fields if found[-2] in {user, "*"}), "")


async def _answers(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, timeout=2, statement_cache_size=0)
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return False
    await connection.close()
    return True
