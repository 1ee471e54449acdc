"""What a background loop does with a problem: it tells somebody and goes on."""

from collections.abc import Callable

from schema.errors import Problem

OnProblem = Callable[[Problem], None]
"""Told of each problem as it happens, for a log line and a counter. Must not raise. May be called from any thread."""


def ignore(_: Problem) -> None:
    """The OnProblem of those who do not care."""
