"""How much room the disk under a spool has left."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runtime.health import Condition
from runtime.measurements import SPOOL_BYTES, SPOOL_FREE_BYTES
from runtime.metrics import Metrics
from schema.errors import SpoolNearlyFull

_LEAST_SHARE: Final = 0.1
_LEAST_BYTES: Final = 1024**3


class Room:
    """Looks at the disk whenever somebody asks; that costs microseconds."""

    def __init__(self, directory: Path, metrics: Metrics) -> None:
        self._directory = directory
        self._metrics = metrics
        metrics.at_scrape.append(self._measure)

    def conditions(self) -> Iterator[Condition]:
        """Told below a tenth of the disk, or 1 GiB where a tenth is more."""
        try:
            disk = shutil.disk_usage(self._directory)
        except OSError:  # not there yet, or unreadable: whoever writes to it says so
            return
        if disk.free < min(_LEAST_BYTES, disk.total * _LEAST_SHARE):
            reason = f"the disk of the spool has {disk.free // 1024**2} MiB left of {disk.total // 1024**2}"
            yield Condition(SpoolNearlyFull.code, reason, blocking=False)

    def _measure(self) -> None:
        try:
            free = shutil.disk_usage(self._directory).free
            size = sum(path.stat().st_size for path in self._directory.iterdir() if path.is_file())
        except OSError:  # a file may be removed between its listing and the look at it
            self._metrics.forget(SPOOL_FREE_BYTES)
            self._metrics.forget(SPOOL_BYTES)
        else:
            self._metrics.set(SPOOL_FREE_BYTES, free)
            self._metrics.set(SPOOL_BYTES, size)
