"""Looking into spool files without taking anything: whose events lie there. Everything here blocks."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from runtime.spool.file import SUFFIX, SpoolFile
from schema.envelope import Envelope, unpack
from schema.errors import Problem

CORRUPT: Final = ".corrupt"
_PAGE: Final = 50


def files(directory: Path) -> list[Path]:
    """The spool files, those that were set aside as damaged included."""
    return sorted((*directory.glob(f"*{SUFFIX}"), *directory.glob(f"*{CORRUPT}")))


def of_company(directory: Path, company_id: int, *, before: int) -> dict[str, int | str]:
    """File -> events of the company that were received before `before` (microseconds), or why it cannot be read."""
    found: dict[str, int | str] = {}
    for path in files(directory):
        try:
            found[str(path)] = _damaged(path) or _count(path, company_id, before)
        except Problem as problem:
            found[str(path)] = problem.reason
    return found


def _damaged(path: Path) -> str:
    return "set aside as damaged: recover or delete it" if path.suffix == CORRUPT else ""


def _count(path: Path, company_id: int, before: int) -> int:
    file = SpoolFile.existing(path)
    if file is None:
        return 0
    with closing(file):
        return sum(envelope.company_id == company_id and envelope.received_at < before for envelope in _envelopes(file))


def _envelopes(file: SpoolFile) -> Iterator[Envelope]:
    for key in file.routing_keys():
        after = 0
        while rows := file.of_key(key, after=after, limit=_PAGE):
            for row in rows:
                yield from unpack(row.body)
            after = rows[-1].id
