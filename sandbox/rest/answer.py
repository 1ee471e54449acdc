"""The body of a good answer: a page of a list, or one record. Pure; what cannot be answered is raised as `Refused`."""

from typing import Any, Final

from sandbox.rest import paging, query
from sandbox.rest.listing import Listing, Single
from sandbox.rest.paging import Cursor, Order
from sandbox.rest.query import Params
from sandbox.rest.refusals import Body, Refused, bad, not_found
from sandbox.rest.rows import row
from sandbox.rest.view import View
from sandbox.shelf import Record

_MICROS: Final = 1_000_000


def page(listing: Listing, view: View, params: Params, parent: str | None = None) -> Body:
    """One page. `params` are those of the query, the cursor or the offset among them."""
    order = query.order(listing, params)
    found = query.chosen(listing, view, params, parent)
    if listing.paging == "cursor":
        return _by_cursor(listing, view, params, order, list(found))
    ordered = sorted(found, key=order.of, reverse=order.descending)
    if listing.paging == "whole":
        return {"success": True, "data": _told(listing, view, params, ordered)}
    return _by_offset(listing, view, params, ordered)


def single(what: Single, view: View, params: Params, text: str) -> Body:
    """One record."""
    record = view.one(what.entity, query.key(what.entity, text))
    if record is None:
        if what.entity == "lead":
            raise Refused(404, "requested lead not found", body=_no_lead())
        raise not_found()
    return {"success": True, "data": row(view, what.entity, record, _asked(params))}


def _by_cursor(listing: Listing, view: View, params: Params, order: Order, found: list[Record]) -> Body:
    now, start = view.company.now(), None
    if "cursor" in params:
        start = paging.cursor(params["cursor"], order)
        _refuse_if_old(start, view, now)
    records, following = paging.after(found, order, start, query.limit(listing, view, params), now)
    told = {"next_cursor": None if following is None else following.text()}
    return {"success": True, "data": _told(listing, view, params, records), "additional_data": told}


def _refuse_if_old(start: Cursor, view: View, now: int) -> None:
    lives = view.rules.cursor_lives
    if lives is not None and now - start.at > lives * _MICROS:
        raise bad("Provided cursor is not valid.")


def _by_offset(listing: Listing, view: View, params: Params, ordered: list[Record]) -> Body:
    """Only the wrapped form tells where the next page starts, and only while there is one."""
    start, limit = query.number(params, "start", 0), query.limit(listing, view, params)
    more = len(ordered) > start + limit
    told: dict[str, Any] = {"start": start, "limit": limit, "more_items_in_collection": more}
    if listing.paging == "pagination":
        told = {"pagination": told | ({"next_start": start + limit} if more else {})}
    rows = _told(listing, view, params, ordered[start : start + limit])
    return {"success": True, "data": rows, "additional_data": told}


def _told(listing: Listing, view: View, params: Params, records: list[Record]) -> Any:
    asked, omits = _asked(params), set(listing.omits)
    if listing.parent is not None and not listing.parent.told:
        omits.add(listing.parent.column)
    rows = [row(view, listing.entity, record, asked) for record in records]
    return listing.wrapped([{column: row[column] for column in row if column not in omits} for row in rows])


def _asked(params: Params) -> frozenset[str]:
    """Columns that are not told to everyone. A mail's body has a parameter of its own."""
    body = {"body"} if params.get("include_body") in {"1", "true"} else set()
    return frozenset((*body, *filter(None, params.get("include_fields", "").split(","))))


def _no_lead() -> Body:
    """Leads are of v1, but say no as v2 does."""
    return Refused(404, "requested lead not found", "Object was not found.").told(2)
