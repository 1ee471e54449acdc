"""Lists that count rows: `start` and `limit`, over rows that come and go meanwhile.

If a row before the offset goes, all that follow move up, and the next page begins too late. So each page is asked for
with an overlap. If it holds a row of the page before, nothing can lie between them: what followed that row then was on
the page before, or follows it now. If not, the walk steps back until it does, at worst to the beginning. A row that has
changed since does not count: it may have moved.

The rows must be in an order in which a row that changes moves towards the end, or not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pipedrive.errors import ListRepeats, ListUnstable
from pipedrive.position import Position
from pipedrive.rows import MOST_IDLE, identity, mark, page_identity
from schema.listing import Listing

OVERLAP: Final = 5
"""Rows of a page that are asked for again with the next one: at 500 rows a page, a hundredth."""

_REMEMBERED: Final = (1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 400)
"""Rows of a page that the next one may be joined by, counted from its end. Who changes many rows at once makes all of
those at the end go; some of those further before stay."""

_SMALLEST_CAP: Final = 50
"""Lists that do not say whether they go on may answer less than asked for; none is known to stop below this."""

_MOST_ANEW: Final = 3


@dataclass(frozen=True, slots=True)
class Step:
    """`next` is None at the end; `repeated` and `shifted` as in `paging.Page`."""

    next: Position | None
    repeated: int = 0
    shifted: bool = False


def after_rows(
    listing: Listing,
    at: Position,
    rows: Sequence[dict[str, Any]],
    *,
    more: bool | None,
    told: int | None,
    counted: int,
) -> Step:
    """What follows a page that was asked for at `at`.

    more     whether the list goes on; None if it says nothing
    told     where the next page begins, by the list's own words
    counted  the same by the number of rows that were answered

    Raise ListRepeats, ListUnstable.
    """
    going_on = _may_go_on(listing, len(rows)) if more is None else more
    here, joint = page_identity(rows), _joint(rows, at.tail)
    if rows and going_on and here == at.page:
        if more is None and len(rows) < listing.limit:
            return Step(None, joint)
        raise ListRepeats(f"{listing.path}: answers the same page whatever `start` is")
    if at.tail and at.first and at.back and not joint:
        return Step(replace(_further_back(listing, at), page=here), shifted=True)
    if not going_on or (more is None and joint == len(rows)):
        return Step(None, joint)
    onwards = _onwards(listing, at, rows, told=told, counted=counted, joint=joint)
    return Step(replace(onwards, page=here), joint)


def _may_go_on(listing: Listing, rows: int) -> bool:
    """Of a list that says nothing of it. One that answers more than it was asked for has answered with all."""
    return min(_SMALLEST_CAP, listing.limit) <= rows <= listing.limit


def _onwards(
    listing: Listing, at: Position, rows: Sequence[dict[str, Any]], *, told: int | None, counted: int, joint: int
) -> Position:
    nothing_new = joint == len(rows)
    if nothing_new and at.idle >= MOST_IDLE:
        raise ListRepeats(f"{listing.path}: says that more rows follow, and answers none")
    size = max(at.size, len(rows))
    overlap = min(OVERLAP, size // 2)
    # What a list says itself is believed only where an overlap will show whether it skips rows.
    believed = told is not None and told > at.first and (overlap or not rows)
    start = told if told is not None and believed else max(counted, at.first + 1)
    remembered = tuple(mark(rows[-n]) for n in reversed(_REMEMBERED) if n <= len(rows)) or at.tail
    return Position(
        start=start,
        back=overlap,
        counted=min(counted, start),
        # Rows that this user may not see are counted and left out. Beyond a page of them nothing can be joined.
        tail=() if nothing_new and start > counted else remembered,
        size=size,
        idle=at.idle + 1 if nothing_new else 0,
        anew=at.anew,
    )


def _joint(rows: Sequence[dict[str, Any]], tail: tuple[str, ...]) -> int:
    """How many of the rows stood on the page before, up to the last that is remembered of it and has not changed."""
    remembered = {told.rpartition(":")[0]: told for told in tail}
    known = (remembered.get(identity(row)) for row in rows)
    return max((place for place, told in enumerate(known, 1) if told and told == mark(rows[place - 1])), default=0)


def _further_back(listing: Listing, at: Position) -> Position:
    """By the rows there were, if the list skipped some by its own words; else back by a page, which joins this one."""
    if at.counted < at.start:
        return replace(at, start=at.counted)
    back = replace(at, start=at.first, counted=at.first, back=max(at.size - min(OVERLAP, at.size // 2), 1))
    if back.first:
        return back
    if at.anew >= _MOST_ANEW:
        raise ListUnstable(f"{listing.path}: rows came and went faster than it could be read")
    return replace(back, anew=at.anew + 1)
