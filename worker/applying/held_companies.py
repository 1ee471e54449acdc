"""Which companies this worker does not try to write just now, because their own tables refuse it."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import structlog

from runtime.health import Condition
from schema.errors import CompanyHeld

_log = structlog.stdlib.get_logger(__name__)
_UNKNOWN = "another worker could not write its tables"


class HeldCompanies:
    """Companies whose events are kept instead of applied, shared by who applies and who tries again."""

    def __init__(self) -> None:
        self._reasons: dict[int, str] = {}
        self._waiting: Mapping[int, int] = MappingProxyType({})
        self._missing: set[int] = set()

    def __contains__(self, company_id: int) -> bool:
        return company_id in self._reasons

    def check(self, company_id: int) -> None:
        """Raise CompanyHeld if it is held."""
        if company_id in self._reasons:
            raise CompanyHeld(self._reasons[company_id])

    def add(self, company_id: int, problem: CompanyHeld) -> None:
        if company_id not in self._reasons:
            _log.warning("company_held", code=problem.code, company_id=company_id, reason=problem.reason)
        self._reasons[company_id] = problem.reason

    def release(self, company_id: int) -> None:
        if self._reasons.pop(company_id, None) is not None:
            _log.info("company_released", company_id=company_id)

    def keep_only(self, waiting: Mapping[int, int]) -> None:
        """`waiting` says of which companies how many events are kept: of no others anything is to be held.

        One is let go the second time that it is missing: its first events may be on their way there.
        """
        self._waiting = waiting
        missing = self._reasons.keys() - waiting.keys()
        for company_id in missing & self._missing:
            self.release(company_id)
        self._missing = missing - self._missing

    def conditions(self) -> Iterator[Condition]:
        for company_id in sorted(self._waiting.keys() | self._reasons.keys()):
            reason = self._reasons.get(company_id, f"company {company_id}: {_UNKNOWN}")
            yield Condition(
                CompanyHeld.code, f"{reason}; {self._waiting.get(company_id, 0)} events wait", blocking=False
            )
