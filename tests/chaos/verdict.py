"""The one judge of all scenarios: what was acknowledged is in the database, once, and nothing else is."""

import asyncio
from typing import Final, NamedTuple

import asyncpg
import pytest
from chaos.stage import Actor, Stage
from chaos.telling import DEADLY, Teller
from rig.judge import Judge, judging
from rig.tracebacks import tracebacks
from rig.waiting import until

from runtime import amqp, spool
from schema.errors import NotNow
from schema.topology import queues
from store.companies import FIRST_SLUG
from store.payload import decompress

_EVERY: Final = 0.1
_AWAY: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
CRASHED: Final = "crashed_worker"
_OK: Final = 200
_MOST_LANES: Final = 8
_SHOWN_WITHIN: Final = 45.0
_NO_HARM: Final = frozenset({"housekeeping_failed", "clock_skew", "spool_nearly_full", "lanes_beyond"})
"""Words about what was, which stand for a minute after it was over, and about what is so: a small disk, many lanes."""


class Found(NamedTuple):
    """Events in the journal, bodies among the dead letters."""

    events: int
    letters: int


async def recovered(stage: Stage) -> float:
    """Seconds until events are acknowledged again and the mirror is no more than a moment behind."""
    clock = asyncio.get_running_loop().time
    began, first = clock(), stage.acknowledged()
    before = first
    async with asyncio.timeout(stage.scenario.settles), judging(stage.installation.database_url, 0) as judge:
        while before == first or await _journaled(judge) < before:
            before = stage.acknowledged()
            await asyncio.sleep(_EVERY)
    return clock() - began


async def judged(stage: Stage, teller: Teller) -> Found:
    """Fail unless the company's mirror is what it was told."""
    async with judging(stage.installation.database_url, teller.company_id) as judge:
        found = await _all_arrived(judge, teller, stage.scenario.settles)
        await judge.settles(teller.truth)
        await judge.history_is_right()
        await judge.no_tombstone_was_revived()
    return found


async def _all_arrived(judge: Judge, teller: Teller, within: float) -> Found:
    """The journal holds what was acknowledged and no event besides; dead letters are what can be nothing else."""
    query = "SELECT key FROM pipemirror.events WHERE company_id = $1"
    keys: list[str] = []
    letters: dict[bytes, str] = {}

    async def arrived() -> bool:
        nonlocal keys, letters
        keys = [row["key"] for row in await judge.rows(query, teller.company_id)]
        letters = {decompress(row["payload"]): row["code"] for row in await judge.dead_letters()}
        return teller.tally.acked <= set(keys) and teller.tally.parked <= letters.keys()

    await until(arrived, within=within, what="all that was acknowledged is in the journal or a dead letter")
    assert len(keys) == len(set(keys)), "an event is in the journal twice"
    assert set(keys) == teller.tally.acked, f"{len(set(keys) - teller.tally.acked)} events that nobody told"
    innocent = letters.keys() - teller.tally.parked
    assert not innocent, f"{len(innocent)} innocent dead letters, such as {[letters[body] for body in innocent][:3]}"
    killers = {body for body, code in letters.items() if code == CRASHED}
    assert await judge.value("SELECT count(*) FROM pipemirror.held") == 0, "events wait for their company"
    assert killers == {body for body in letters if DEADLY.encode() in body}
    return Found(len(keys), len(letters))


async def nothing_waits(stage: Stage) -> None:
    """Neither the broker's queues nor any spool hold anything any more."""
    found = stage.installation
    folder = (found.folder / found.environment["DATA_DIR"]) / "spool"

    async def empty() -> bool:
        try:
            queued = {} if found.amqp_url is None else await amqp.waiting(found.amqp_url, queues(_MOST_LANES))
        except NotNow:
            return False
        return not any(queued.values()) and not any((await asyncio.to_thread(spool.waiting, folder)).values())

    await until(empty, within=stage.scenario.settles, what="queues and spools are empty")


async def all_are_well(stage: Stage) -> None:
    """Every process is ready, shows nothing, and none has met what it did not understand."""
    for actor in stage.actors:
        if actor.wanted:
            await shows(actor, frozenset())
        assert tracebacks(actor.role.log) == []


async def shows(actor: Actor, codes: frozenset[str]) -> None:
    """Wait until its /readyz names all of `codes`; without any, until it is ready and names none."""
    seen: tuple[int, set[str]] = (0, set())

    async def shown() -> bool:
        nonlocal seen
        seen = await actor.role.readiness()
        return codes <= seen[1] if codes else seen[0] == _OK and seen[1] <= _NO_HARM

    try:
        await until(shown, within=_SHOWN_WITHIN)
    except AssertionError:
        wanted = ", ".join(codes) or "that it is well"
        pytest.fail(f"{actor.role.name} did not show {wanted} within {_SHOWN_WITHIN:g} s, but {seen}")


async def _journaled(judge: Judge) -> int:
    try:
        count: int = await judge.value("SELECT count(*) FROM pipemirror.events")
    except _AWAY:
        return -1
    return count


def felt(stage: Stage) -> None:
    """Fail if senders felt a fault that they were not to feel."""
    if not stage.scenario.felt:
        tallies = [teller.tally for teller in stage.tellers]
        assert not any(tally.refused or tally.silent for tally in tallies), "senders felt it"


async def one_company_each(stage: Stage) -> None:
    """Each company was made once, the first with the plain name, and none that nobody told of."""
    ids = {teller.company_id for teller in stage.tellers}
    async with judging(stage.installation.database_url, 0) as judge:
        slugs = {row["id"]: row["slug"] for row in await judge.rows("SELECT id, slug FROM pipemirror.companies")}
    assert slugs.keys() == ids
    plain = [number for number, slug in slugs.items() if slug == FIRST_SLUG]
    assert len(plain) == 1, slugs
    assert all(slug == f"{FIRST_SLUG}_{number}" for number, slug in slugs.items() if number not in plain), slugs
