"""The whole account: `pipemirror connect` from its first list to its last, beside a bare script that copies pages."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import orjson
from rig.kept import free_ports

from bench.account import ENTITIES, LARGE, LISTS, LITE, ULTIMATE, account, reading, run, walked
from bench.database import name_of
from bench.effort import Effort
from bench.figures import Figure, Rounds, Samples, Target
from bench.ground import Ground, run_module

_OURS: Final = "connect"
_BARE: Final = "bare script"
_ROWS: Final = sum(LARGE.values())
_TIMES: Final = 10

_RATE: Final = Target(reach=13_600, aim=20_000)
_LITE_RATE: Final = Target(reach=4_500)
_CALLS: Final = Target(reach=110, at_most=True)
_TOKENS: Final = Target(reach=1_100, at_most=True)
_MEMORY: Final = Target(reach=200, at_most=True)
_FORGOTTEN_AFTER: Final = 2.5
"""Seconds. Requests are counted for two."""

_SLOWEST: Final = 500.0
"""Rows/s. What is slower than that is given up."""


async def measure(ground: Ground, effort: Effort) -> list[Figure]:
    """At the limits of the largest plan."""
    rounds = Rounds()
    async with account(ground, ULTIMATE) as url:
        for _ in range(effort.rounds):
            rounds.add(_OURS, await _connected(ground, url))
            rounds.add(_BARE, await _copied(ground, url))
    return list(_figures(rounds))


def _figures(rounds: Rounds) -> Iterator[Figure]:
    yield rounds.figure(
        f"{_OURS}: rows/s", "/s", _OURS, "rate", target=_RATE, note="all lists, first begun to last ended"
    )
    yield rounds.figure(f"{_OURS}: rows/s, the whole process", "/s", _OURS, "whole", note="makes all tables, too")
    yield rounds.figure(f"{_BARE}: rows/s", "/s", _BARE, "rate", note="the four large lists alone")
    yield rounds.ratio(f"{_OURS} ÷ {_BARE}", "rate", _OURS, _BARE)
    yield rounds.figure(f"{_OURS}: CPU per row", "µs", _OURS, "cpu", note="of the whole process")
    yield rounds.figure(f"{_OURS}: calls for the four large lists", "", _OURS, "calls", target=_CALLS)
    yield rounds.figure(f"{_OURS}: tokens for the four large lists", "", _OURS, "tokens", target=_TOKENS)
    yield rounds.figure(f"{_OURS}: calls for all lists", "", _OURS, "all calls")
    yield rounds.figure(f"{_OURS}: tokens for all lists", "", _OURS, "all tokens")
    yield rounds.figure(f"{_OURS}: most memory", "MB", _OURS, "memory", target=_MEMORY)


async def measure_large(ground: Ground, effort: Effort) -> list[Figure]:
    """An account ten times as large, in turn with the usual one: memory must be the same."""
    rounds = Rounds()
    async with account(ground, ULTIMATE) as url, account(ground, ULTIMATE, times=_TIMES) as large:
        for _ in range(effort.long_rounds):
            rounds.add("once", await _connected(ground, url))
            rounds.add("ten times", await _connected(ground, large, times=_TIMES))
    return [
        rounds.figure(f"{_TIMES * _ROWS:,} rows: most memory", "MB", "ten times", "memory", target=_MEMORY),
        rounds.figure(f"{_ROWS:,} rows: most memory", "MB", "once", "memory"),
        rounds.ratio("memory, ten times as many rows ÷ once", "memory", "ten times", "once"),
        rounds.figure(f"{_TIMES * _ROWS:,} rows: rows/s", "/s", "ten times", "rate"),
        rounds.figure(f"{_ROWS:,} rows: rows/s", "/s", "once", "rate"),
    ]


async def measure_lite(ground: Ground, effort: Effort) -> list[Figure]:
    """At the limits of the smallest plan: the four large lists of an account that is connected already."""
    rounds = Rounds()
    [port] = free_ports(1)
    async with _database(ground) as template:
        async with account(ground, ULTIMATE, times=0, port=port) as url:
            await _connected(ground, url, dsn=template, times=0)
        async with account(ground, LITE, port=port) as url:
            for _ in range(effort.long_rounds):
                # Or the last requests of one round would be somebody else's to the next, whose database is another.
                await asyncio.sleep(_FORGOTTEN_AFTER)
                rounds.add("lite", await _backfilled(ground, url, name_of(template)))
    return [
        rounds.figure(
            "20 requests per 2 s: rows/s",
            "/s",
            "lite",
            "rate",
            target=_LITE_RATE,
            note="5,000 but for the first 20, which wait for nothing",
        ),
        rounds.figure("20 requests per 2 s: calls", "", "lite", "calls", note="one of them for archived deals"),
    ]


async def _connected(ground: Ground, url: str, *, dsn: str | None = None, times: int = 1) -> Samples:
    if dsn is None:
        async with _database(ground) as made:
            return await _connected(ground, url, dsn=made, times=times)
    async with ground.installed(dsn, broker=False) as installation:
        installation.settings |= reading(url)
        command = await run(ground, installation, "connect", within=60 + times * _ROWS / _SLOWEST)
    found, large = await walked(dsn), await walked(dsn, LISTS)
    _complete(large.rows, times * _ROWS, found.unfinished)
    return {
        "rate": found.rows / found.seconds,
        "whole": found.rows / command.seconds,
        "cpu": 1e6 * command.cpu / found.rows,
        "memory": command.peak_mb,
        "calls": large.calls,
        "tokens": large.tokens,
        "all calls": found.calls,
        "all tokens": found.tokens,
    }


async def _backfilled(ground: Ground, url: str, template: str) -> Samples:
    named = [word for entity in ENTITIES for word in ("--entity", entity)]
    async with _database(ground, template) as dsn, ground.installed(dsn, broker=False) as installation:
        installation.settings |= reading(url)
        await run(ground, installation, "backfill", *named, within=60 + _ROWS / _SLOWEST)
        # Those that are begun anew alone: what the template has read was read at other limits.
        found = await walked(dsn, ENTITIES)
    _complete(found.rows, _ROWS, found.unfinished)
    return {"rate": found.rows / found.seconds, "calls": found.calls}


async def _copied(ground: Ground, url: str) -> Samples:
    async with _database(ground) as dsn:
        ground.place(measured=None)
        printed = await run_module("bench.bare_load", url, dsn, on=ground.cores.measured, within=_ROWS / _SLOWEST)
    found = orjson.loads(printed)
    _complete(found["rows"], _ROWS, 0)
    return {"rate": found["rows"] / found["seconds"]}


def _complete(rows: int, expected: int, unfinished: int) -> None:
    if rows != expected or unfinished:
        raise RuntimeError(f"{rows:,} of {expected:,} rows were read, {unfinished} lists not to their end")


@asynccontextmanager
async def _database(ground: Ground, template: str = "template1") -> AsyncIterator[str]:
    """On the oldest Postgres that is supported; dropped at the end."""
    server = await ground.oldest_postgres()
    dsn = server.new_database(template)
    try:
        yield dsn
    finally:
        server.drop_database(dsn)
