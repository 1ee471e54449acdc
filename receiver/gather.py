"""What waits to be published, per lane, and how it is cut into bundles. No I/O, no clock."""

from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

from schema.envelope import MAX_BUNDLE_BYTES, MAX_BUNDLE_EVENTS

T = TypeVar("T")


class Bundle(NamedTuple, Generic[T]):
    """Events of one lane that travel together, oldest first. `size` in bytes, framing included."""

    routing_key: str
    items: list[T]
    size: int


class _Lane(Generic[T]):
    __slots__ = ("items", "size")

    def __init__(self) -> None:
        self.items: deque[tuple[T, int]] = deque()
        self.size = 0


class Gathering(Generic[T]):
    """Lanes of waiting items: first in, first out within a lane, in turn between the lanes."""

    def __init__(self, *, most_events: int = MAX_BUNDLE_EVENTS, most_bytes: int = MAX_BUNDLE_BYTES) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._lanes: dict[str, _Lane[T]] = {}  # only lanes in which something waits, next in turn first

    def add(self, routing_key: str, item: T, size: int) -> None:
        lane = self._lanes.get(routing_key)
        if lane is None:
            lane = self._lanes[routing_key] = _Lane()
        lane.items.append((item, size))
        lane.size += size

    def take(self, in_flight: Mapping[str, int] = MappingProxyType({})) -> Bundle[T] | None:
        """The next bundle of the lane whose turn it is; None when nothing is ready.

        Of a lane that has items in flight it is ready once it holds half as many as they are, or is full. An item over
        the bound of bytes goes alone.
        """
        for routing_key, lane in self._lanes.items():
            if 2 * len(lane.items) >= in_flight.get(routing_key, 0) or self._fills_a_bundle(lane):
                return self._cut(routing_key)
        return None

    def _fills_a_bundle(self, lane: _Lane[T]) -> bool:
        return len(lane.items) >= self._most_events or lane.size >= self._most_bytes

    def _cut(self, routing_key: str) -> Bundle[T]:
        lane = self._lanes.pop(routing_key)
        waiting = lane.items
        item, total = waiting.popleft()
        items = [item]
        while waiting and len(items) < self._most_events and total + waiting[0][1] <= self._most_bytes:
            item, size = waiting.popleft()
            items.append(item)
            total += size
        if waiting:
            lane.size -= total
            self._lanes[routing_key] = lane  # behind the others
        return Bundle(routing_key, items, total)
