"""One process at a time reads a company's account: two would spend its tokens twice. Likewise for its webhooks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg

from schema.errors import DatabaseUnavailable
from store import locks
from store.database import Connection, Pool

_LOCK: Final = "SELECT pg_try_advisory_lock($1, hashint8($2))"
_UNLOCK: Final = "SELECT pg_advisory_unlock($1, hashint8($2))"
_LOOK_AGAIN: Final = 0.2


@asynccontextmanager
async def alone(pool: Pool, company_id: int, *, within: float = 0.0) -> AsyncIterator[bool]:
    """Whether we are the one who reads.

    within  seconds to wait for another one to end

    Raise DatabaseUnavailable, wherever the block is, when the connection is lost that is borrowed for it: the lock is
    lost with it, and another one may begin at once.
    """
    async with locked(pool, company_id, locks.HEALING, within=within) as connection:
        if connection is None:
            yield False
            return
        async with _as_long_as_it_lasts(connection):
            yield True


@asynccontextmanager
async def _as_long_as_it_lasts(connection: Connection) -> AsyncIterator[None]:
    now = asyncio.get_running_loop().time
    scope = asyncio.timeout(None)

    def lost(_: object) -> None:
        with suppress(RuntimeError):  # the block has just ended
            scope.reschedule(now())

    try:
        async with scope:
            connection.add_termination_listener(lost)
            try:
                yield
            finally:
                with suppress(asyncpg.InterfaceError):  # it is closed
                    connection.remove_termination_listener(lost)
    except TimeoutError:
        if not scope.expired():
            raise
        raise DatabaseUnavailable(
            "the connection is lost by which others knew that this account is being read"
        ) from None


@asynccontextmanager
async def locked(pool: Pool, company_id: int, lock: int, *, within: float) -> AsyncIterator[Connection | None]:
    """The connection that has the lock, free for whatever else is to be done; None where another one has it."""
    async with pool.acquire() as connection:
        ours = await _taken(connection, lock, company_id, within)
        try:
            yield connection if ours else None
        finally:
            if ours:
                with suppress(Exception):  # with its connection the lock is gone as well
                    await connection.execute(_UNLOCK, lock, company_id)


async def _taken(connection: Connection, lock: int, company_id: int, within: float) -> bool:
    clock = asyncio.get_running_loop().time
    end = clock() + within
    while not await connection.fetchval(_LOCK, lock, company_id):
        if clock() >= end:
            return False
        await asyncio.sleep(_LOOK_AGAIN)
    return True
