"""A walk through one list of the API: the next request, and what its answer says of the one after it.

Where an answer says how to go on, that is followed, whatever was declared; a declaration says how to begin, and what
silence means. A walk ends or fails with a name for why: no answer can keep it going for ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pipedrive.errors import AnswerUnreadable, ListRepeats, UnexpectedAnswer
from pipedrive.offsets import after_rows
from pipedrive.position import BEGINNING, Position
from pipedrive.request import Request
from pipedrive.rows import MOST_IDLE, digest, page_identity
from schema.listing import NOTHING, Listing, Paging


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a list, and where it goes on.

    next      the position of the next page; None at the end
    repeated  how many of the first rows stood at the end of the page before: a list that counts rows is read with an
              overlap. They may be newer than they were there
    shifted   the list has changed so much that this page did not join the one before: `next` is a step back
    strange   how many rows were null or no object; they are left out
    cut       there are as many rows as were asked for, and no word about whether there are more: ask for less at once
    """

    rows: list[dict[str, Any]]
    next: str | None
    repeated: int = 0
    shifted: bool = False
    strange: int = 0
    cut: bool = False


def request(
    listing: Listing,
    position: str = BEGINNING,
    params: Mapping[str, str] = NOTHING,
    parents: Sequence[int | str] = (),
) -> Request:
    """The request for the page at `position`.

    params   beside those of the listing: an order, a time since when, ids
    parents  ids of those whose children are asked for: one, or up to the listing's batch
    """
    path, given = listing.path, {**listing.params, **params}
    if listing.parent is not None and listing.parent.param is not None:
        given[listing.parent.param] = ",".join(map(str, parents))
    elif parents:
        path = path.replace("{parent}", quote(str(parents[0]), safe=""))
    given |= _place(listing, Position.read(position))
    return Request("GET", path, given, listing.cost)


def page(listing: Listing, position: str, body: Mapping[str, Any]) -> Page:
    """What the answer to `request(listing, position, ...)` holds.

    Raise UnexpectedAnswer, ListRepeats, ListUnstable: then the list cannot be read to its end. Raise AnswerUnreadable
    where it holds null in the place of rows: the same answer would be another one the next time.
    """
    at, found = Position.read(position), _found(listing, body)
    if found is None:
        found = _nothing(listing, body)
    rows = [row for row in found if isinstance(row, dict)]
    strange = len(found) - len(rows)
    if cursor := _cursor(body):
        return Page(rows, _after_cursor(listing, at, cursor, rows), strange=strange)
    more, told = _more(body)
    if listing.paging is Paging.OFFSET or more or at.start:
        step = after_rows(listing, at, rows, more=more, told=told, counted=at.first + len(found))
        following = None if step.next is None else step.next.text
        return Page(rows, following, step.repeated, step.shifted, strange)
    silent = listing.paging is Paging.CURSOR and more is None and not _ended(body)
    return Page(rows, None, strange=strange, cut=silent and len(found) >= listing.limit)


def is_null(listing: Listing, body: Mapping[str, Any]) -> bool:
    """Whether null stands where the rows should."""
    return _found(listing, body) is None


def _place(listing: Listing, at: Position) -> dict[str, str]:
    if at.cursor:
        return {"cursor": at.cursor, "limit": str(listing.limit)}
    if at.start or listing.paging is Paging.OFFSET:
        return {"start": str(at.first), "limit": str(listing.limit)}
    return {"limit": str(listing.limit)} if listing.paging is Paging.CURSOR else {}


def _after_cursor(listing: Listing, at: Position, cursor: str, rows: list[dict[str, Any]]) -> str:
    """Cursors that go round are found however long the round is, by one that is remembered, ever longer (Brent)."""
    identity, here, pages = digest(cursor), page_identity(rows), at.pages + 1
    idle = 0 if rows else at.idle + 1
    if identity == at.anchor or cursor == at.cursor or (rows and here == at.page) or idle > MOST_IDLE:
        raise ListRepeats(f"{listing.path}: the same page came again after {pages} pages")
    is_power_of_two = pages & (pages - 1) == 0
    anchor = identity if is_power_of_two else at.anchor
    return Position(cursor=cursor, page=here, anchor=anchor, pages=pages, idle=idle).text


def _nothing(listing: Listing, body: Mapping[str, Any]) -> list[Any]:
    """v1 writes an empty list as null, and either version one row that is not there; a list of v2 is never null."""
    is_v2 = listing.path.startswith("/api/v2/") and listing.paging is Paging.CURSOR
    if is_v2 or _cursor(body) or _more(body)[0]:
        raise AnswerUnreadable(f"{listing.path}: null in the place of rows")
    return []


def _found(listing: Listing, body: Mapping[str, Any]) -> list[Any] | None:
    """What stands where the rows should; None if that is null, or on the way there; one object where all is one row."""
    found: Any = body
    for key in listing.rows:
        if not isinstance(found, Mapping) or key not in found:
            raise UnexpectedAnswer(f"{listing.path}: no {'.'.join(listing.rows)} in the answer")
        found = found[key]
        if found is None:
            return None
    if isinstance(found, list):
        return found
    if isinstance(found, dict) and listing.paging is Paging.WHOLE:
        return [found] if found else []
    raise UnexpectedAnswer(f"{listing.path}: {'.'.join(listing.rows)} is no list")


def _additional(body: Mapping[str, Any]) -> Mapping[str, Any]:
    found = body.get("additional_data")
    return found if isinstance(found, Mapping) else NOTHING


def _cursor(body: Mapping[str, Any]) -> str:
    found = _additional(body).get("next_cursor")
    return "" if found is None else str(found)


def _ended(body: Mapping[str, Any]) -> bool:
    """Whether it says that there is no next cursor, as opposed to saying nothing."""
    return "next_cursor" in _additional(body)


def _more(body: Mapping[str, Any]) -> tuple[bool | None, int | None]:
    """Whether there are more rows, and from where; None for what is not told. It is told in one of two places."""
    additional = _additional(body)
    nested = additional.get("pagination")
    told = nested if isinstance(nested, Mapping) else additional
    more, start = told.get("more_items_in_collection"), told.get("next_start")
    return None if more is None else bool(more), start if type(start) is int else None
