"""Versions: which of two assertions about a cell is newer.

A cell is one column of one record (a custom field and an unknown key count as cells of their own). Every source that
carries a cell asserts its value with a version; the newest assertion is what the table shows. A version is plain
text, so that it can be stored, compared and read by people:

    event  01779864881426000.1.8f3a5c2e9b7d1f00.1779864881
           time (microseconds), rank of the action, hash of the content, update_time (seconds, may be empty)
    read   r01779864881.01779864990000000
           update_time (seconds, zero if none), time the REST request began (microseconds, Pipedrive's clock)
    none   r01779864881.01779864990000000-
           the same of a request that found no such record: the update_time is the last that was known

Events order as text. A read is compared with an event by update_time, and only within the same second by the clock:
see docs/decisions/0003-versions.md for why, and for the proof that this is one total order.
"""

from functools import cmp_to_key
from typing import Final, NewType

Version = NewType("Version", str)

CREATE: Final = 0
CHANGE: Final = 1
DELETE: Final = 2
"""Ranks: of two events of one instant, a change beats a create and a delete beats a change."""

SETTLED: Final = 60_000_000
"""Microseconds after an event before a read of the same update_time may be believed over it (replica lag)."""

LATEST: Final = 10**17 - 1
"""The last microsecond a version can hold: the year 5138."""


def of_event(at: int, rank: int, tie: str, updated: int | None) -> Version:
    """Microseconds, rank, 16 hex digits of the content's hash, update_time in seconds."""
    return Version(f"{at:017d}.{rank}.{tie}.{'' if updated is None else updated}")


def of_read(updated: int | None, began: int) -> Version:
    """update_time in seconds, and the microsecond the request began."""
    return Version(f"r{updated or 0:011d}.{began:017d}")


def of_absence(known: Version, began: int) -> Version:
    """That a record was gone when a request began. `known`: the version of what said that it exists."""
    # What is known may be later than the request: then it stands.
    return Version(f"{of_read(min(updated(known), began // 1_000_000), began)}-")


def is_read(version: Version) -> bool:
    return version[0] == "r"


def newer(version: Version, than: Version | None) -> bool:
    """Whether an assertion of `version` replaces one of `than` (None: the cell was never asserted)."""
    if than is None:
        return True
    if is_read(version):
        return _read_beats_read(version, than) if is_read(than) else _read_beats_event(version, than)
    return not _read_beats_event(than, version) if is_read(than) else version > than


def _compare(one: Version, other: Version) -> int:
    return 0 if one == other else 1 if newer(one, other) else -1


order = cmp_to_key(_compare)
"""A key to sort versions by, the older first."""


def explains(event: Version, read: Version) -> bool:
    """Whether a newer `event` is the change that `read` already saw, so that the read is no change of its own."""
    updated, began = _parts_of_read(read)
    at, event_updated = _parts_of_event(event)
    if updated and event_updated and not _is_absence(read):
        return updated == event_updated
    return at <= began


def updated(version: Version) -> int:
    """The record's update_time as the assertion knows it, in seconds; 0 if it does not."""
    return (_parts_of_read(version) if is_read(version) else _parts_of_event(version)[::-1])[0]


def saw(read: Version, known: Version) -> bool:
    """Whether a `read` that found a record deleted saw what is `known` of that already."""
    return is_read(read) and newer(read, known) and (_is_absence(read) or 0 < updated(read) == updated(known))


def asked(read: Version) -> int:
    """Microseconds: when the request for it began."""
    return _parts_of_read(read)[1]


def moment(version: Version) -> int:
    """Microseconds: the event's time; for a read its update_time, else when it began.

    A record may be gone without another update: so of that it is when it was found.
    """
    if is_read(version):
        updated, began = _parts_of_read(version)
        return updated * 1_000_000 if updated and not _is_absence(version) else began
    return int(version[:17])


def _read_beats_event(read: Version, event: Version) -> bool:
    updated, began = _parts_of_read(read)
    at, event_updated = _parts_of_event(event)
    settled = began > at + SETTLED
    if updated and event_updated and updated != event_updated:
        # Who finds nothing has not seen which update was the last.
        return updated > event_updated or (settled and _is_absence(read))
    return settled


def _read_beats_read(read: Version, other: Version) -> bool:
    if _is_absence(read) != _is_absence(other) and abs(asked(read) - asked(other)) > SETTLED:
        return asked(read) > asked(other)
    return read > other


def _is_absence(version: Version) -> bool:
    return version[-1] == "-"


def _parts_of_read(read: Version) -> tuple[int, int]:
    return int(read[1:12]), int(read[13:30])


def _parts_of_event(event: Version) -> tuple[int, int]:
    updated = event.rpartition(".")[2]
    return int(event[:17]), int(updated or 0)
