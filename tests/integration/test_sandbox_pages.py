"""The stand-in for measurements: pages of a large account, rendered beforehand."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from rig.asking import Asking

from sandbox.pages import Size, serving

CHECKOUT = Path(__file__).parents[2]
SMALL = Size(deals=1_203, persons=500, organizations=1, activities=0)


@asynccontextmanager
async def asking(burst: int | None = None) -> AsyncIterator[Asking]:
    async with serving(SMALL, burst=burst) as rest, aiohttp.ClientSession() as session:
        yield Asking(rest, session)


async def test_every_row_is_told_once_in_pages_of_five_hundred() -> None:
    async with asking() as api:
        for path, rows in (("deals", 1_203), ("persons", 500), ("organizations", 1), ("activities", 0)):
            found = await api.walk(f"/api/v2/{path}", limit=500)
            assert [row["id"] for row in found] == list(range(1, rows + 1))
        assert len((await api.get("/api/v2/deals")).rows) == 500


async def test_deals_have_twenty_custom_fields_that_are_mostly_empty() -> None:
    async with asking() as api:
        rows = (await api.get("/api/v2/deals")).rows
        defined = {row["field_code"] for row in await api.walk("/api/v2/dealFields") if row["is_custom_field"]}
    assert len(defined) == 20
    assert all(row["custom_fields"].keys() == defined for row in rows)
    filled = sum(value is not None for row in rows for value in row["custom_fields"].values())
    assert 0.05 < filled / (20 * len(rows)) < 0.25


async def test_the_window_is_kept_and_a_token_asked_for() -> None:
    async with asking(burst=2) as api:
        assert [(await api.get("/api/v2/deals")).status for _ in range(3)] == [200, 200, 429]
        api.headers = {}
        assert (await api.get("/api/v2/deals")).status == 401


async def test_whatever_else_a_reader_asks_for_is_answered() -> None:
    async with asking() as api:
        assert (await api.get("/v1/users/me")).body["data"]["company_id"] == 7
        for path in ("/api/v2/stages", "/v1/leads", "/api/v2/deals/archived", "/v1/currencies"):
            assert (await api.get(path)).status == 200
        assert (await api.get("/api/v2/deals", updated_since="2000-01-01T00:00:00Z")).status == 200


async def test_it_runs_as_a_process_and_says_where() -> None:
    sizes = [f"--{name}=1" for name in ("deals", "persons", "organizations", "activities")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox.pages", *sizes, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
        async with aiohttp.ClientSession() as session, session.get(f"{url}/api/v2/deals") as answer:
            assert answer.status == 401
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
