"""When a request began, on the clock of who answered it."""

from email.utils import parsedate_to_datetime
from typing import Final

_SECOND: Final = 1_000_000
_LONG_AGO: Final = 1_767_225_600 * _SECOND
"""2026: before the first release."""


def began(date: str | None, sent: int, elapsed: int) -> int:
    """Microseconds since 1970 at which a request began, or a little before: never after.

    date     the answer's `Date` header, of whole seconds
    sent     when it was sent, by the local clock, in microseconds since 1970
    elapsed  microseconds until its answer's head was there

    A read that claims to be younger than it is could win over what happened meanwhile; one that claims to be older
    only loses to it. Hence the whole round trip is taken off, and the fraction that `Date` leaves out is not added.
    However far the local clock is off: the times that Pipedrive writes into its rows and events are of its own. But a
    `Date` of long ago is no time of a server that works.
    """
    try:
        answered = int(parsedate_to_datetime(date or "").timestamp()) * _SECOND
    except (ValueError, OverflowError):
        return sent
    return answered - elapsed if answered >= _LONG_AGO else sent
