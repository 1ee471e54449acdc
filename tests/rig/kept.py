"""Services that end with us, and ports for them. Everything here blocks."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

_KEEPER: Final = Path(__file__).with_name("keeper.py")
_STOP_SECONDS: Final = 30
_PORTS: Final = range(20_000, 32_000)


class Kept:
    """A process group that ends with us (see keeper.py). What it prints, on stdout too, goes to `log`."""

    def __init__(self, command: list[str], env: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as output:
            self._keeper = subprocess.Popen(
                [sys.executable, str(_KEEPER), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=env,
                start_new_session=True,
            )
        assert self._keeper.stdout is not None
        self._group = int(self._keeper.stdout.readline())

    @property
    def running(self) -> bool:
        return self._keeper.poll() is None

    def signal(self, number: int) -> None:
        os.killpg(self._group, number)

    def kill9(self) -> None:
        """As if the power went: no handler runs. Return when it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()

    def end(self) -> None:
        """Kill the group, if it still runs, and wait for its end."""
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.close()
        self.wait()
        self._keeper.stdout.close()

    def wait(self, within: float = _STOP_SECONDS) -> int:
        """The exit code, once it ended; of what a signal killed, no code of ours. Raise TimeoutExpired."""
        return self._keeper.wait(within)


def free_ports(number: int) -> list[int]:
    """Ports that stay free while their service restarts: below those that the kernel gives to outgoing connections."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == number:
            break
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found
