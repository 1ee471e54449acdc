"""`pipemirror sandbox --port` answers like Pipedrive, and says how to connect to it."""

import asyncio
import re

import aiohttp
import pytest
from rig.waiting import until

from cli.sandbox_alone import serve_sandbox
from runtime.settings import Settings


async def test_what_it_prints_is_where_and_with_what_it_answers(capsys: pytest.CaptureFixture[str]) -> None:
    """Where a receiver would be, too, so that what it prints connects live."""
    stop, printed = asyncio.Event(), [""]
    serving = asyncio.create_task(serve_sandbox(Settings(), 42, 0, stop, rate=10, deals=3))

    def ready() -> bool:
        printed[0] += capsys.readouterr().out
        return "connect\n" in printed[0]

    try:
        await until(ready, within=10, what="how to connect")
        found = re.search(
            r"^PUBLIC_URL=http://127.0.0.1:8080 PIPEDRIVE_API_URL=(\S+) PIPEDRIVE_API_TOKEN=(\S+) pipemirror connect$",
            printed[0],
            re.MULTILINE,
        )
        assert found is not None
        url, token = found.groups()
        headers = {"x-api-token": token}
        async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{url}/v1/users/me") as answer:
            assert (await answer.json())["data"]["company_id"] == 42
    finally:
        stop.set()
        await asyncio.wait_for(serving, 10)
