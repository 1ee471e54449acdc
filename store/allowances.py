"""What an account may still be asked, in one row that all processes share: books of `pipedrive.allowance`."""

from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any

import asyncpg

from pipedrive.budget import Budget, Need
from pipedrive.ledger import Change, Ledger, Shut, T
from pipedrive.windows import Counts, Window
from schema.ddl import table
from schema.entities import BY_NAME
from store.companies import Company
from store.database import NO_FSYNC, Connection, Pool, borrowed, not_now

_EPOCH = date(1970, 1, 1).toordinal()

_COLUMNS = (
    "window_limit", "window_ours", "window_others", "day", "spent", "tokens_limit", "tokens_left", "spent_since",
    "shut", "shut_until", "probing_until", "seats",
)  # fmt: skip

# The clock is read once the row is ours, or time would seem to go backwards to those who wait for each other.
_LOCKED = f"""
WITH locked AS MATERIALIZED (SELECT {", ".join(_COLUMNS)} FROM pipemirror.allowances WHERE company_id = $1 FOR UPDATE)
SELECT *, extract(epoch FROM clock_timestamp())::float8 AS now FROM locked
"""
_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"
_FIRST = "INSERT INTO pipemirror.allowances (company_id) VALUES ($1) ON CONFLICT (company_id) DO NOTHING"
_AMEND = (
    f"UPDATE pipemirror.allowances SET {', '.join(f'{name} = ${n}' for n, name in enumerate(_COLUMNS, 2))} "
    "WHERE company_id = $1"
)


class InPostgres:
    """Books of one account. Their clock is the server's, so that no two machines differ."""

    def __init__(self, pool: Pool, company_id: int) -> None:
        self._pool = pool
        self._company_id = company_id

    async def amend(self, change: Change[T]) -> T:
        """Apply `change` to the ledger while nobody else does. Raise NotNow."""
        try:
            async with borrowed(self._pool) as connection, connection.transaction():
                # Half a second's grants are less than what is not known of the limits anyway.
                await connection.execute(NO_FSYNC)
                row = await self._locked(connection)
                if row is None:
                    return change(Ledger(), await connection.fetchval(_NOW))[1]
                before = _ledger(row)
                after, result = change(before, row["now"])
                if after != before:
                    await connection.execute(_AMEND, self._company_id, *_values(after))
                return result
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            problem = not_now(error)
            if problem is None:
                raise
            raise problem from error

    async def _locked(self, connection: Connection) -> asyncpg.Record | None:
        """None for a purged company, of which nothing is entered: who removes its webhooks still asks a little."""
        row = await connection.fetchrow(_LOCKED, self._company_id)
        if row is None:
            await connection.execute(_FIRST, self._company_id)
            row = await connection.fetchrow(_LOCKED, self._company_id)
        return row


async def count_seats(connection: Connection, company: Company) -> bool:
    """By the users that are mirrored; whether there are more than was known."""
    seats = await connection.fetchval(
        f"SELECT count(*) FROM {table(company.slug, BY_NAME['user'])} WHERE active_flag AND _deleted_at IS NULL"
    )
    result = await connection.execute(
        "UPDATE pipemirror.allowances SET seats = $2 WHERE company_id = $1 AND seats < $2", company.id, seats
    )
    return bool(result != "UPDATE 0")


async def find(connection: Connection, company_id: int) -> Ledger | None:
    """The ledger as it was left, which may be long ago; None of an account that nobody asked yet."""
    row = await connection.fetchrow(
        f"SELECT {', '.join(_COLUMNS)} FROM pipemirror.allowances WHERE company_id = $1", company_id
    )
    return None if row is None else _ledger(row)


def _ledger(row: asyncpg.Record) -> Ledger:
    window = Window(row["window_limit"], _counts(row["window_ours"]), _counts(row["window_others"]))
    budget = Budget(
        day=0 if row["day"] is None else row["day"].toordinal() - _EPOCH,
        spent=MappingProxyType({need: row["spent"][need] for need in Need if need in row["spent"]}),
        limit=row["tokens_limit"],
        left=row["tokens_left"],
        since=row["spent_since"],
        seats=row["seats"],
    )
    shut = None if row["shut"] is None else Shut(row["shut"])
    return Ledger(window, budget, shut, _seconds(row["shut_until"]), _seconds(row["probing_until"]))


def _values(ledger: Ledger) -> tuple[Any, ...]:
    """In the order of `_COLUMNS`."""
    window, budget = ledger.window, ledger.budget
    return (
        window.limit,
        [number for pair in window.late + window.ours for number in pair],
        [number for pair in window.others for number in pair],
        date.fromordinal(budget.day + _EPOCH),
        {need.value: tokens for need, tokens in budget.spent.items()},
        budget.limit,
        budget.left,
        budget.since,
        ledger.shut,
        _moment(ledger.until),
        _moment(ledger.probing),
        budget.seats,
    )


def _counts(flat: list[int]) -> Counts:
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def _seconds(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()


def _moment(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
