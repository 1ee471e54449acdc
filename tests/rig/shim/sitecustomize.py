"""What a process of ours is made to believe, or to die of. Python loads this at start where it is on PYTHONPATH.

The environment says what; see `Part.shim` of tests/chaos. The product has no switch of its own for any of it.

    RIG_CLOCK      a file with one double: seconds by which the wall clock is off, now; a test may change it at any time
    RIG_CATALOGUE  `previous`: the catalogue of a release that did not know two columns of deals yet
    RIG_DEADLY     an event whose body holds this text kills the process that reads it
    RIG_STATEMENT_SECONDS  how long a statement may take, instead of the minute it has
    RIG_DISK       a file with one double: bytes that the disk has free, as long as nobody wrote under it
"""

import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

FORGOTTEN = {"deal": frozenset(("label_ids", "expected_close_date"))}
"""Columns of events that the previous release had no column for."""


def _number_in(path: str) -> Callable[[], float]:
    """Reads the double that stands in the file, without a system call each time."""
    with open(path, "r+b") as file:  # noqa: PTH123 - as little as possible is imported here
        memory = mmap.mmap(file.fileno(), 8)
    return lambda: struct.unpack_from("d", memory)[0]


def _shift_clock(path: str) -> None:
    off = _number_in(path)
    seconds, nanoseconds = time.time, time.time_ns
    time.time = lambda: seconds() + off()
    time.time_ns = lambda: nanoseconds() + int(off() * 1e9)
    _shift_datetime()


def _shift_datetime() -> None:
    """datetime.now reads the clock in C. What others made stays an instance of the class that is put in its place."""
    import datetime as dt  # noqa: PLC0415

    real = dt.datetime

    class _AsReal(type):
        def __instancecheck__(cls, other: object) -> bool:
            return isinstance(other, real)

    class datetime(dt.datetime, metaclass=_AsReal):  # noqa: N801 - takes the place of the real one
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return real.fromtimestamp(time.time(), tz)

    dt.datetime = datetime


def _forget_columns() -> None:
    from dataclasses import replace  # noqa: PLC0415
    from types import MappingProxyType  # noqa: PLC0415

    from schema import entities  # noqa: PLC0415
    from schema.entity import Entity  # noqa: PLC0415

    def before(entity: Entity) -> Entity:
        gone = FORGOTTEN.get(entity.name, frozenset())
        return replace(entity, columns=tuple(column for column in entity.columns if column.name not in gone))

    entities.ENTITIES = tuple(before(entity) for entity in entities.ENTITIES)
    entities.BY_NAME = MappingProxyType({entity.name: entity for entity in entities.ENTITIES})
    entities.HEARD = MappingProxyType({name: found for name, found in entities.BY_NAME.items() if found.webhook})


def _die_of(marker: bytes) -> None:
    from schema import event  # noqa: PLC0415

    read = event.read

    def deadly(envelope: Any, *arguments: Any) -> Any:
        if marker in envelope.body:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(envelope, *arguments)

    event.read = deadly


def _hurry_statements(seconds: str) -> None:
    import asyncpg  # noqa: PLC0415

    create_pool = asyncpg.create_pool
    asyncpg.create_pool = lambda *given, **named: create_pool(*given, **{**named, "command_timeout": float(seconds)})


def _lie_about_disk(path: str) -> None:
    free, statvfs = _number_in(path), os.statvfs

    def small(place: Any) -> os.statvfs_result:
        told = list(statvfs(place))
        told[4] = max(0, int((free() - _size(os.path.dirname(path))) / told[1]))  # noqa: PTH120 - f_bavail, f_frsize
        return os.statvfs_result(told)

    os.statvfs = small


def _size(folder: str) -> int:
    files = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)  # noqa: PTH118
    return sum(os.stat(file).st_blocks * 512 for file in files if os.path.exists(file))  # noqa: PTH110, PTH116


if "cli" in sys.orig_argv:  # not in the keeper of the process
    for name, effect in {
        "RIG_CLOCK": _shift_clock,
        "RIG_CATALOGUE": lambda _: _forget_columns(),
        "RIG_DEADLY": lambda marker: _die_of(marker.encode()),
        "RIG_STATEMENT_SECONDS": _hurry_statements,
        "RIG_DISK": _lie_about_disk,
    }.items():
        if name in os.environ:
            effect(os.environ[name])
