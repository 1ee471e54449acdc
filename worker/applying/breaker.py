"""The breaker: when the database refuses one record after another, the fault is ours. Then stop and keep all."""

from collections import deque
from dataclasses import dataclass, field

from schema.errors import Problem


class BreakerOpen(Problem):
    """Too many records failed to be applied within a minute; the worker stops and keeps what is queued."""

    code = "breaker_open"
    remedy = (
        "Read the reasons with `dead-letters list`, mend the cause (often an upgrade), then start the worker again."
    )


@dataclass(slots=True)
class Breaker:
    """Opens after `most` different records failed within `window` seconds. Refused content is never counted."""

    most: int = 20
    window: float = 60.0
    _failures: deque[tuple[float, str]] = field(default_factory=deque)

    def failed(self, record: str, now: float) -> None:
        """Note one failure at `now` (seconds of any steady clock); raise BreakerOpen at the one too many."""
        self._failures.append((now, record))
        while self._failures[0][0] <= now - self.window:
            self._failures.popleft()
        different = len({failed for _, failed in self._failures})
        if different >= self.most:
            raise BreakerOpen(f"{different} records failed to be applied within {self.window:.0f} s")
