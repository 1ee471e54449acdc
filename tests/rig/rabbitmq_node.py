"""A private RabbitMQ: an installed one run in a folder, or a container. Everything here blocks."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import uuid4

from rig.kept import Kept, free_ports

_READY_SECONDS: Final = 90
_PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"

_CONFIG: Final = """\
listeners.tcp.default = 127.0.0.1:{port}
loopback_users = none
log.console = false
log.file.level = warning
disk_free_limit.absolute = 50MB
"""


class Node:
    """An installed RabbitMQ as the current user, with its own home, ports, epmd, data and logs under `folder`."""

    def __init__(self, scripts: Path, folder: Path) -> None:
        self._scripts = scripts
        self._folder = folder
        self._port, distribution, self._epmd_port = free_ports(3)
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}/"
        self._env = _environment(folder, self._port, distribution, self._epmd_port)
        self._epmd: Kept | None = None
        self._server: Kept | None = None

    @property
    def running(self) -> bool:
        return self._server is not None and self._server.running

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "rabbitmq.conf").write_text(_CONFIG.format(port=self._port))
        (self._folder / "plugins").write_text("[].")
        if self._epmd is None:
            # Otherwise the server starts an epmd as a daemon, which would stay for ever.
            self._epmd = Kept([_find_epmd(), "-port", str(self._epmd_port)], self._env, self._folder / "epmd.log")
        log = self._folder / "server.log"
        self._server = Kept([str(self._scripts / "rabbitmq-server")], self._env, log)
        _wait_until_ready(self._port, lambda: self._running().running, f"see {log}")

    def stop(self) -> None:
        self._running().signal(signal.SIGTERM)
        self._running().wait()
        self._running().end()

    def kill9(self) -> None:
        self._running().end()

    def freeze(self) -> None:
        self._running().signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running().signal(signal.SIGCONT)

    def control(self, *arguments: str) -> str:
        return _run([str(self._scripts / "rabbitmqctl"), "--quiet", *arguments], self._env)

    def end(self) -> None:
        for kept in (self._server, self._epmd):
            if kept is not None:
                kept.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _running(self) -> Kept:
        assert self._server is not None, "not started"
        return self._server


class Container:
    """RabbitMQ in Docker. A killed test run leaves it behind: its name begins with pipemirror-test."""

    def __init__(self, image: str = "rabbitmq:3.13") -> None:
        self._name = f"pipemirror-test-{uuid4().hex[:8]}"
        self._image = image
        (self._port,) = free_ports(1)
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}/"
        self._created = False

    @property
    def running(self) -> bool:
        return _greets(self._port)

    def start(self) -> None:
        if self._created:
            self._docker("start", self._name)
        else:
            self._docker("run", "-d", "--name", self._name, "-p", f"127.0.0.1:{self._port}:5672", self._image)
            self._created = True
        _wait_until_ready(self._port, lambda: True, f"see docker logs {self._name}")

    def stop(self) -> None:
        self._docker("stop", self._name)

    def kill9(self) -> None:
        self._docker("kill", self._name)

    def freeze(self) -> None:
        self._docker("pause", self._name)

    def thaw(self) -> None:
        self._docker("unpause", self._name)

    def control(self, *arguments: str) -> str:
        return self._docker("exec", self._name, "rabbitmqctl", "--quiet", *arguments)

    def end(self) -> None:
        if self._created:
            self._docker("rm", "-f", "-v", self._name)

    def _docker(self, *arguments: str) -> str:
        return _run(["docker", *arguments], dict(os.environ))


def _environment(folder: Path, port: int, distribution: int, epmd: int) -> dict[str, str]:
    return {
        **os.environ,
        "HOME": str(folder),  # the Erlang cookie lies there
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"test-{port}@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the server instead of supervising it
    }


def _find_epmd() -> str:
    if on_path := shutil.which("epmd"):
        return on_path
    return str(next(Path("/usr/lib/erlang").glob("erts-*/bin/epmd")))


def _run(command: list[str], env: dict[str, str]) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=_READY_SECONDS)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _wait_until_ready(port: int, alive: Callable[[], bool], hint: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not _greets(port):
        if not alive() or time.monotonic() > deadline:
            raise RuntimeError(f"RabbitMQ did not start: {hint}")
        time.sleep(0.05)


def _greets(port: int) -> bool:
    """Whether the server answers the protocol header; a mere open port may still be booting (or a proxy)."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            client.sendall(_PROTOCOL_HEADER)
            return bool(client.recv(1))
    except OSError:
        return False
