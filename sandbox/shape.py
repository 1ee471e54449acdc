"""How one entity's records are made up: a generator per column, and which columns people edit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.draw import Draw
from sandbox.shelf import Record

Generator = Callable[[Draw], Any]
Completion = Callable[[Draw, Record], Record]
Action = Callable[[Draw, Record, str], Record]


def constant(value: Any) -> Generator:
    return lambda _draw: value


def rarely(generator: Generator, share: float = 0.3) -> Generator:
    """None most of the time."""
    return lambda draw: generator(draw) if draw.chance(share) else None


def mostly(generator: Generator) -> Generator:
    return rarely(generator, 0.8)


def ref(entity: str) -> Generator:
    return lambda draw: draw.ref(entity)


def one_of(*choices: Any) -> Generator:
    return lambda draw: draw.one_of(choices)


def between(low: int, high: int) -> Generator:
    return lambda draw: draw.number(low, high)


def counters(*names: str) -> dict[str, Generator]:
    return {name: between(0, 20) for name in names}


def unchanged(_draw: Draw, record: Record) -> Record:
    return record


@dataclass(frozen=True, slots=True)
class Shape:
    """An entity's columns.

    columns   column -> generator; id, times and custom fields are added by `records`
    edited    columns that a person edits
    complete  makes columns agree with each other (a deal's pipeline is that of its stage); after making and editing
    actions   what happens to such a record besides edits; given the time of the change, they return changed columns
    created, updated  its time columns, None where it has none
    key       its primary key
    asked_for  columns that the REST API tells only to who asks for them
    alone     column in which no two of them are the same
    made_of   what a new record is known by: the next number, a UUID, or columns of its own
    """

    columns: Mapping[str, Generator]
    edited: tuple[str, ...]
    complete: Completion = unchanged
    actions: tuple[Action, ...] = ()
    created: str | None = "add_time"
    updated: str | None = "update_time"
    milliseconds: bool = False
    key: tuple[str, ...] = ("id",)
    asked_for: frozenset[str] = frozenset()
    alone: str | None = None
    made_of: Literal["number", "uuid", "columns"] = "number"

    @property
    def apart(self) -> tuple[str, ...]:
        """The columns that must not be those of another record, among those that are made up."""
        if self.made_of == "columns":
            return self.key
        return () if self.alone is None else (self.alone,)
