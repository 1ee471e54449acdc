"""Servers of the tests end with the tests, also when these are killed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]

OWNER = """
import os, sys
from pathlib import Path
from rig.rabbitmq_node import Kept
kept = Kept(["sh", "-c", "sleep 1000 & wait"], dict(os.environ), Path(sys.argv[1]))
print(kept._group, flush=True)
sys.stdin.readline()
if sys.argv[2] == "frozen":
    import signal
    kept.signal(signal.SIGSTOP)
print("settled", flush=True)
sys.stdin.read()
"""


def members(group: int) -> int:
    """How many processes of a group are alive (a zombie is not)."""
    listed = subprocess.run(["ps", "-e", "-o", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return sum(int(line.split()[0]) == group and "Z" not in line for line in listed.splitlines())


def become(group: int, expected: int, within: float = 10.0) -> None:
    """Wait until so many processes of the group are alive: the shell may not have forked yet, or not died."""
    deadline = time.monotonic() + within
    while (alive := members(group)) != expected:
        assert time.monotonic() < deadline, f"{alive} alive, expected {expected}"
        time.sleep(0.02)


@pytest.mark.parametrize("state", ["running", "frozen"])
def test_a_kept_service_dies_with_its_killed_owner(tmp_path: Path, state: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "log"), state],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    with owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        group = int(owner.stdout.readline())
        become(group, 2)
        owner.stdin.write(b"\n")
        owner.stdin.flush()
        assert owner.stdout.readline() == b"settled\n"
        owner.kill()
    become(group, 0)
