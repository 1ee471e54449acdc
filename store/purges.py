"""Purges: which company, what was deleted, which queues and spools were passed since. The row is the receipt."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schema.mark import Mark
from store.database import Connection


@dataclass(slots=True)
class Purge:
    """One purge as it stands.

    deleted     what -> rows that were deleted
    deleted_at  when nothing of the company was left in the database
    spools      which spools were looked at -> events of the company in them, or what stood in the way of looking
    spools_passed_at  when none of them held an event from before `begun_at`
    webhooks    ours at Pipedrive: ids of those that were `removed`, and the `problem` that may have left some; None if
                nobody has looked
    """

    company_id: int
    slug: str
    token: str
    begun_at: datetime
    deleted: dict[str, int] = field(default_factory=dict)
    deleted_at: datetime | None = None
    spools: dict[str, int | str] = field(default_factory=dict)
    spools_passed_at: datetime | None = None
    final_at: datetime | None = None
    webhooks: dict[str, Any] | None = None

    @property
    def rows(self) -> int:
        return sum(self.deleted.values())


async def begin(connection: Connection, company_id: int, token: str) -> None:
    await connection.execute(
        "INSERT INTO pipemirror.purges (company_id, token) VALUES ($1, $2) ON CONFLICT (company_id) DO NOTHING",
        company_id,
        token,
    )


async def find(connection: Connection, company_id: int) -> Purge | None:
    row = await connection.fetchrow(
        "SELECT company_id, slug, token, begun_at, deleted, deleted_at, spools, spools_passed_at, final_at, webhooks "
        "FROM pipemirror.purges JOIN pipemirror.companies ON id = company_id WHERE company_id = $1",
        company_id,
    )
    return Purge(**row) if row else None


async def add_deleted(connection: Connection, company_id: int, what: str, rows: int) -> None:
    """In the transaction that deleted them, so that the receipt tells what happened, whatever is killed when."""
    await connection.execute(
        "UPDATE pipemirror.purges SET deleted = deleted || "
        "jsonb_build_object($2::text, coalesce((deleted ->> $2)::bigint, 0) + $3) WHERE company_id = $1",
        company_id,
        what,
        rows,
    )


async def all_deleted(connection: Connection, company_id: int) -> None:
    await connection.execute(
        "UPDATE pipemirror.purges SET deleted_at = coalesce(deleted_at, now()) WHERE company_id = $1", company_id
    )


async def saw_spools(connection: Connection, company_id: int, spools: dict[str, int | str], *, passed: bool) -> None:
    await connection.execute(
        "UPDATE pipemirror.purges SET spools = $2, "
        "spools_passed_at = CASE WHEN $3 THEN coalesce(spools_passed_at, now()) END WHERE company_id = $1",
        company_id,
        spools,
        passed,
    )


async def saw_webhooks(connection: Connection, company_id: int, removed: Sequence[int], problem: str | None) -> None:
    """Those that are removed now, beside those that were before; `problem`: what may have left others."""
    await connection.execute(
        "UPDATE pipemirror.purges SET webhooks = jsonb_build_object("
        "'removed', coalesce(webhooks -> 'removed', '[]') || to_jsonb($2::bigint[]), 'problem', $3::text) "
        "WHERE company_id = $1",
        company_id, list(removed), problem,
    )  # fmt: skip


async def not_asked_for_webhooks(connection: Connection, company_id: int, problem: str) -> None:
    """There was no way to Pipedrive. What was entered when there still was one stays."""
    await connection.execute(
        "UPDATE pipemirror.purges SET webhooks = jsonb_build_object('removed', '[]'::jsonb, 'problem', $2::text) "
        "WHERE company_id = $1 AND webhooks IS NULL",
        company_id, problem,
    )  # fmt: skip


async def final(connection: Connection, company_id: int) -> int:
    """Enter that it is final, unless events of the company are still held: say how many then, else 0."""
    result = await connection.execute(
        "UPDATE pipemirror.purges SET final_at = coalesce(final_at, now()) WHERE company_id = $1 "
        "AND NOT EXISTS (SELECT FROM pipemirror.held WHERE company_id = $1)",
        company_id,
    )
    if result != "UPDATE 0":
        return 0
    held: int = await connection.fetchval("SELECT count(*) FROM pipemirror.held WHERE company_id = $1", company_id)
    return held


async def send_mark(connection: Connection, company_id: int, queue: str) -> None:
    """Note that a mark is about to be sent; one that was passed already stays so."""
    await connection.execute(
        "INSERT INTO pipemirror.purge_marks AS known (company_id, queue) VALUES ($1, $2) "
        "ON CONFLICT (company_id, queue) DO UPDATE SET sent_at = now() WHERE known.passed_at IS NULL",
        company_id,
        queue,
    )


async def pass_marks(connection: Connection, company_id: int, marks: Iterable[Mark]) -> set[Mark]:
    """Note that a worker met them; which of them are of a purge of this company."""
    known = set()
    for mark in sorted(set(marks)):
        found = await connection.fetchval(
            "UPDATE pipemirror.purge_marks SET passed_at = coalesce(passed_at, now()) FROM pipemirror.purges AS purge "
            "WHERE purge.company_id = purge_marks.company_id AND purge.company_id = $1 AND token = $2 AND queue = $3 "
            "RETURNING true",
            company_id,
            *mark,
        )
        if found:
            known.add(mark)
    return known


async def marks(connection: Connection, company_id: int) -> list[dict[str, Any]]:
    rows = await connection.fetch(
        "SELECT queue, sent_at, passed_at FROM pipemirror.purge_marks WHERE company_id = $1 ORDER BY queue", company_id
    )
    return [dict(row) for row in rows]


async def unfinished(connection: Connection) -> list[dict[str, Any]]:
    found = await connection.fetch(
        "SELECT company_id, begun_at, deleted_at FROM pipemirror.purges WHERE final_at IS NULL ORDER BY begun_at"
    )
    return [dict(row) for row in found]
