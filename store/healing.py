"""How the reading of a company's account stands: for `status`."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pipedrive.budget import LOWEST
from store import allowances, gaps, jobs, refused, subscriptions, walks
from store.database import Connection
from store.walks import BACKFILL, DONE, FAILED, RUNNING


async def of_company(connection: Connection, company_id: int, now: datetime) -> dict[str, Any]:
    """Its token, webhook, jobs, what a backfill has read so far, lists and rows that could not be read, tokens spent,
    and when events may be missing.

    All None or empty where nobody has connected it.
    """
    gap = await gaps.find(connection, company_id)
    return {
        "token": await _token(connection, company_id),
        "webhook": await _webhook(connection, company_id),
        "jobs": [asdict(job) for job in (await jobs.of_company(connection, company_id)).values()],
        "backfill": await _backfill(connection, company_id),
        "not_read": await _not_read(connection, company_id),
        "refused": await refused.told(connection, company_id),
        "tokens": await _tokens(connection, company_id, now),
        "gap": None if gap is None else {"since": gap.since, "reasons": list(gap.reasons)},
    }


async def _token(connection: Connection, company_id: int) -> dict[str, Any] | None:
    row = await connection.fetchrow(
        "SELECT kind, user_id, is_admin, stored_at, refused_at, code, reason FROM pipemirror.tokens "
        "WHERE company_id = $1",
        company_id,
    )
    return None if row is None else dict(row)


async def _webhook(connection: Connection, company_id: int) -> dict[str, Any] | None:
    found = await subscriptions.find(connection, company_id)
    if found.checked_at is None:
        return None
    return {
        "id": found.webhook_id,
        "checked_at": found.checked_at,
        "findings": [dict(finding) for finding in found.findings],
        "gap_since": found.gap_since,
    }


async def _backfill(connection: Connection, company_id: int) -> dict[str, int] | None:
    """Of how many lists how many are read, while that goes on or is to go on."""
    begun = [walk for walk in await walks.of_company(connection, company_id) if walk.kind == BACKFILL]
    if all(walk.state != RUNNING for walk in begun):
        return None
    return {"lists": len(begun), "read": sum(walk.state == DONE for walk in begun)}


async def _not_read(connection: Connection, company_id: int) -> list[dict[str, Any]]:
    return [
        {"entity": walk.entity, "list": walk.list, "kind": walk.kind, "code": walk.code, "reason": walk.reason}
        for walk in await walks.of_company(connection, company_id)
        if walk.state == FAILED
    ]


async def _tokens(connection: Connection, company_id: int, now: datetime) -> dict[str, Any] | None:
    """Spent today by us, and what the account has of them as far as it was told; a day is one of UTC."""
    ledger = await allowances.find(connection, company_id)
    if ledger is None:
        return None
    budget, shut = ledger.budget.at(now.timestamp()), ledger.until > now.timestamp()
    return {
        "spent": budget.total,
        "daily": budget.limit,
        "daily_at_least": LOWEST * budget.seats,
        "left": budget.left,
        "shut_until": datetime.fromtimestamp(ledger.until, UTC) if shut else None,
    }
