"""Applying again what the journal holds: after a table was lost, or for a company that was paused.

In small transactions, each under the same locks as a worker's, and each with the place where the next one begins: so a
replay that is killed goes on where it was, two of the same wish share their work, and live events pass between.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import structlog

from runtime.backoff import Backoff
from schema.envelope import Envelope
from schema.errors import Conflict
from schema.event import Event, read
from store import companies, fields, replays
from store.companies import ACTIVE, PURGED, Company
from store.database import Connection, Pool, describe, not_now
from store.replays import Position, Replay, Wanted
from worker.applying import journal, mirror, provision
from worker.operations import walking
from worker.operations.replay_letter import from_replay

_log = structlog.stdlib.get_logger(__name__)
_MOST_CONFLICTS = 20
_BACKOFF = Backoff(0.02, 1.0)
_EVER = datetime.max.replace(tzinfo=UTC)
"""Postgres' infinity."""
T = TypeVar("T")

CHUNK = 200
"""Events per transaction: a live worker that wants one of their records waits for one chunk at most."""


async def begin(pool: Pool, wanted: Wanted, now: datetime) -> Replay:
    """The unfinished replay of this wish, or a new one. That of kept events alone begins anew each time."""
    async with pool.acquire() as connection:
        known = await replays.find(connection, wanted)
        if known is not None and not wanted.kept_only:
            return known
        until = wanted.until or (_EVER if wanted.kept_only else now)
        chosen = await _companies(connection, wanted, None)
        for company in chosen:
            if company.state == ACTIVE:
                await provision.mend(connection, company)
        async with connection.transaction():
            await replays.lock(connection, wanted)  # else what is counted is also applied meanwhile, by who goes on
            total = sum([await walking.count(connection, company.id, wanted, until) for company in chosen])
            return await replays.begin(connection, wanted, until, total)


async def run(pool: Pool, wanted: Wanted, replay: Replay, *, chunk: int = CHUNK) -> AsyncIterator[Replay]:
    """Go on with it, and tell how it stands after every transaction; the caller may stop at any of them.

    A record that the database refuses is counted, told in the log and left; the others go on. Raise NotNow, and
    ReplayRemoved when its company is purged meanwhile.
    """
    size = chunk
    while not replay.finished:
        try:
            replay = await _persisted(pool, partial(_step, wanted=wanted, replay_id=replay.id, size=size))
        except Exception as error:
            if not_now(error) is not None or size == 1:
                raise
            size = size // 2  # until the culprit stands alone, and is passed over
        else:
            size = chunk
            yield replay


async def _persisted(pool: Pool, work: Callable[[Connection], Awaitable[T]]) -> T:
    """In a transaction, which is run again when a live worker was first."""
    for attempt in range(_MOST_CONFLICTS):
        try:
            async with pool.acquire() as connection, connection.transaction():
                return await work(connection)
        except Exception as error:
            problem = not_now(error)
            if problem is None:
                raise
            if not isinstance(problem, Conflict):
                raise problem from (None if problem is error else error)
        await asyncio.sleep(_BACKOFF.delay(attempt))
    raise Conflict("live workers were faster every time; run it again when less comes in")


async def _step(connection: Connection, wanted: Wanted, replay_id: str, size: int) -> Replay:
    """Apply the next portion; one event that the database refuses, portioned alone, is counted and passed over."""
    replay = await replays.take(connection, replay_id)
    found = await _current(connection, wanted, replay)
    if found is not None:
        company, place = found
        portion = await walking.portion(connection, wanted, replay.until, place, limit=size)
        try:
            async with connection.transaction():
                applied = await _apply_again(connection, company, portion.envelopes, kept=place.kept)
        except Exception as error:
            if not_now(error) is not None or size > 1:
                raise
            replay.refused += _tell_refused(company, portion.envelopes, describe(error))
        else:
            replay.applied += applied
            replay.passed += len(portion.envelopes) - applied
        replay.position = _next(place, portion.after)
    await replays.save(connection, replay)
    return replay


def _tell_refused(company: Company, envelopes: Sequence[Envelope], reason: str) -> int:
    for envelope in envelopes:
        event = read(envelope, company.types_of)
        about = {"entity": event.entity, "entity_id": event.entity_id} if isinstance(event, Event) else {}
        _log.error("replay_refused", reason=reason, company_id=company.id, **about)
    return len(envelopes)


async def _apply_again(connection: Connection, company: Company, envelopes: Sequence[Envelope], *, kept: bool) -> int:
    """Fold journaled events of a locked, active company again; how many there was a table for.

    Those that were kept become part of the journal's history in the same transaction.
    """
    found = [read(envelope, company.types_of) for envelope in envelopes]
    events = [event for event in found if isinstance(event, Event) and event.changes]
    if kept:
        await journal.mark_applied(connection, company.id, events)
    await mirror.write(
        connection, company, [change for event in events for change in from_replay(event).changes], again=True
    )
    return len(events)


async def _current(connection: Connection, wanted: Wanted, replay: Replay) -> tuple[Company, Position] | None:
    """The company to go on with, locked and active, and where; None when all are done: then the replay is finished."""
    for company in await _companies(connection, wanted, replay.position):
        state = await companies.lock_shared(connection, company)
        if state == ACTIVE:
            company.types = await fields.types(connection, company.id)
            place = replay.position
            begun = place is not None and place.company == company.id
            return company, place if place and begun else Position(company.id, wanted.kept_only)
        replay.left_out[str(company.id)] = state
        replay.position = Position(company.id, kept=True, done=True)
    replay.finished = True
    return None


async def _companies(connection: Connection, wanted: Wanted, place: Position | None) -> list[Company]:
    """Those that are wanted and not done yet, by id."""
    first = 0 if place is None else place.company + place.done
    known = [company for company in await companies.all_companies(connection) if company.id >= first]
    if wanted.company_id is None:
        return [company for company in known if company.state != PURGED]
    return [company for company in known if company.id == wanted.company_id]


def _next(place: Position, after: list[str] | None) -> Position:
    """The next portion, else the kept events of the company, else what is behind it."""
    if after is not None:
        return replace(place, after=after)
    return replace(place, kept=True, after=None, done=place.kept)
