"""What housekeeping has done, noted for all workers: so that many of them do not do it many times."""

from datetime import datetime, timedelta
from typing import Final

from store.companies import ACTIVE, Company
from store.database import Connection

ROUND: Final = "round"
TYPES: Final = "types"
ALL: Final = 0
"""In place of a company."""

TYPES_MARGIN: Final = timedelta(minutes=10)
"""So long after a type is learnt a worker may still write a value without it: one that had read the types before."""

TYPES_AGAIN: Final = timedelta(days=1)
"""Whatever else may have left values behind, such as a table restored from a backup."""

COLUMNS_AGAIN: Final = timedelta(hours=1)
"""So long after the start of a worker those of an earlier release may still write; and no oftener are tables read."""

COLUMNS_RETRIED: Final = timedelta(minutes=10)


def columns(catalogue: str) -> str:
    """The work of filling the columns of a catalogue, by its fingerprint."""
    return f"columns {catalogue}"


async def now(connection: Connection) -> datetime:
    """By the clock of all workers."""
    found: datetime = await connection.fetchval("SELECT now()")
    return found


async def note(connection: Connection, work: str, begun: datetime, company_id: int = ALL, *, failure: str = "") -> None:
    await connection.execute(
        "INSERT INTO pipemirror.upkeep (work, company_id, begun_at, failure) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (work, company_id) DO UPDATE SET begun_at = excluded.begun_at, failure = excluded.failure",
        work, company_id, begun, failure,
    )  # fmt: skip


async def round_is_due(connection: Connection, every: timedelta) -> bool:
    found: bool = await connection.fetchval(
        "SELECT NOT EXISTS (SELECT FROM pipemirror.upkeep WHERE work = $1 AND begun_at > now() - $2::interval)",
        ROUND,
        every,
    )
    return found


async def failure(connection: Connection, catalogue: str) -> str:
    """Why the last round did not end well, or what is to be mended of a company was not; empty if all is well."""
    found: str | None = await connection.fetchval(
        "SELECT failure FROM pipemirror.upkeep LEFT JOIN pipemirror.companies ON id = company_id "
        "WHERE failure <> '' AND (company_id = $1 OR state = $2) AND work = ANY($3) ORDER BY company_id LIMIT 1",
        ALL, ACTIVE, [ROUND, TYPES, columns(catalogue)],
    )  # fmt: skip
    return found or ""


async def lacking_types(connection: Connection) -> list[Company]:
    """Active companies of which rows may hold values that came before their type was known."""
    return await _companies(
        connection,
        """
        EXISTS (SELECT FROM pipemirror.fields WHERE fields.company_id = companies.id AND (
            begun_at IS NULL OR failure <> '' OR learnt_at > begun_at - $3::interval OR begun_at < now() - $4::interval
        ))
        """,
        TYPES, TYPES_MARGIN, TYPES_AGAIN,
    )  # fmt: skip


async def lacking_columns(connection: Connection, catalogue: str, worker_age: timedelta) -> list[Company]:
    """Active companies of which rows may hold apart what there is a column for, as the earlier release had none.

    `worker_age`: who has just started may be of the new release.
    """
    return await _companies(
        connection,
        """
        begun_at IS NULL OR failure <> '' AND begun_at < now() - $5::interval
        OR begun_at < now() - $4::interval AND begun_at < now() - $3::interval + $4::interval
        """,
        columns(catalogue), worker_age, COLUMNS_AGAIN, COLUMNS_RETRIED,
    )  # fmt: skip


async def _companies(connection: Connection, condition: str, work: str, *times: timedelta) -> list[Company]:
    rows = await connection.fetch(
        "SELECT id, slug, state FROM pipemirror.companies LEFT JOIN pipemirror.upkeep ON work = $2 AND company_id = id "
        f"WHERE state = $1 AND ({condition}) ORDER BY id",
        ACTIVE,
        work,
        *times,
    )
    return [Company(**row) for row in rows]
