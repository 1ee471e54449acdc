"""Statements that may take long, or wait for transactions that others left open: what they do is told meanwhile."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from store.database import Connection

_log = structlog.stdlib.get_logger(__name__)

LOOK_EVERY: Final = 0.5

OnWait = Callable[[str], None]
"""Told, again and again, for what the migration waits; what it raises ends the waiting."""


async def execute(working: Connection, looking: Connection, statement: str, subject: str, on_wait: OnWait) -> None:
    """Execute `statement` on one connection and look at it on another, every half second.

    What `on_wait` raises cancels it. `subject` says in the log and to `on_wait` what the statement is about.
    """
    waits_for: Sequence[int] = ()
    task = asyncio.ensure_future(working.execute(statement))
    try:
        while not task.done():
            await asyncio.wait((task,), timeout=LOOK_EVERY)
            if not task.done():
                found = await blocking(looking, working.get_server_pid())
                if found and found != waits_for:
                    _log.warning("statement_waits", subject=subject, sessions=found)
                waits_for = found
                on_wait(f"{subject} waits for {named(found)}" if found else f"{subject} is under way")
        task.result()
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def blocking(connection: Connection, pid: int) -> Sequence[int]:
    """The sessions for which session `pid` waits."""
    found: list[int] = await connection.fetchval("SELECT pg_blocking_pids($1)", pid)
    return sorted(set(found))


def named(sessions: Sequence[int]) -> str:
    return f"session{'s' if len(sessions) > 1 else ''} {', '.join(map(str, sessions))} of Postgres"
