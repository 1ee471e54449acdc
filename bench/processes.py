"""Processes of ours as the kernel sees them: which cores, how much CPU, how much memory."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Cores:
    """Where things run. What is measured has a core to itself; all that feeds it or serves it has the rest."""

    measured: frozenset[int]
    others: frozenset[int]
    all: frozenset[int]


def cores() -> Cores:
    allowed = sorted(psutil.Process().cpu_affinity() or [0])
    first = frozenset(allowed[:1])
    return Cores(first, frozenset(allowed[1:]) or first, frozenset(allowed))


def pin(processes: Iterable[psutil.Process], where: frozenset[int]) -> None:
    """All threads there are now; those they start later inherit it."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            for thread in process.threads():
                with suppress(psutil.NoSuchProcess):
                    psutil.Process(thread.id).cpu_affinity(list(where))


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of all threads so far, ended ones included."""
    times = process.cpu_times()
    return times.user + times.system


def family_seconds(process: psutil.Process) -> float:
    """The same of a process and its children, those that ended included; a grandchild that lives is not counted."""
    times = process.cpu_times()
    used = times.user + times.system + times.children_user + times.children_system
    for child in process.children():
        with suppress(psutil.NoSuchProcess):
            used += cpu_seconds(child)
    return used


def family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def started_as(*arguments: str) -> psutil.Process:
    """The youngest process below us that was started with exactly these arguments behind the interpreter."""
    found = [
        process for process in psutil.Process().children(recursive=True) if _command(process)[1:] == list(arguments)
    ]
    return max(found, key=psutil.Process.create_time)


def below_us(name: str) -> list[psutil.Process]:
    """Processes we started whose program has that name."""
    return [process for process in psutil.Process().children(recursive=True) if _name(process).startswith(name)]


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return process.name()
    return ""


def peak_mb(pid: int) -> float:
    """The most memory that a process has had resident so far, in megabytes; 0 if it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0
