"""Connections to Postgres, and what its errors mean for us: try again, hold, or give this event up."""

import math
import socket
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy

from schema.errors import Conflict, DatabaseUnavailable, NotNow, Problem
from store.dsn import UNREADABLE, misconfigured

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:  # generic only in the stubs
    Connection, Pool = asyncpg.Connection, asyncpg.Pool

NO_FSYNC: Final = "SET LOCAL synchronous_commit = off"
"""For a transaction of which a crash of the server may forget the last half second: all of it, or nothing."""

_RETRIED = frozenset({"40001", "40P01"})
"""Serialisation failure and deadlock: run the transaction again at once."""

_HELD_CLASSES = frozenset({"08", "25", "26", "28", "3D", "3F", "53", "55", "57", "58", "XX"})
"""SQLSTATE classes that say nothing about one event's content: connection, read-only, lost statement, password,
database, schema, lack of resources, locks, shutdown, disk, corruption. The work is held until somebody or time mends
it."""

_HELD_STATES = frozenset({"42501", "42P01", "42703", "42P06"})
"""Likewise a missing right, table or column. Other errors of their class are statements of ours that cannot be."""


_OF_ONE_SCHEMA = frozenset({"42501", "42P01", "42703", "42P06", "3F000", "55P03", "55006"})
"""Of those, what may be so in one company's schema only: rights, tables, columns, a table kept locked by somebody."""


_TOUCH_SHARED = (
    "LOCK TABLE pipemirror.companies, pipemirror.events, pipemirror.fields, pipemirror.dead_letters "
    "IN ROW EXCLUSIVE MODE"
)

_KEEPALIVE_IDLE, _KEEPALIVE_INTERVAL, _KEEPALIVE_COUNT = 30, 10, 3
_UNANSWERED_MS = 30_000
"""A machine that is gone answers no packet: after so long both sides give the connection up. One whose Postgres is
merely slow or stopped still answers, by its kernel."""

_SOCKET_OPTIONS = {
    "TCP_KEEPIDLE": _KEEPALIVE_IDLE,
    "TCP_KEEPINTVL": _KEEPALIVE_INTERVAL,
    "TCP_KEEPCNT": _KEEPALIVE_COUNT,
    "TCP_USER_TIMEOUT": _UNANSWERED_MS,
}


async def _leave(_: Any) -> None:
    """Open transactions are ended all the same."""


STATEMENTS: Final = 4_096
"""Prepared statements that a lasting connection keeps: all that it needs for about a hundred companies.

Of a company with events of all kinds these are two for each of its tables, four for its history, one for its merges;
statements that all companies share are few. One that has to be prepared again costs ten times its execution; one that
is kept, up to 100 KB in the server.
"""

UNCONNECTED: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, *UNREADABLE)

_LASTING: Final[dict[str, Any]] = {
    "statement_cache_size": STATEMENTS,
    "max_cached_statement_lifetime": 0,
    "reset": _leave,  # a round trip for each transaction
    "max_queries": math.inf,  # else all is prepared again after 50,000
    "max_inactive_connection_lifetime": 0,
}


async def create_pool(
    dsn: str, *, size: int, application: str, command_timeout: float = 60, lasting: bool = False
) -> Pool:
    """A pool whose connections read and write jsonb as plain values. Raise DatabaseUnavailable, Misconfigured.

    A `lasting` connection is kept for as long as it works, with what was prepared on it, and is not reset between two
    borrowers: who borrows it must leave nothing behind in the session.
    """
    try:
        return await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            init=_prepare,
            command_timeout=command_timeout,
            **(_LASTING if lasting else {}),
            server_settings={
                "application_name": application,
                "timezone": "UTC",
                "lock_timeout": "10s",
                # Statements here are small and many: compiling them costs more than it can win.
                "jit": "off",
                # So that a worker which vanished without a word does not keep its locks for hours.
                "tcp_keepalives_idle": str(_KEEPALIVE_IDLE),
                "tcp_keepalives_interval": str(_KEEPALIVE_INTERVAL),
                "tcp_keepalives_count": str(_KEEPALIVE_COUNT),
                "tcp_user_timeout": str(_UNANSWERED_MS),
            },
        )
    except UNCONNECTED as error:
        raise unconnected(dsn, error) from error


