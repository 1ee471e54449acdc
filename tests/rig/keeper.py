"""Keep a service exactly as long as its owner lives, even when the owner is killed.

    python keeper.py COMMAND...

The command runs in its own process group; its pid is the first line of output. When our stdin closes (the owner
closed it, or died) the whole group is killed, stopped (SIGSTOP) or not. A Ctrl-C in the terminal does not reach it.
"""

import os
import signal
import subprocess
import sys
import threading


def keep(command: list[str]) -> int:
    service = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
    sys.stdout.write(f"{service.pid}\n")
    sys.stdout.flush()
    # A daemon thread, so that we also end when the service does.
    threading.Thread(target=_kill_when_orphaned, args=(service.pid,), daemon=True).start()
    return service.wait()


def _kill_when_orphaned(group: int) -> None:
    while os.read(0, 1):
        pass
    os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
