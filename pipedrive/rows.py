"""What rows and pages are recognised by when they come again."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import orjson

MOST_IDLE: Final = 100
"""Pages in a row without anything new: whoever claims still more rows has none."""


def digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


def identity(row: Mapping[str, Any]) -> str:
    """The row's id; of one that has none, what it says."""
    found = row.get("id")
    return str(found) if found is not None else digest(orjson.dumps(row, option=orjson.OPT_SORT_KEYS).decode())


def mark(row: Mapping[str, Any]) -> str:
    """What the row is and says: a row that has changed may also have moved."""
    return f"{identity(row)}:{digest(orjson.dumps(row, option=orjson.OPT_SORT_KEYS).decode())}"


def page_identity(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many rows, the first and the last. Two pages of one walk that agree in these are the same page."""
    return f"{len(rows)}:{identity(rows[0])}:{identity(rows[-1])}" if rows else ""
