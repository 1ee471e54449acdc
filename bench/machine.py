"""What a figure was measured on. Figures without it mean nothing."""

import os
import platform
import subprocess
import sysconfig
import time
from functools import cache
from pathlib import Path
from statistics import median
from typing import Final

import psutil

_SYNCS: Final = 200
_BLOCK: Final = b"\0" * 4096


def describe(folder: Path) -> dict[str, str]:
    """The machine and the interpreter, in words; `folder` is on the disk that is measured."""
    load = "/".join(f"{value:.2f}" for value in os.getloadavg())
    # Debian's is optimised as well, and does not say so.
    optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    build = "configured with --enable-optimizations" if optimised else f"built for {sysconfig.get_platform()}"
    return {
        "CPU": f"{os.cpu_count()} cores, {_cpu_model()}",
        "RAM": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{_distribution()}, kernel {platform.release()}",
        "Python": f"{platform.python_version()}, {build}, {platform.python_compiler()}",
        "fdatasync of 4 KiB": f"{sync_seconds(folder) * 1e6:.0f} µs (median of {_SYNCS})",
        "load average at the start": load,
    }


def circumstances() -> str:
    """Date, commit, and how busy others keep the machine. Blocks for a second."""
    busy = psutil.cpu_percent(interval=1.0)
    return f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, commit {_commit()}, CPUs {busy:.0f} % busy before"


def sync_seconds(folder: Path) -> float:
    """The median time to make 4 KiB durable: a floor for every confirm and commit."""
    path = folder / "sync-probe"
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_SYNCS):
            file.write(_BLOCK)
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - started)
    path.unlink()
    return median(taken)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


@cache
def _commit() -> str:
    """As the run found it: what it writes into the docs is no change to what is measured."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"
