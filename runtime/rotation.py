"""Fair turns: items wait in one line per key, and the keys take turns."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Rotation(Generic[T]):
    """Lines of items by key. `take` serves the lines round-robin, each in order of arrival; both calls are O(1)."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[T]] = {}
        self._turns: deque[str] = deque()

    def add(self, key: str, item: T) -> None:
        line = self._lines.get(key)
        if line is None:
            self._lines[key] = deque((item,))
            self._turns.append(key)
        else:
            line.append(item)

    def take(self) -> T | None:
        """The next item, or None when all lines are empty."""
        if not self._turns:
            return None
        key = self._turns.popleft()
        line = self._lines[key]
        item = line.popleft()
        if line:
            self._turns.append(key)
        else:
            del self._lines[key]
        return item

    def clear(self) -> list[T]:
        """Empty all lines and return what stood in them."""
        left = [item for line in self._lines.values() for item in line]
        self._lines.clear()
        self._turns.clear()
        return left
