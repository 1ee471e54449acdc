"""How many messages lie in the files of a spool directory, asked once, without taking any. Blocks."""

from collections import Counter
from pathlib import Path

from runtime.spool.file import SUFFIX, SpoolFile


def waiting(directory: Path) -> dict[str, int]:
    """Messages per routing key, those handed out and not acknowledged included. Raise SpoolUnavailable."""
    counts: Counter[str] = Counter()
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        file = SpoolFile.existing(path)
        if file is not None:
            counts.update(file.counts())
            file.close()
    return dict(counts)
