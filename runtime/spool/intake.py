"""Reading all files of a spool directory. Everything here blocks and belongs to the subscription's thread."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from runtime.on_problem import OnProblem
from runtime.spool.file import SUFFIX, DamagedSpool, Row, SpoolFile
from runtime.spool.leased import set_aside_if_free
from schema.errors import Problem, SpoolUnavailable

_CLOCK_TICK_NS: Final = 1_000_000_000
_REST_SECONDS: Final = 5.0
"""A file that cannot be read is left alone for this long, so that it is not reported many times a second."""


class Taken(NamedTuple):
    """A message and the file it lies in."""

    path: Path
    row: Row


class _Source:
    """An open file and how far each routing key was read. `more`: it may hold messages that did not fit last time."""

    def __init__(self, file: SpoolFile) -> None:
        self.file = file
        self.read_up_to: defaultdict[str, int] = defaultdict(int)
        self.more = True


class Intake:
    """`prefetch` says how many messages of a routing key may be out at a time."""

    def __init__(self, directory: Path, prefetch: Callable[[str], int], on_problem: OnProblem) -> None:
        self._directory = directory
        self._prefetch = prefetch
        self._on_problem = on_problem
        self._sources: dict[Path, _Source] = {}
        self._resting: dict[Path, float] = {}
        self._listed_as_of = -1

    def turn(self, done: Mapping[Path, list[int]], out: Counter[str]) -> tuple[list[Taken], dict[Path, list[int]]]:
        """Delete what is done and take as much as may be out; one commit a file.

        `out` counts by routing key what is out without `done`. Return what was taken, and of `done` what could not be
        deleted (a full disk refuses deletes, too).
        """
        self._open_new()
        taken: list[Taken] = []
        undone: dict[Path, list[int]] = {}
        out = Counter(out)
        for path, source in list(self._sources.items()):
            ids = done.get(path, [])
            try:
                taken += self._turn_one(source, ids, out)
            except Problem as problem:
                source.more = True  # what was found and not taken is not told of as a change again
                undone[path] = ids
                self._rest(path, problem)
        # The file read first fills the room: let another be the first next time.
        if self._sources:
            first = next(iter(self._sources))
            self._sources[first] = self._sources.pop(first)
        return taken, {path: ids for path, ids in undone.items() if ids}

    def give_back(self, returned: Mapping[Path, list[int]]) -> None:
        """They were taken and never handed out: do not count it."""
        for path, ids in returned.items():
            if path in self._sources:
                self._sources[path].file.settle((), returned=ids)

    def backlog(self) -> Counter[str]:
        self._open_new()
        total: Counter[str] = Counter()
        for source in self._sources.values():
            total.update(source.file.counts())
        return total

    def close(self) -> None:
        for source in self._sources.values():
            source.file.close()
        self._sources.clear()

    def _turn_one(self, source: _Source, done: list[int], out: Counter[str]) -> list[Taken]:
        if not source.file.is_named():
            self._sources.pop(source.file.path).file.close()
            return []
        rows: list[Row] = []
        if source.file.has_changed() or source.more:
            rows = self._select(source, out)
        source.file.settle(done, handed_out=[row.id for row in rows])
        for row in rows:
            source.read_up_to[row.routing_key] = row.id
            out[row.routing_key] += 1
        return [Taken(source.file.path, row) for row in rows]

    def _select(self, source: _Source, out: Counter[str]) -> list[Row]:
        rows: list[Row] = []
        source.more = False
        for key in source.file.routing_keys():
            room = self._prefetch(key) - out[key]
            found = source.file.of_key(key, after=source.read_up_to[key], limit=room) if room > 0 else []
            source.more = source.more or len(found) >= room
            rows += found
        return rows

    def _open_new(self) -> None:
        # A new name changes the directory's time; listing it many times a second would be most of an idle turn.
        try:
            as_of = self._directory.stat().st_mtime_ns
        except OSError as error:
            if self._resting.get(self._directory, 0.0) < time.monotonic():
                self._rest(self._directory, SpoolUnavailable(f"cannot read {self._directory}: {error.strerror}"))
            return
        if as_of == self._listed_as_of:
            return
        unopened = 0
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            if path not in self._sources:
                unopened += not self._open(path)
        # Look again as long as something is not open yet, or a later file of the same clock tick could be missed.
        if not unopened and time.time_ns() - as_of > _CLOCK_TICK_NS:
            self._listed_as_of = as_of

    def _open(self, path: Path) -> bool:
        if self._resting.get(path, 0.0) > time.monotonic():
            return False
        try:
            file = SpoolFile.existing(path)
        except Problem as problem:
            if path.exists():  # an empty one may be removed by a writer that takes over a directory
                self._rest(path, problem)
            return False
        if file is not None:
            self._sources[path] = _Source(file)
        return file is not None

    def _rest(self, path: Path, problem: Problem) -> None:
        if isinstance(problem, DamagedSpool):
            if (source := self._sources.pop(path, None)) is not None:
                source.file.close()
            if set_aside_if_free(path, problem, self._on_problem):
                return
        self._resting[path] = time.monotonic() + _REST_SECONDS
        self._on_problem(problem)
