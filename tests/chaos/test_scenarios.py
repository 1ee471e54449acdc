"""Every fault of the table: what was acknowledged is applied, once and rightly, and nothing else happens."""

import time
from pathlib import Path

from chaos.runner import Played, play
from chaos.stage import Services


async def test_the_mirror_holds(played: Played, tmp_path: Path, services: Services) -> None:
    began = time.monotonic()
    try:
        await play(played, tmp_path, services)
    except BaseException as error:
        played.failure = str(error).partition("\n")[0] or type(error).__name__
        await revive(services)
        raise
    finally:
        played.seconds = time.monotonic() - began


async def revive(services: Services) -> None:
    """A scenario that ended half-way shall not break the next one."""
    services.postgres.revive()
    if services.broker is not None:
        await services.broker.revive()
