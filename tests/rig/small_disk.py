"""A disk that can be filled, for whoever runs the tests: root gets a real one, everybody else a process that believes.

A real one is a tmpfs. Without the right to mount, the process is told by `RIG_DISK` (rig/shim) how much is free: that
is what the spool asks before it writes. So the fault is never skipped.
"""

import os
import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

SIZE: Final = 192 * 1024 * 1024
_PIECE: Final = 64 * 1024


class SmallDisk(Protocol):
    """`folder` is on it. `shim`: what a process that writes there must be started with."""

    folder: Path
    shim: Mapping[str, str]
    kind: str

    def leave(self, free: int) -> None:
        """Somebody else takes or frees so much of it that `free` bytes are left."""


class _Mounted:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shim: Mapping[str, str] = {}
        self.kind = "a tmpfs"

    def leave(self, free: int) -> None:
        ballast = self.folder / "ballast"
        ballast.unlink(missing_ok=True)
        disk = os.statvfs(self.folder)
        # What is on the disk writes on meanwhile: the last bytes may be gone by then.
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            for _ in range((disk.f_bavail * disk.f_frsize - free) // _PIECE):
                file.write(bytes(_PIECE))


class _Believed:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._told = folder.with_suffix(".free")
        self._told.write_bytes(struct.pack("d", float(SIZE)))
        self.shim: Mapping[str, str] = {"RIG_DISK": str(self._told)}
        self.kind = "statvfs told so"

    def leave(self, free: int) -> None:
        used = sum(path.stat().st_blocks * 512 for path in self.folder.rglob("*") if path.is_file())
        with self._told.open("r+b") as file:
            file.write(struct.pack("d", float(used + free)))


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    folder.mkdir()
    if not _mounted(folder):
        yield _Believed(folder)
        return
    try:
        yield _Mounted(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mounted(folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "pipemirror-test", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
