"""Exclusive ownership that ends with its process: an flock on a file that holds nothing."""

import fcntl
import os
from pathlib import Path
from typing import Self

from schema.errors import SpoolUnavailable


class Lease:
    """Held until `release` or the end of the process, however it ends. The file stays: removing it would race."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path = path
        self._handle = handle

    @classmethod
    def acquire(cls, path: Path) -> Self | None:
        """The lease, or None if another process (or another part of this one) holds it."""
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SpoolUnavailable(f"cannot create {path}: {error}") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return None
        return cls(path, handle)

    def is_held(self) -> bool:
        """False once somebody removed or replaced the file: then another process may hold a lease of that name."""
        return is_same_file(self._handle, self._path)

    def release(self) -> None:
        os.close(self._handle)


def is_same_file(handle: int, path: Path) -> bool:
    """Whether `path` still names the file that `handle` has open."""
    try:
        named = path.stat()
    except OSError:
        return False
    return os.path.samestat(named, os.fstat(handle))
