"""The directory of a spool: made durable, and only where locks and fsync mean what they say."""

import os
import re
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Final

from schema.errors import Misconfigured, SpoolUnavailable

_MOUNTS: Final = Path("/proc/self/mountinfo")
_NETWORK: Final = frozenset(
    {"afs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
    | {f"fuse.{kind}" for kind in ("ceph", "davfs2", "gcsfuse", "glusterfs", "juicefs", "rclone", "s3fs", "sshfs")}
)
RESERVE: Final = 64 * 1024 * 1024
"""Bytes of the disk that messages never take: to hand out and to delete needs room too, in SQLite's log and behind it.
Without it a spool that filled its disk could not be emptied any more."""

_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


def prepare(directory: Path) -> None:
    """Create it. Raise Misconfigured on a network filesystem, SpoolUnavailable where nothing can be created."""
    refuse_network(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # A file is only durable when the directory that names it is.
        for folder in (directory, directory.parent):
            _sync(folder)
    except OSError as error:
        raise SpoolUnavailable(f"cannot create the spool {directory}: {error}") from None


def refuse_network(directory: Path) -> None:
    """Raise Misconfigured if `directory` is, or would be, on a network filesystem."""
    try:
        mounts = _MOUNTS.read_text()
    except OSError:
        return  # not Linux: nothing says what is mounted where
    kind = filesystem_of(directory.resolve(), mounts)
    if kind in _NETWORK:
        raise Misconfigured(
            f"DATA_DIR: {directory} is on a network filesystem ({kind}), which can lose a spool; expected a local disk"
        )


def refuse_full(directory: Path, needed: int, reusable: Callable[[], int]) -> None:
    """Raise SpoolUnavailable unless `needed` more bytes leave the reserve of the disk untouched.

    `reusable` says how many bytes the files there can take without growing; it is asked only when that matters.
    """
    try:
        disk = os.statvfs(directory)
    except OSError as error:
        raise SpoolUnavailable(f"cannot look at the disk of {directory}: {error.strerror}") from None
    free = disk.f_bavail * disk.f_frsize
    if free - needed < RESERVE and free - needed + reusable() < RESERVE:
        raise SpoolUnavailable(f"the disk of {directory} is full: {free} bytes are free, {RESERVE} are kept in reserve")


def filesystem_of(path: PurePath, mountinfo: str) -> str:
    """The filesystem type of an absolute `path`, as of the text of /proc/self/mountinfo; "" if that does not say."""
    longest, kind = -1, ""
    for line in mountinfo.splitlines():
        mount, _, rest = line.partition(" - ")
        point = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), mount.split(" ")[4])
        # At equal length the later line wins: it is mounted over the earlier.
        if len(point) >= longest and path.is_relative_to(point):
            longest, kind = len(point), rest.split(" ")[0]
    return kind


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
