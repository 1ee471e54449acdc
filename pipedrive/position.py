"""Where a walk through a list stands: a value in the code, a text in the database."""

from dataclasses import asdict, dataclass
from typing import Final, Self

import orjson

BEGINNING: Final = ""
"""The text of a walk that has not begun."""


@dataclass(frozen=True, slots=True)
class Position:
    """What the next request is made of, and what its answer is compared with.

    cursor   of a list that gives cursors; empty for one that counts rows
    start    of a list that counts rows: where the next page begins, its overlap not taken off
    back     how many rows before `start` it is asked for
    counted  where it would begin by the rows there were, if that is less than what the list itself said
    tail     marks of rows of the last page, oldest first: the next page must hold one of them
    size     rows of the largest page so far
    page     identity of the last page: the next one must be another
    anchor   identity of a cursor that must not come again, and `pages` how many pages were read
    idle     pages in a row that held nothing new
    anew     how often the walk fell back to the beginning of the list
    """

    cursor: str = ""
    start: int = 0
    back: int = 0
    counted: int = 0
    tail: tuple[str, ...] = ()
    size: int = 0
    page: str = ""
    anchor: str = ""
    pages: int = 0
    idle: int = 0
    anew: int = 0

    @classmethod
    def read(cls, text: str) -> Self:
        """What gave `text`. A text that nothing gave is the beginning: a walk may always begin anew."""
        try:
            told = orjson.loads(text)
            return cls(**{**told, "tail": tuple(told.get("tail", ()))})
        except (ValueError, TypeError, AttributeError):
            return cls()

    @property
    def text(self) -> str:
        """Only what is not as at the beginning: a column holds it, and it changes with each page."""
        return orjson.dumps({name: value for name, value in asdict(self).items() if value}).decode()

    @property
    def first(self) -> int:
        """The row that the next page is asked from."""
        return max(self.start - self.back, 0)
