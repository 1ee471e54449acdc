"""What a request asks of a list: which records, in which order, how many. Pure; what makes no sense is a 400."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from sandbox.records import ALL
from sandbox.rest.listing import Listing
from sandbox.rest.paging import Order
from sandbox.rest.refusals import bad, not_found
from sandbox.rest.view import View
from sandbox.shelf import Id, Record, identity

Params = Mapping[str, str]

IDS_AT_ONCE: Final = 100
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_SECONDS: Final = 19
_PAGE: Final = 100


def chosen(listing: Listing, view: View, params: Params, parent: str | None) -> Iterator[Record]:
    """The records that this request means, in no order yet."""
    if refused := [name for name in listing.refuses if name in params]:
        raise bad(f"{refused[0]} is not allowed")
    tests = [*_of_parent(listing, view, params, parent), *_delta(listing, params)]
    if "filter_id" not in params:  # documented: with it, the other filters are ignored
        tests += [*_equal(listing, params), *_ids(listing, params), *_own(listing, view, params)]
    for record in _of_status(listing, view, params):
        if listing.shows(record) and all(test(record) for test in tests):
            yield record


def order(listing: Listing, params: Params) -> Order:
    """v2 takes `sort_by` and `sort_direction`, v1 `sort=update_time DESC`."""
    if listing.v == 1:
        column, _, direction = params.get("sort", listing.order).split(",")[0].strip().partition(" ")
    else:
        column, direction = params.get("sort_by", listing.order), params.get("sort_direction", "")
    direction = direction.lower() or ("desc" if listing.descending else "asc")
    if column not in (*listing.sorts, listing.order):
        raise bad(f"sort_by must be one of {', '.join(listing.sorts)}")
    if direction not in {"asc", "desc"}:
        raise bad("sort_direction must be asc or desc")
    return Order(column, ALL[listing.entity].key, direction == "desc")


def limit(listing: Listing, view: View, params: Params) -> int:
    """v1 takes as many as it gives; of v2 it is unknown what too many do."""
    wanted = number(params, "limit", min(_PAGE, listing.most))
    if wanted < 1:
        raise bad("limit must be positive")
    if wanted > listing.most and listing.v != 1 and view.rules.above_limit == "refused":
        raise bad(f"limit must not be greater than {listing.most}")
    return min(wanted, listing.most)


def number(params: Params, name: str, default: int) -> int:
    text = params.get(name, str(default))
    if not text.isdecimal():
        raise bad(f"{name} must be a number")
    return int(text)


def key(entity: str, text: str) -> Id:
    """A record's key as it stands in a path. A number is asked for where the entity has numbers."""
    if ALL[entity].made_of != "number":
        return text
    if not text.isdecimal():
        raise bad("id must be a number")
    return int(text)


def _of_status(listing: Listing, view: View, params: Params) -> Iterable[Record]:
    """Without `status`, or without a word for it: all that live."""
    if not listing.statuses or not params.get("status"):
        return view.records(listing.entity)
    asked = frozenset(params["status"].split(","))
    if unknown := asked - set(listing.statuses):
        raise bad(f"status must not be {min(unknown)}")
    alive = [record for record in view.records(listing.entity) if record["status"] in asked]
    return [*alive, *view.deleted(listing.entity)] if "deleted" in asked else alive


def _of_parent(listing: Listing, view: View, params: Params, parent: str | None) -> Iterator[Callable[[Record], bool]]:
    if listing.parent is None:
        return
    what, given = listing.parent, parent
    if what.param is not None:
        given = params.get(what.param)
        if not given:
            raise bad(f"{what.param} is required")
    elif given is None or view.one(what.entity, key(what.entity, given)) is None:
        raise not_found()
    texts = frozenset(given.split(","))
    if len(texts) > what.most:
        raise bad(f"{what.param} must not have more than {what.most} ids")
    columns = [what.column] if what.also is None else [what.column, what.also]
    yield lambda record: any(str(record[column]) in texts for column in columns)


def _delta(listing: Listing, params: Params) -> Iterator[Callable[[Record], bool]]:
    """A record without an update time is in no delta."""
    column = ALL[listing.entity].updated or ""
    if listing.since and "updated_since" in params:
        since = _time(params, "updated_since")
        yield lambda record: record[column] is not None and record[column][:_SECONDS] >= since
    if listing.until and "updated_until" in params:
        until = _time(params, "updated_until")
        yield lambda record: record[column] is not None and record[column][:_SECONDS] < until


def _time(params: Params, name: str) -> str:
    """To the second, without the zone."""
    if not _TIME.fullmatch(params[name]):
        raise bad(f"{name} must be in RFC3339 format, without a fraction: 2025-01-01T10:20:00Z")
    return params[name][:_SECONDS]


def _equal(listing: Listing, params: Params) -> Iterator[Callable[[Record], bool]]:
    for name, column in listing.filters.items():
        given = params.get(name, listing.otherwise.get(name))
        if given is not None:
            yield _equals(column, given.lower())


def _equals(column: str, value: str) -> Callable[[Record], bool]:
    def equal(record: Record) -> bool:
        found: Any = record
        for part in column.split("."):
            found = found[part]
        return value in map(str, found) if isinstance(found, list) else str(found).lower() == value

    return equal


def _own(listing: Listing, view: View, params: Params) -> Iterator[Callable[[Record], bool]]:
    if listing.own is None:
        return
    column, unless = listing.own
    if not any(name in params for name in unless):
        yield lambda record: bool(record[column] == view.user_id)


def _ids(listing: Listing, params: Params) -> Iterator[Callable[[Record], bool]]:
    if not listing.ids or "ids" not in params:
        return
    texts = params["ids"].split(",")
    if len(texts) > IDS_AT_ONCE:
        raise bad(f"ids must not have more than {IDS_AT_ONCE} items")
    wanted, columns = frozenset(texts), ALL[listing.entity].key
    yield lambda record: str(identity(columns, record)) in wanted
