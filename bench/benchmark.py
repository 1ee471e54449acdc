"""What a benchmark is: a name, what it tells, and a coroutine that measures."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.effort import Effort
from bench.figures import Figure
from bench.ground import Ground

Measure = Callable[[Ground, Effort], Awaitable[list[Figure]]]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`name` selects it on the command line; `title` heads its table; `about` says how it was measured."""

    name: str
    title: str
    about: str
    measure: Measure
