"""A spool file together with the lease that makes it ours. Everything here blocks."""

from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

from runtime.on_problem import OnProblem
from runtime.spool.file import SUFFIX, DamagedSpool, SpoolFile
from runtime.spool.lease import Lease
from runtime.spool.place import refuse_full
from schema.errors import Problem, SpoolUnavailable

_LEASE: Final = ".lease"


class LeasedFile(NamedTuple):
    """As long as it is held, no other process appends to the file, adopts it or sets it aside."""

    file: SpoolFile
    lease: Lease

    def append(self, rows: list[tuple[str, bytes]]) -> None:
        if not self.lease.is_held():
            raise SpoolUnavailable(f"the lease of {self.file.path} was removed")
        # Twice: first SQLite's log takes it, later the file itself.
        needed = 2 * sum(len(body) for _, body in rows)
        refuse_full(self.file.path.parent, needed, self.file.reusable)
        self.file.append(rows)

    def messages(self) -> int:
        return sum(self.file.counts().values())

    def is_sound(self, problem: Problem) -> bool:
        """Whether the same file may take appends again after `problem`."""
        return not isinstance(problem, DamagedSpool) and self.file.is_named() and self.lease.is_held()

    def abandon(self, problem: Problem, on_problem: OnProblem) -> None:
        """Let go of a file that can take no more; set it aside if it is damaged."""
        self.file.close()
        if isinstance(problem, DamagedSpool) and self.file.path.exists():
            _report_aside(problem, self.file.path, on_problem)
        self.lease.release()

    def release(self) -> None:
        self.file.close()
        self.lease.release()


def own(directory: Path, name: str | None, on_problem: OnProblem) -> LeasedFile:
    """A file to append to: the named one, or the first that nobody holds; a damaged one is set aside and made anew."""
    for candidate in [name] if name else map(str, count()):
        path = directory / f"{candidate}{SUFFIX}"
        lease = Lease.acquire(path.with_suffix(_LEASE))
        if lease is not None:
            return LeasedFile(_create(path, lease, on_problem), lease)
    raise SpoolUnavailable(f"another process holds {directory / f'{name}{SUFFIX}'}")


def orphans(directory: Path, on_problem: OnProblem) -> list[LeasedFile]:
    """The files with messages whose lease is free, now held by us. Empty ones are removed, damaged ones set aside."""
    found = []
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        lease = Lease.acquire(path.with_suffix(_LEASE))
        if lease is None:
            continue
        leased = None
        try:
            leased = _take(path, lease, on_problem)
        except Problem as problem:
            on_problem(problem)
        if leased is None:
            lease.release()
        else:
            found.append(leased)
    return found


def set_aside_if_free(path: Path, problem: DamagedSpool, on_problem: OnProblem) -> bool:
    """Set a damaged file aside unless a live process holds it (which will find out by itself)."""
    lease = Lease.acquire(path.with_suffix(_LEASE))
    if lease is None:
        return False
    _report_aside(problem, path, on_problem)
    lease.release()
    return True


def _take(path: Path, lease: Lease, on_problem: OnProblem) -> LeasedFile | None:
    try:
        file = SpoolFile.existing(path)
        if file is None:
            return None
        leased = LeasedFile(file, lease)
        if leased.messages():
            return leased
        file.close()
        _remove(path)
    except DamagedSpool as problem:
        _report_aside(problem, path, on_problem)
    return None


def _create(path: Path, lease: Lease, on_problem: OnProblem) -> SpoolFile:
    try:
        return SpoolFile.create(path)
    except DamagedSpool as problem:
        _report_aside(problem, path, on_problem)
        return SpoolFile.create(path)
    except Problem:
        lease.release()
        raise


def _report_aside(problem: DamagedSpool, path: Path, on_problem: OnProblem) -> None:
    on_problem(DamagedSpool(f"{problem.reason}; set aside as {_set_aside(path).name}"))


def _remove(path: Path) -> None:
    """Remove a file that holds no messages, and what belongs to it. Only for the holder of its lease, and closed."""
    for tail in ("", "-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)


def _set_aside(path: Path) -> Path:
    """Rename a damaged file, and what belongs to it, out of the way. Only for the holder of its lease."""
    number = 0
    while True:
        target = path.with_name(f"{path.name}{f'.{number}' if number else ''}.corrupt")
        if not target.exists():
            break
        number += 1
    try:
        path.rename(target)
        for tail in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + tail).rename(target.with_name(target.name + tail))
    except OSError as error:
        raise SpoolUnavailable(f"cannot rename the damaged {path}: {error}") from None
    return target
