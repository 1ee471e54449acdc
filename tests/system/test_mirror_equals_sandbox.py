"""A company's whole life told over HTTP: the mirror comes to hold what the company holds, and tells its history."""

from dataclasses import dataclass

import pytest
from rig.judge import Judge
from rig.living import company, living
from rig.processes import Installation

from sandbox.mischief import Mischief


@dataclass(frozen=True)
class Way:
    """How the company's events are told."""

    mischief: Mischief
    same_instant: float = 0.0


WAYS = {
    "v2": Way(Mischief(duplicates=0.1)),
    "v2 in any order": Way(Mischief(duplicates=0.1, reorder=60), same_instant=0.3),
    "v1 and v2 mixed": Way(Mischief(duplicates=0.1, reorder=20, v1=0.5), same_instant=0.2),
    "v1": Way(Mischief(duplicates=0.1, v1=1.0)),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
async def test_the_mirror_equals_the_company_and_tells_each_change_once(
    on_both: Installation, judge: Judge, way: Way
) -> None:
    """All entities, custom fields of every type, merges, deletes, restores; some events twice, some late."""
    *_, applying = await on_both.running()
    made = company(7, same_instant=way.same_instant)
    async with living(made, on_both.url(judge.company_id), rate=400, mischief=way.mischief) as life:
        await life.told(900)
    await judge.holds(events=life.counters.acked)
    # What came before its type was known is mended once a minute, by whoever sees first that the minute has passed.
    await judge.a_minute_passes_for_upkeep()
    await applying.terminate()
    await applying.start()
    await judge.settles(life.truth)
    assert life.counters.failed == 0
    assert life.counters.duplicates > 0
    assert await judge.events() == life.counters.acked
    assert await judge.dead_letters() == []
    await judge.history_is_right()
