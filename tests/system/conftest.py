"""An installation per test: real processes on a database and a vhost of their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig.events import COMPANY
from rig.judge import Judge, judging
from rig.processes import Installation, installation


@pytest.fixture
async def on_amqp(tmp_path: Path, database: str, amqp_url: str) -> AsyncIterator[Installation]:
    async with installation(tmp_path, database, amqp_url) as found:
        yield found


@pytest.fixture
async def on_spool(tmp_path: Path, database: str) -> AsyncIterator[Installation]:
    async with installation(tmp_path, database, None) as found:
        yield found


@pytest.fixture(params=["on_amqp", "on_spool"])
def on_both(request: pytest.FixtureRequest) -> Installation:
    found: Installation = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def judge(database: str) -> AsyncIterator[Judge]:
    async with judging(database, COMPANY) as found:
        yield found
