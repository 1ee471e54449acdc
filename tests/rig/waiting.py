"""Waiting for what happens in another process: by looking, with a deadline, never by a guess of how long it takes."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from store.database import Pool

EVERY = 0.05


async def until(
    condition: Callable[[], Awaitable[object] | object],
    *,
    within: float = 30.0,
    every: float = EVERY,
    what: str = "",
    fails_when: Callable[[], str | None] = lambda: None,
) -> None:
    """Return as soon as `condition` holds. Fail when it does not in time, or once `fails_when` gives a reason."""
    clock = asyncio.get_running_loop().time
    end = clock() + within
    while not await _holds(condition):
        reason = fails_when()
        assert reason is None, reason
        assert clock() < end, f"not within {within:g} s: {what or condition}"
        await asyncio.sleep(every)


async def _holds(condition: Callable[[], Awaitable[object] | object]) -> bool:
    found = condition()
    return bool(await found if inspect.isawaitable(found) else found)


async def until_somebody_waits(pool: Pool, *, seconds: float = 0.0) -> None:
    """A session of the pool's database waits for another one's lock, in a statement that began so long ago."""
    waits = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
        "AND cardinality(pg_blocking_pids(pid)) > 0 AND clock_timestamp() - query_start > $1 * interval '1 second')"
    )
    async with pool.acquire() as connection:
        await until(lambda: connection.fetchval(waits, seconds), what="a session that waits")
