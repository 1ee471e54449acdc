"""Spans of time as people read them."""

from collections.abc import Sequence
from typing import Final

_FORMS: Final = ((86_400, "d", 0), (3_600, "h", 0), (60, "min", 0), (1, "s", 1), (0.001, "ms", 0))


def spread(seconds: Sequence[float]) -> str:
    """Several, in the unit of the longest: `13/79/89 ms`, `0.2/1.1/3.4 s`; `-` where there are none."""
    if not seconds:
        return "-"
    longest = max(map(abs, seconds))
    size, unit, digits = next(form for form in _FORMS if longest >= 2 * form[0] or form is _FORMS[-1])
    return f"{'/'.join(f'{one / size:.{digits}f}' for one in seconds)} {unit}"


def age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
