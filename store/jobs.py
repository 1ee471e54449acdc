"""What is done for each company now and then: when it is due, and how it went."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from schema.errors import Problem
from store.database import Connection


@dataclass(frozen=True, slots=True)
class Job:
    """As the columns of `pipemirror.jobs` say."""

    job: str
    due_at: datetime
    began_at: datetime | None = None
    ended_at: datetime | None = None
    result: dict[str, Any] | None = None
    code: str | None = None
    reason: str | None = None


async def of_company(connection: Connection, company_id: int) -> dict[str, Job]:
    rows = await connection.fetch(
        "SELECT job, due_at, began_at, ended_at, result, code, reason FROM pipemirror.jobs WHERE company_id = $1",
        company_id,
    )
    return {row["job"]: Job(**row) for row in rows}


async def due(connection: Connection, company_id: int, first: Mapping[str, timedelta]) -> list[str]:
    """Those that are due. `first`: jobs that are done of themselves, and how long after a company is first met."""
    await connection.execute(
        "INSERT INTO pipemirror.jobs (company_id, job, due_at) "
        "SELECT $1, job, now() + after FROM unnest($2::text[], $3::interval[]) AS known (job, after) "
        "ON CONFLICT DO NOTHING",
        company_id, list(first), list(first.values()),
    )  # fmt: skip
    rows = await connection.fetch(
        "SELECT job FROM pipemirror.jobs WHERE company_id = $1 AND due_at <= now()", company_id
    )
    return [row["job"] for row in rows]


async def want(connection: Connection, company_id: int, job: str) -> None:
    """At once, or as soon as its turn comes."""
    await connection.execute(
        "INSERT INTO pipemirror.jobs (company_id, job, wanted_at) VALUES ($1, $2, clock_timestamp()) "
        "ON CONFLICT (company_id, job) DO UPDATE SET due_at = least(jobs.due_at, now()), wanted_at = clock_timestamp()",
        company_id, job,
    )  # fmt: skip


async def want_if_older(connection: Connection, company_id: int, job: str, age: timedelta) -> None:
    """The same, unless it was done so lately."""
    since_then = await connection.fetchval(
        "SELECT ended_at > now() - $3::interval FROM pipemirror.jobs WHERE company_id = $1 AND job = $2",
        company_id, job, age,
    )  # fmt: skip
    if not since_then:
        await want(connection, company_id, job)


async def wanted_at(connection: Connection, company_id: int, job: str) -> datetime | None:
    """When somebody asked for it last; None if nobody did."""
    found: datetime | None = await connection.fetchval(
        "SELECT wanted_at FROM pipemirror.jobs WHERE company_id = $1 AND job = $2", company_id, job
    )
    return found


async def begin(connection: Connection, company_id: int, job: str, again: timedelta) -> None:
    """Due again after `again` unless it ends: should we die, somebody else does it then."""
    await connection.execute(
        "INSERT INTO pipemirror.jobs (company_id, job, began_at, due_at) VALUES ($1, $2, now(), now() + $3) "
        "ON CONFLICT (company_id, job) DO UPDATE SET began_at = now(), due_at = now() + $3",
        company_id, job, again,
    )  # fmt: skip


async def ended(connection: Connection, company_id: int, job: str, result: dict[str, Any], again: timedelta) -> None:
    """Due again `again` after it began, or at once where somebody has wanted it since."""
    await connection.execute(
        "UPDATE pipemirror.jobs SET ended_at = now(), result = $3, code = NULL, reason = NULL, "
        "due_at = CASE WHEN wanted_at > began_at THEN due_at ELSE began_at + $4 END WHERE company_id = $1 AND job = $2",
        company_id, job, result, again,
    )  # fmt: skip


async def failed(connection: Connection, company_id: int, job: str, problem: Problem, due_at: datetime) -> None:
    await connection.execute(
        "UPDATE pipemirror.jobs SET code = $3, reason = $4, due_at = $5 WHERE company_id = $1 AND job = $2",
        company_id, job, problem.code, problem.reason, due_at,
    )  # fmt: skip
