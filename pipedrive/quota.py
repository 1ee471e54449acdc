"""What the headers of an answer tell of the limits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

DAY: Final = 86_400

_WHOLE: Final = re.compile(r"-?[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Quota:
    """None for what was not told.

    window_limit, window_left  requests of two seconds, by this token
    tokens_limit, tokens_left  of the whole account's day; Pipedrive does not document these and may leave them out
    """

    window_limit: int | None = None
    window_left: int | None = None
    tokens_limit: int | None = None
    tokens_left: int | None = None

    @classmethod
    def told(cls, headers: Mapping[str, str]) -> Self:
        """From headers by their names in lower case; what is no whole number counts as not told."""
        return cls(
            _number(headers.get("x-ratelimit-limit")),
            _number(headers.get("x-ratelimit-remaining")),
            _number(headers.get("x-daily-ratelimit-token-limit")),
            _number(headers.get("x-daily-ratelimit-token-remaining")),
        )


def next_day(now: float) -> float:
    """Seconds since 1970 of the next midnight UTC. Pipedrive says "midnight", and not in which zone: an assumption."""
    return (now // DAY + 1) * DAY


def _number(told: str | None) -> int | None:
    return max(int(told), 0) if told is not None and _WHOLE.fullmatch(told) else None
