"""What is wrong in a mirror after changes that nobody told it: as `sweep` leaves it, and as `reconcile` mends it."""

import asyncio
import random
import time
from dataclasses import replace
from typing import Final

from rig.processes import Installation

from bench.account import reading
from bench.effort import Effort
from bench.figures import Figure, Rounds, Samples, Target
from bench.ground import Ground
from cli import mirrored
from sandbox.cloud import Company, Truth
from sandbox.compare import differences
from sandbox.rest.limits import Limits
from sandbox.rest.server import serve
from sandbox.rest.truth import listed
from sandbox.script import step
from schema.entities import ENTITIES
from store.database import create_pool

_CHANGES: Final = 3_000
_COMPANY: Final = 1_234_567
_GENEROUS: Final = Limits(burst=5_000)
_READ: Final = {one.name for one in ENTITIES if any(not listing.opt_in for listing in one.listings)}
"""What is read without being asked for by name."""

_IN_PART: Final = [one.name for one in ENTITIES if one.name in _READ and any(list_.opt_in for list_ in one.listings)]
"""Of these some columns are not: they are asked for here, or they would be wrong."""

_WITHIN: Final = 600.0
_NONE: Final = Target(reach=0, at_most=True)

_ALIVE, _MISSING, _OTHERWISE = "deleted, but alive here", "missing", "otherwise wrong"
_SWEPT, _MENDED = "after a sweep", "after `reconcile --repair`"


async def measure(ground: Ground, effort: Effort) -> list[Figure]:
    """Connect, let things happen unheard, sweep, reconcile; compare with the account each time, every column."""
    rounds = Rounds()
    for seed in range(effort.long_rounds):
        await _lived(ground, effort, seed, rounds)
    return [
        *(
            rounds.figure(f"{when}: rows {what}", "", when, what, target=_NONE if when == _MENDED else None)
            for when in (_SWEPT, _MENDED)
            for what in (_ALIVE, _MISSING, _OTHERWISE)
        ),
        *(
            rounds.figure(f"{when}: tokens", "", when, "tokens", note="it has cost by itself")
            for when in (_SWEPT, _MENDED)
        ),
    ]


async def _lived(ground: Ground, effort: Effort, seed: int, rounds: Rounds) -> None:
    rng = random.Random(seed)  # noqa: S311 - a made-up company, not a secret
    cloud = Company(rng, _COMPANY, lambda: time.time_ns() // 1_000, deals=effort.deals)
    server = await ground.oldest_postgres()
    dsn = server.new_database()
    async with serve(cloud, limits=_GENEROUS) as rest, ground.installed(dsn, broker=False) as installation:
        installation.settings |= reading(rest.url) | {"OPT_IN": ",".join(_IN_PART)}
        ground.place(measured=None)
        await _ran(installation, "connect")
        for _ in range(_CHANGES):
            step(cloud)
        for when, *commands in ((_SWEPT, ("sweep",)), (_MENDED, *2 * (("reconcile", "--repair"),))):
            before = rest.log.tokens().total()
            for command in commands:
                # What is missing in number is believed when it is missing twice.
                if await _ran(installation, *command):
                    break
            rounds.add(when, {**await _wrong(dsn, cloud), "tokens": rest.log.tokens().total() - before})
    server.drop_database(dsn)


async def _ran(installation: Installation, *arguments: str) -> bool:
    """Whether it says that all is well. Raise RuntimeError where it could not be done."""
    ran = await installation.run(*arguments, within=_WITHIN)
    if ran.code not in {0, 1}:
        raise RuntimeError(f"{arguments}: {ran.err[-2000:]}")
    return ran.code == 0


async def _wrong(dsn: str, cloud: Company) -> Samples:
    pool = await create_pool(dsn, size=1, application="bench")
    try:
        async with pool.acquire() as connection:
            found = await mirrored.read(connection, _COMPANY)
    finally:
        await pool.close()
    lines = await asyncio.to_thread(differences, _read(listed(cloud)), found)
    alive = {line for line in lines if line.endswith(("has no tombstone, but it was deleted", "in the mirror only"))}
    missing = {line for line in lines if line.endswith(": missing")}
    return {_ALIVE: len(alive), _MISSING: len(missing), _OTHERWISE: len(set(lines) - alive - missing)}


def _read(truth: Truth) -> Truth:
    carried = {entity: columns for entity, columns in truth.carried.items() if entity in _READ}
    return replace(truth, carried=carried, logs={})
