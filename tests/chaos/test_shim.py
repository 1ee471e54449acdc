"""What processes are made to believe, they do believe: a fault that does not happen would prove nothing."""

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

from chaos.stage import SHIM
from rig.processes import CHECKOUT

HOUR = 3600
MIB = 1024 * 1024


def printed(program: str, **environment: str) -> str:
    command = [sys.executable, "-c", program, "cli"]  # the shim does nothing for others
    env = {**os.environ, "PYTHONPATH": f"{SHIM}:{CHECKOUT}", **environment}
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran
    return ran.stdout


def number(path: Path, value: float) -> str:
    path.write_bytes(struct.pack("d", value))
    return str(path)


def test_the_clock_is_off_for_whoever_reads_it(tmp_path: Path) -> None:
    program = "import time, datetime as d; print(time.time(), time.time_ns() / 1e9, d.datetime.now(d.UTC).timestamp())"
    told = printed(program, RIG_CLOCK=number(tmp_path / "clock", -5 * HOUR)).split()
    assert all(abs(float(seconds) - (time.time() - 5 * HOUR)) < HOUR for seconds in told)


def test_the_real_datetimes_of_others_are_still_datetimes(tmp_path: Path) -> None:
    program = (
        "import time, datetime as d; import _datetime; print(isinstance(_datetime.datetime(2026, 1, 1), d.datetime))"
    )
    assert printed(program, RIG_CLOCK=number(tmp_path / "clock", 0)) == "True\n"


def test_the_previous_release_has_two_columns_fewer_and_other_tables() -> None:
    program = "from schema.ddl import columns, fingerprint; from schema.entities import BY_NAME; "
    program += "print(len(columns(BY_NAME['deal'])), fingerprint())"
    now, before = (printed(program, **shim).split() for shim in ({}, {"RIG_CATALOGUE": "previous"}))
    assert int(now[0]) - int(before[0]) == 2
    assert now[1] != before[1]


def test_the_disk_has_as_much_room_as_it_is_told_less_what_was_written(tmp_path: Path) -> None:
    spool = tmp_path / "data" / "spool"
    spool.mkdir(parents=True)
    free = {"RIG_DISK": number(tmp_path / "free", 100 * MIB)}
    program = f"import os; found = os.statvfs({str(spool)!r}); print(found.f_bavail * found.f_frsize)"
    before = int(printed(program, **free))
    (spool / "file").write_bytes(os.urandom(30 * MIB))
    assert 0 < before <= 100 * MIB
    assert before - int(printed(program, **free)) >= 30 * MIB
