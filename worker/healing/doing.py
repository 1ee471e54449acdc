"""One job, done: what it came to, when it is due again, and what is said of it where it could not be done."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from pipedrive.errors import AccountRefused, NotBefore
from runtime.health import Condition
from runtime.measurements import JOB_FAILURES, JOBS
from runtime.metrics import Metrics
from schema.errors import JobCrashed, JobsFailing, Problem
from store import allowances, gaps, jobs, upkeep
from store.database import Connection, describe
from worker.applying.persistence import Persist
from worker.healing.accounts import Account
from worker.healing.jobs import SWEEP, Job, Means, Undertaken

_log = structlog.stdlib.get_logger(__name__)

RETRIED: Final = timedelta(minutes=5)
"""After which a job is tried again that could not be done, or whose worker has died with it."""

SELDOM: Final = timedelta(hours=2)
"""Between two sweeps at most, however few tokens an account has."""

_FAR: Final = timedelta(days=3650)


class Doing:
    """Of all companies; remembers which jobs could not be done the last time."""

    def __init__(self, means: Means, persist: Persist, metrics: Metrics) -> None:
        self._means = means
        self._persist = persist
        self._metrics = metrics
        self._failing: dict[tuple[int, str], Problem] = {}

    def conditions(self) -> Iterator[Condition]:
        if not self._failing:
            return
        (company_id, job), problem = min(self._failing.items(), key=lambda item: item[0])
        more = f", and {len(self._failing) - 1} more" if len(self._failing) > 1 else ""
        reason = f"{job} of company {company_id}: {problem.code}: {problem.reason}{more}"
        yield Condition(JobsFailing.code, reason, blocking=False)

    async def look_again(self, company_id: int) -> None:
        """What another process has done since fails no more."""
        failing = [job for company, job in self._failing if company == company_id]
        if not failing:
            return
        known = await self._persist(lambda connection: jobs.of_company(connection, company_id))
        for job in failing:
            if job not in known or known[job].code is None:
                self._failing.pop((company_id, job), None)

    async def do(self, account: Account, job: Job) -> None:
        """Raise AccountRefused, which concerns more than this job; and what it crashed of."""
        company_id = account.company.id
        began = await self._persist(lambda connection: _begun(connection, company_id, job.name))
        try:
            await self._persist(
                lambda connection: allowances.count_seats(connection, account.company), company_id=company_id
            )
            result = await job.do(Undertaken(self._means, account))
        except Problem as problem:
            await self._failed(company_id, job, problem)
            if isinstance(problem, AccountRefused):
                raise
            return
        except Exception as error:
            await self._failed(company_id, job, JobCrashed(describe(error)))
            raise
        await self._done(company_id, job, result, began)

    async def _done(self, company_id: int, job: Job, result: dict[str, Any], began: datetime) -> None:
        self._failing.pop((company_id, job.name), None)
        self._metrics.count(JOBS, job.name, "done")
        again = job.every or _FAR
        if job is SWEEP:
            again = min(max(again, await self._means.accounts.apart(company_id, result["each_time"])), SELDOM)
        await self._persist(lambda connection: jobs.ended(connection, company_id, job.name, result, again))
        if job is SWEEP and not result["later"]:
            await self._persist(lambda connection: gaps.close(connection, company_id, began))
        _log.info("job_done", job=job.name, company_id=company_id, **result)

    async def _failed(self, company_id: int, job: Job, problem: Problem) -> None:
        due_at = await self._persist(upkeep.now) + RETRIED
        if isinstance(problem, NotBefore):
            due_at = datetime.fromtimestamp(problem.until, UTC)
        self._metrics.count(JOBS, job.name, problem.code)
        self._metrics.count(JOB_FAILURES)
        _log.warning("job_failed", code=problem.code, job=job.name, company_id=company_id, reason=problem.reason)
        await self._persist(lambda connection: jobs.failed(connection, company_id, job.name, problem, due_at))
        # Not before it is written: who looks whether it fails still looks there.
        self._failing[company_id, job.name] = problem


async def _begun(connection: Connection, company_id: int, job: str) -> datetime:
    began = await upkeep.now(connection)
    await jobs.begin(connection, company_id, job, RETRIED)
    return began
