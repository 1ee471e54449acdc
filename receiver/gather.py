"""What waits to be published, per lane, and how it is cut into bundles. No I/O, no clock."""

from collections import deque
from typing import Generic, NamedTuple, TypeVar

from schema.envelope import MAX_BUNDLE_BYTES, MAX_BUNDLE_EVENTS

T = TypeVar("T")


class Bundle(NamedTuple, Generic[T]):
    """Events of one lane that travel together, oldest first. `size` in bytes, framing included."""

    routing_key: str
    items: list[T]
    size: int


class Gathering(Generic[T]):
    """Lanes of waiting items: first in, first out within a lane, in turn between the lanes."""

    def __init__(self, *, most_events: int = MAX_BUNDLE_EVENTS, most_bytes: int = MAX_BUNDLE_BYTES) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._lanes: dict[str, deque[tuple[T, int]]] = {}  # only lanes in which something waits, next in turn first

    def add(self, routing_key: str, item: T, size: int) -> None:
        lane = self._lanes.get(routing_key)
        if lane is None:
            lane = self._lanes[routing_key] = deque()
        lane.append((item, size))

    def take(self) -> Bundle[T] | None:
        """The next bundle of the lane whose turn it is; None when nothing waits. An item over the bound goes alone."""
        if not self._lanes:
            return None
        routing_key = next(iter(self._lanes))
        lane = self._lanes.pop(routing_key)
        item, total = lane.popleft()
        items = [item]
        while lane and len(items) < self._most_events and total + lane[0][1] <= self._most_bytes:
            item, size = lane.popleft()
            items.append(item)
            total += size
        if lane:
            self._lanes[routing_key] = lane  # behind the others
        return Bundle(routing_key, items, total)
