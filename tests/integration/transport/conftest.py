"""One suite for both transports, and what each of them adds."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from rig.rabbitmq import Broker
from rig.transports import Amqp, Spool


@pytest.fixture
async def opened() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def amqp(broker: Broker, opened: AsyncExitStack) -> Amqp:
    return Amqp(await broker.new_vhost(), opened)


@pytest.fixture
def spool(tmp_path: Path, opened: AsyncExitStack) -> Spool:
    return Spool(tmp_path / "spool", opened)


@pytest.fixture(params=["amqp", "spool"])
def transport(request: pytest.FixtureRequest) -> Amqp | Spool:
    found: Amqp | Spool = request.getfixturevalue(request.param)
    return found