def unconnected(dsn: str, error: BaseException) -> Problem:
    """What it means that connecting ended with one of `UNCONNECTED`: to wait, or that DATABASE_URL is wrong."""
    return misconfigured(dsn, error) or DatabaseUnavailable(f"cannot connect to Postgres: {describe(error)}")


def describe(error: BaseException) -> str:
    """What went wrong, without any value: neither DETAIL, which prints whole rows, nor what a message may quote."""
    name, state = type(error).__name__, getattr(error, "sqlstate", None)
    if (isinstance(error, asyncpg.PostgresError) or state) and not str(state).startswith("22"):
        # The runner of migrations has a driver of its own, whose DETAIL and quotations stand on further lines.
        message = str(error.args[0]).partition("\n")[0] if error.args else ""
        return f"{name} ({state}): {message}"[:300]
    if isinstance(error, asyncpg.DataError) or state:
        return f"{name}{f' ({state})' if state else ''}: Postgres cannot hold one of the values"
    if isinstance(error, (OSError, TimeoutError, asyncpg.InterfaceError, Problem)):
        return f"{name}: {error}".removesuffix(": ")[:300]
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    return f"{name} in {', '.join(f'{place.name} ({place.filename}:{place.lineno})' for place in frame)}"


@asynccontextmanager
async def borrowed(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of the pool, for those who ask again and again.

    One that timed out is given up with all its siblings: what has cut it off has most likely cut them off too, and to
    say goodbye to each of them, and wait for it to time out, would take many times as long.
    """
    async with pool.acquire() as connection:
        try:
            yield connection
        except TimeoutError:
            connection.terminate()
            await pool.expire_connections()
            raise


def not_now(error: BaseException) -> NotNow | None:
    """The reason to hold or retry, or None: then the database refuses what it was given."""
    if isinstance(error, NotNow):
        return error
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        if state in _RETRIED or _is_outdated_plan(error):
            return Conflict(describe(error))
        held = state in _HELD_STATES or state[:2] in _HELD_CLASSES
        return DatabaseUnavailable(describe(error)) if held else None
    if isinstance(error, (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)):
        # The last is what the driver says of a connection that broke in the middle of an answer.
        # asyncpg.DataError is an InterfaceError, too: a value that the driver itself refuses to encode.
        return None if isinstance(error, asyncpg.DataError) else DatabaseUnavailable(describe(error))
    return None


def is_bad_content(error: BaseException) -> bool:
    """Whether the database cannot hold a value that it was given."""
    return isinstance(error, asyncpg.DataError) or str(getattr(error, "sqlstate", "") or "").startswith("22")


def concerns_one_schema(error: BaseException) -> bool:
    """Whether others may well go on while this error lasts."""
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate in _OF_ONE_SCHEMA


async def touch_shared(connection: Connection) -> None:
    """Raise what keeps every company from being written. An error tells seldom whose table it met."""
    async with connection.transaction():
        await connection.execute(_TOUCH_SHARED)


def _is_outdated_plan(error: asyncpg.PostgresError) -> bool:
    """Whether a table was changed under the statement: a column's type, or a partition made for the row's day."""
    if isinstance(error, asyncpg.CheckViolationError):
        # A check of somebody's own on the table has a name; the bounds of a partition have none.
        return error.constraint_name is None
    return isinstance(error, asyncpg.InvalidCachedStatementError)


def notice_dead_peer(connection: Any) -> None:
    """Asyncpg offers no way to set this; where it hides its socket, only the timeout of each command is left."""
    transport = getattr(connection, "_transport", None)
    found = None if transport is None else transport.get_extra_info("socket")
    if found is None or found.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SOCKET_OPTIONS.items():
        if (option := getattr(socket, name, None)) is not None:  # not every system has each
            found.setsockopt(socket.IPPROTO_TCP, option, value)


async def _prepare(connection: Any) -> None:
    notice_dead_peer(connection)
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", format="binary", encoder=_encode_jsonb, decoder=_decode_jsonb
    )


def _encode_jsonb(value: Any) -> bytes:
    # One byte of format version stands before the text in jsonb's binary form.
    return b"\x01" + orjson.dumps(value)


def _decode_jsonb(data: bytes) -> Any:
    return orjson.loads(data[1:])
