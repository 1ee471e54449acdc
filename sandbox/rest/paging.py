"""Pages of a list: keyset cursors as v2 has them, offsets as v1 has them. Pure."""

import base64
import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from sandbox.rest.refusals import bad
from sandbox.shelf import Id, Record, identity

Key = tuple[bool, Any, Id]


@dataclass(frozen=True, slots=True)
class Order:
    """By a column, then by the primary key. What is null comes first."""

    column: str
    key: tuple[str, ...]
    descending: bool = False

    def of(self, record: Record) -> Key:
        value = identity(self.key, record) if self.column == "id" else record[self.column]
        return value is not None, 0 if value is None else value, identity(self.key, record)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a walk stands: after the row with this value and key. `at` is when it was handed out, in microseconds."""

    order: Order
    value: Any
    id: Id
    at: int

    @property
    def key(self) -> Key:
        return self.value is not None, 0 if self.value is None else self.value, self.id

    def text(self) -> str:
        """As the API tells it: base64url without padding of a small object."""
        told = {
            "field": self.order.column,
            "fieldValue": self.value,
            "sortDirection": "desc" if self.order.descending else "asc",
            "id": self.id,
            "at": self.at,
        }
        return base64.urlsafe_b64encode(orjson.dumps(told)).decode().rstrip("=")


def cursor(text: str, order: Order) -> Cursor:
    """Read it again; it fits only the order that it was made in."""
    try:
        told = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        found = Cursor(order, _whole(told["fieldValue"]), _whole(told["id"]), told["at"])
        fits = told["field"] == order.column and (told["sortDirection"] == "desc") == order.descending
    except (ValueError, KeyError, TypeError) as error:
        raise bad("Provided cursor is not valid.") from error
    if not fits:
        raise bad("Provided cursor is not valid.")
    return found


def after(
    records: Iterable[Record], order: Order, start: Cursor | None, limit: int, at: int
) -> tuple[list[Record], Cursor | None]:
    """The next `limit` records, and the cursor behind them while there are more."""
    if start is not None:
        passed = start.key
        records = (r for r in records if (order.of(r) < passed if order.descending else order.of(r) > passed))
    first = heapq.nlargest if order.descending else heapq.nsmallest
    found = first(limit + 1, records, key=order.of)
    page = found[:limit]
    if len(found) == len(page):
        return page, None
    present, value, record_id = order.of(page[-1])
    return page, Cursor(order, value if present else None, record_id, at)


def _whole(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
