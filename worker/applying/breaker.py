"""The breaker: when the database refuses one record after another, the fault is ours. Then stop and keep all.

Unless it is one company's records alone, while others are written: then the fault is in its tables, and only this
company is held.
"""

from collections import deque
from dataclasses import dataclass, field

from schema.errors import CompanyHeld, Problem


class BreakerOpen(Problem):
    """Too many records failed to be applied within a minute; the worker stops and keeps what is queued."""

    code = "breaker_open"
    remedy = (
        "Read the reasons with `dead-letters list`, mend the cause (often an upgrade), then start the worker again."
    )


@dataclass(slots=True)
class Breaker:
    """Opens after `most` different records failed within `window` seconds. Refused content is never counted.

    Times are seconds of any steady clock.
    """

    most: int = 20
    window: float = 60.0
    _failures: deque[tuple[float, int, str]] = field(default_factory=deque)
    _written: dict[int, float] = field(default_factory=dict)

    def written(self, company_id: int, now: float) -> None:
        """Note that events of a company were applied."""
        self._written[company_id] = now

    def failed(self, company_id: int, record: str, now: float) -> None:
        """Note one failure; at the one too many raise BreakerOpen, or CompanyHeld if that company is the only one."""
        self._failures.append((now, company_id, record))
        while self._failures[0][0] <= now - self.window:
            self._failures.popleft()
        different = {failed[1:] for failed in self._failures}
        if len(different) < self.most:
            return
        refused = f"{len(different)} records failed to be applied within {self.window:.0f} s"
        if {failed for failed, _ in different} == {company_id} and self._others_are_written(company_id, now):
            raise CompanyHeld(f"company {company_id}: {refused}, while those of other companies are applied")
        raise BreakerOpen(refused)

    def _others_are_written(self, company_id: int, now: float) -> bool:
        return any(at > now - self.window for other, at in self._written.items() if other != company_id)
