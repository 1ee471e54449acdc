"""Plays a scenario: tells events, does the faults in their time, waits for the recovery, and has it judged."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos.scenario import Fault, Scenario
from chaos.stage import Services, Stage, staged
from chaos.telling import Teller
from chaos.verdict import all_are_well, felt, judged, nothing_waits, one_company_each, recovered, shows
from rig.events import COMPANY
from rig.processes import SECRET
from rig.waiting import until

_TOLD_WITHIN = 120.0


@dataclass(slots=True)
class Played:
    """How a scenario went.

    acked     distinct bodies answered 200
    refused   deliveries answered with anything else, or not at all
    twice     deliveries answered 200 of an event that had been answered so before
    applied   events in the journal
    letters   dead letters
    recovery  seconds from the end of the last fault until the mirror was up to date; None if it never was
    restarts  processes that had to be started anew because they had ended
    failure   the first line of what went wrong
    """

    scenario: Scenario
    acked: int = 0
    refused: int = 0
    twice: int = 0
    applied: int = 0
    letters: int = 0
    recovery: float | None = None
    restarts: int = 0
    seconds: float = 0.0
    failure: str | None = None


async def play(played: Played, folder: Path, services: Services) -> None:
    """Fill in `played` as far as it gets; raise what went wrong."""
    scenario = played.scenario
    async with staged(scenario, folder, services) as stage:
        stage.tellers += [_teller(stage, COMPANY + number) for number in range(scenario.load.companies)]
        try:
            async with _telling(stage.tellers):
                for fault in scenario.faults:
                    for _ in range(fault.times):
                        await _do(stage, fault)
                played.recovery = await recovered(stage)
                await _told(stage, scenario.told)
            await _judge(stage, played)
        finally:
            _count(played, stage.tellers)
            played.restarts = sum(actor.restarts for actor in stage.actors)


async def _judge(stage: Stage, played: Played) -> None:
    await nothing_waits(stage)
    for teller in stage.tellers:
        found = await judged(stage, teller)
        played.applied += found.events
        played.letters += found.letters
    await one_company_each(stage)
    await all_are_well(stage)
    felt(stage)


async def _do(stage: Stage, fault: Fault) -> None:
    await asyncio.gather(_told(stage, fault.told), asyncio.sleep(fault.seconds))
    await fault.act.do(stage, fault.whom)
    for name, codes in fault.shows.items():
        for actor in stage.whom(name):
            await shows(actor, codes)


async def _told(stage: Stage, more: int) -> None:
    goal = stage.acknowledged() + more
    await until(lambda: stage.acknowledged() >= goal, within=_TOLD_WITHIN, what=f"{more} more events acknowledged")


def _teller(stage: Stage, company_id: int) -> Teller:
    return Teller(stage.scenario.load, company_id, f"{stage.url}/webhooks/{company_id}", SECRET)


@asynccontextmanager
async def _telling(tellers: Sequence[Teller]) -> AsyncIterator[None]:
    """At the end wait until all of it is acknowledged."""
    running = [asyncio.ensure_future(teller.run()) for teller in tellers]
    try:
        yield
        for teller in tellers:
            teller.stop.set()
        async with asyncio.timeout(_TOLD_WITHIN):
            await asyncio.gather(*running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _count(played: Played, tellers: Sequence[Teller]) -> None:
    for tally in (teller.tally for teller in tellers):
        played.acked += len(tally.acked) + len(tally.parked)
        played.refused += tally.refused + tally.silent
        played.twice += tally.twice
