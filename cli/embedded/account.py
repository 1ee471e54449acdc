"""Whom an embedded Postgres runs as. It refuses to run as root, so root lends it an ordinary account."""

import os
import pwd
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schema.errors import Misconfigured

PROBE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Account:
    """The ordinary account that root lends to Postgres."""

    uid: int
    gid: int


def lent_account() -> Account | None:
    """Some user that has a name, because initdb insists on one; none is ever created."""
    try:
        if os.geteuid() != 0:
            pwd.getpwuid(os.geteuid())
            return None
        nobody = pwd.getpwnam("nobody")
    except KeyError as unknown:
        raise Misconfigured(f"DATABASE_URL: cannot run Postgres here ({unknown.args[0]}); name one") from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def enters(account: Account, folder: Path) -> bool:
    """Ask the kernel, as the account: modes, access lists and mounts all count."""
    try:
        run_as(account, ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)])
    except subprocess.CalledProcessError:
        return False
    except OSError as error:
        raise Misconfigured(f"cannot run Postgres as uid {account.uid} ({error}); set DATABASE_URL") from error
    return True


def run_as(
    account: Account | None,
    command: list[str],
    *,
    timeout: float = PROBE_SECONDS,
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
) -> str:
    """Run to the end as the account (None: as we are), with `stdin` as its input; returns its output."""
    completed = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        input=stdin,
        env=environment,
        cwd="/",  # ours may be closed to the account
        timeout=timeout,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        umask=0o077,
    )
    return completed.stdout
