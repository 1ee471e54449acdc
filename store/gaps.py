"""Times of which events of a company may be missing, until a sweep has made up for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from store.database import Connection


@dataclass(frozen=True, slots=True)
class Gap:
    """All open ones of a company together: since when, and why, the oldest reason first."""

    company_id: int
    since: datetime
    reasons: Sequence[str]


async def note(connection: Connection, company_id: int, since: datetime, reason: str) -> None:
    """Events from `since` until now may be missing: a sweep is wanted, one that begins after this."""
    await connection.execute(
        "INSERT INTO pipemirror.gaps (company_id, since, reason, noted_at) VALUES ($1, $2, $3, clock_timestamp())",
        company_id, since, reason,
    )  # fmt: skip


async def find(connection: Connection, company_id: int) -> Gap | None:
    """What a sweep of the company is wanted for; None if nothing is known to be missing."""
    row = await connection.fetchrow(
        "SELECT company_id, min(since) AS since, array_agg(reason ORDER BY noted_at) AS reasons "
        "FROM pipemirror.gaps WHERE closed_at IS NULL AND company_id = $1 GROUP BY company_id",
        company_id,
    )
    return None if row is None else Gap(**row)


async def close(connection: Connection, company_id: int, began: datetime) -> int:
    """A sweep that began at `began`, by the database's clock, has ended: how many gaps it has made up for.

    Those noted later stay open: what it had read by then may have changed unheard.
    """
    result = await connection.execute(
        "UPDATE pipemirror.gaps SET closed_at = now() WHERE company_id = $1 AND closed_at IS NULL AND noted_at < $2",
        company_id, began,
    )  # fmt: skip
    return int(result.rpartition(" ")[2])
