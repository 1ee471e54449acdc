"""The small process that keeps an embedded Postgres for exactly as long as somebody uses it.

Whoever uses the database holds a shared lock on the lease file; the kernel drops it also when that process is killed.
The keeper waits for the exclusive lock, which it gets once nobody is left, and then stops the postmaster. No signal
can be missed, no pid can be confused, and no user has to outlive the others.

`server.py` runs this file as a script with the standard library alone, so that it starts fast and stays small.
"""

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TypedDict

# Fast shutdown, then immediate (recovery at the next start), then the last resort; seconds of patience for each.
ESCALATION = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
LOCK_SECONDS = 5
PR_SET_PDEATHSIG = 1
STARTED = b"started\n"


class Plan(TypedDict):
    """What to run. `running` is locked for as long as any Postgres process lives; `uid` is None to stay who we are."""

    command: list[str]
    environment: dict[str, str]
    lease: str
    running: str
    log: str
    uid: int | None
    gid: int | None


def encode(plan: Plan) -> str:
    """The one argument of this script."""
    return json.dumps(plan)


def main(plan: Plan) -> None:
    """Say `started` on stdout, then live until the postmaster ends."""
    if os.fork():
        os._exit(0)  # the starter collects this half; init adopts the other, so a long-lived starter keeps no zombie
    postmaster = _spawn(plan)
    os.write(sys.stdout.fileno(), STARTED)
    threading.Thread(target=_end_with, args=(postmaster,), daemon=True).start()
    _wait_until_unused(plan["lease"])
    for number, patience in ESCALATION:
        postmaster.send_signal(number)
        time.sleep(patience)


def _spawn(plan: Plan) -> subprocess.Popen[bytes]:
    """Start the postmaster. It inherits the locked file, so the lock says whether Postgres runs, even without us."""
    die_with_keeper = _die_with_parent if sys.platform == "linux" else None
    with open(plan["running"], "rb") as running, open(plan["log"], "ab") as log:  # noqa: PTH123 - lean on purpose
        # Free, but for the instants in which others look at it. SIGALRM ends us should it not be.
        signal.alarm(LOCK_SECONDS)
        fcntl.flock(running, fcntl.LOCK_EX)
        signal.alarm(0)
        return subprocess.Popen(
            plan["command"],
            env=plan["environment"],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(running.fileno(),),
            preexec_fn=die_with_keeper,  # noqa: PLW1509 - no other thread runs yet
            user=plan["uid"],
            group=plan["gid"],
            extra_groups=None if plan["uid"] is None else [],
            umask=0o077,
        )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _end_with(postmaster: subprocess.Popen[bytes]) -> None:
    postmaster.wait()
    os._exit(0)


def _wait_until_unused(lease: str) -> None:
    """Return with the exclusive lock, held until this process ends: nobody starts to use what is being stopped."""
    descriptor = os.open(lease, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
