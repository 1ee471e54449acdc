"""What we know of our webhooks at Pipedrive: those that we made, and what the last check has found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from store.database import Connection


@dataclass(frozen=True, slots=True)
class Made:
    """A webhook that we made and have not removed; never its password, but what tells whether it was this one."""

    webhook_id: int
    url: str
    fingerprint: str
    user_id: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """Of one company, as the last check left it; the columns of `pipemirror.subscriptions` say what each is."""

    company_id: int
    webhook_id: int | None = None
    checked_at: datetime | None = None
    well_at: datetime | None = None
    findings: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    gap_since: datetime | None = None
    off_at: datetime | None = None


async def find(connection: Connection, company_id: int) -> Subscription:
    """One that was never checked has an id alone."""
    row = await connection.fetchrow(
        "SELECT company_id, webhook_id, checked_at, well_at, findings, gap_since, off_at "
        "FROM pipemirror.subscriptions WHERE company_id = $1",
        company_id,
    )
    return Subscription(company_id) if row is None else Subscription(**row)


async def made(connection: Connection, company_id: int) -> list[Made]:
    rows = await connection.fetch(
        "SELECT webhook_id, url, fingerprint, user_id FROM pipemirror.webhooks WHERE company_id = $1 "
        "ORDER BY webhook_id",
        company_id,
    )
    return [Made(**row) for row in rows]


async def remember(connection: Connection, company_id: int, webhook: Made) -> None:
    await connection.execute(
        "INSERT INTO pipemirror.webhooks (company_id, webhook_id, url, fingerprint, user_id) "
        "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (company_id, webhook_id) DO UPDATE SET "
        "url = excluded.url, fingerprint = excluded.fingerprint, user_id = excluded.user_id",
        company_id, webhook.webhook_id, webhook.url, webhook.fingerprint, webhook.user_id,
    )  # fmt: skip


async def forget(connection: Connection, company_id: int, webhook_id: int) -> None:
    await connection.execute(
        "DELETE FROM pipemirror.webhooks WHERE company_id = $1 AND webhook_id = $2", company_id, webhook_id
    )


async def missing_since(connection: Connection, company_id: int, since: datetime) -> datetime:
    """Events may be missing from `since` on, or from when that was said first; until a check finds all well."""
    found: datetime = await connection.fetchval(
        "INSERT INTO pipemirror.subscriptions AS known (company_id, gap_since) VALUES ($1, $2) "
        "ON CONFLICT (company_id) DO UPDATE SET gap_since = coalesce(known.gap_since, excluded.gap_since) "
        "RETURNING gap_since",
        company_id, since,
    )  # fmt: skip
    return found


async def checked(
    connection: Connection,
    company_id: int,
    webhook_id: int | None,
    findings: Sequence[Mapping[str, Any]],
    *,
    well: bool,
) -> None:
    """What a check came to. Once all is well again, nothing more goes missing."""
    await connection.execute(
        "INSERT INTO pipemirror.subscriptions AS known (company_id, webhook_id, checked_at, well_at, findings) "
        "VALUES ($1, $2, now(), CASE WHEN $4 THEN now() END, $3) ON CONFLICT (company_id) DO UPDATE SET "
        "webhook_id = excluded.webhook_id, checked_at = excluded.checked_at, findings = excluded.findings, "
        "well_at = coalesce(excluded.well_at, known.well_at), gap_since = CASE WHEN NOT $4 THEN known.gap_since END",
        company_id, webhook_id, list(findings), well,
    )  # fmt: skip


async def switch(connection: Connection, company_id: int, *, on: bool) -> None:
    """Whether there is to be one at all, as somebody said by command."""
    await connection.execute(
        "INSERT INTO pipemirror.subscriptions AS known (company_id, off_at) "
        "VALUES ($1, CASE WHEN NOT $2 THEN now() END) ON CONFLICT (company_id) DO UPDATE SET "
        "off_at = CASE WHEN NOT $2 THEN coalesce(known.off_at, excluded.off_at) END",
        company_id, on,
    )  # fmt: skip
