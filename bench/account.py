"""A stand-in for a large account, and the commands that read it as they are shipped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import psutil
from cryptography.fernet import Fernet
from rig.processes import Installation

from bench.database import read_one
from bench.ground import Ground, end, start_module
from bench.processes import cpu_seconds, peak_mb, pin
from sandbox.pages import COMPANY
from sandbox.rest.server import TOKEN

ULTIMATE, LITE = 480, 20
"""Requests per two seconds: of an OAuth app on Pipedrive's largest plan, of an API token on its smallest."""

LARGE: Final = {"deals": 20_000, "persons": 10_000, "organizations": 5_000, "activities": 20_000}
LISTS: Final = tuple(f"/api/v2/{name}" for name in LARGE)
ENTITIES: Final = ("deal", "person", "organization", "activity")

_KEY: Final = Fernet.generate_key().decode()
_RENDERED_WITHIN: Final = 600.0
_LOOK_EVERY: Final = 0.1
_WALKED: Final = """
SELECT coalesce(sum(rows), 0)::int AS rows, coalesce(sum(calls), 0)::int AS calls,
       coalesce(sum(tokens), 0)::int AS tokens, count(*) FILTER (WHERE state <> 'done')::int AS unfinished,
       coalesce(extract(epoch FROM max(finished_at) - min(started_at)), 0)::float8 AS seconds
FROM pipemirror.walks WHERE kind = 'backfill' AND ($1::text[] IS NULL OR list = ANY($1) OR entity = ANY($1))
"""


@dataclass(frozen=True, slots=True)
class Walked:
    """What walks have read, from the begin of the first to the end of the last."""

    rows: int
    calls: int
    tokens: int
    unfinished: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Command:
    """A command that has ended: wall time from its start as a process, CPU time, most memory resident."""

    seconds: float
    cpu: float
    peak_mb: float


@asynccontextmanager
async def account(
    ground: Ground, burst: int, *, times: int = 1, company_id: int = COMPANY, port: int = 0
) -> AsyncIterator[str]:
    """The URL of a stand-in that holds so many `times` the large account; 0: one with next to nothing in it."""
    sizes = [word for name, rows in LARGE.items() for word in (f"--{name}", str(rows * times))]
    process = await start_module(
        "sandbox.pages", "--company", str(company_id), "--burst", str(burst), "--port", str(port), *sizes
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_RENDERED_WITHIN):
            url = (await process.stdout.readline()).decode().strip()
        pin([psutil.Process(process.pid)], ground.cores.others)
        yield url
    finally:
        await end(process)


def reading(url: str) -> dict[str, str]:
    """Settings of an installation whose commands mirror the account at `url`."""
    return {"PIPEDRIVE_API_TOKEN": TOKEN, "PIPEDRIVE_API_URL": url, "ENCRYPTION_KEYS": _KEY}


async def run(ground: Ground, installation: Installation, *arguments: str, within: float) -> Command:
    """Run a command to its end on the core of what is measured. Raise RuntimeError with what it complained of."""
    began = asyncio.get_running_loop().time()
    process = await installation.start(*arguments)
    ended = asyncio.ensure_future(process.communicate())
    cpu = peak = 0.0
    try:
        measured = psutil.Process(process.pid)
        ground.place(measured=measured)
        async with asyncio.timeout(within):
            while not ended.done():
                if measured.status() != psutil.STATUS_ZOMBIE:
                    cpu, peak = cpu_seconds(measured), max(peak, peak_mb(process.pid))
                await asyncio.wait((ended,), timeout=_LOOK_EVERY)
    finally:
        await end(process)
    if process.returncode != 0:
        raise RuntimeError(f"{arguments}: {ended.result()[1].decode()[-2000:]}")
    return Command(asyncio.get_running_loop().time() - began, cpu, peak)


async def walked(dsn: str, names: tuple[str, ...] | None = None) -> Walked:
    """Of the backfill's walks, or of those through these lists, or of these entities."""
    return Walked(**await read_one(dsn, _WALKED, names and list(names)))
