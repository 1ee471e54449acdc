"""The stage of one scenario: real processes, a broker and a database of our own, wires and a disk that can be hurt."""

import asyncio
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from chaos.scenario import (
    DISK,
    DOOR_WIRE,
    POSTGRES_WIRE,
    RECEIVER,
    RECEIVER_WIRE,
    UP,
    WIRES,
    WORKER,
    WORKER_WIRE,
    Part,
    Scenario,
)
from chaos.telling import Teller
from rig.kept import free_ports
from rig.postgres import PrivateServer
from rig.processes import CHECKOUT, HOST, Installation, Role, installation
from rig.proxy import Proxy, proxy, to_port, to_socket
from rig.rabbitmq import Broker
from rig.small_disk import SmallDisk, small_disk

SHIM: Final = CHECKOUT / "tests" / "rig" / "shim"
_LOOK_SECONDS: Final = 0.1


@dataclass(slots=True)
class Actor:
    """A part on the stage. `wanted`: to be started anew whenever it ends, as init systems do."""

    part: Part
    role: Role
    clock: Path
    wanted: bool = False
    restarts: int = 0

    def set_clock(self, seconds: float) -> None:
        """Be that far off from now on."""
        with self.clock.open("r+b") as file:
            file.write(struct.pack("d", seconds))


class Services(NamedTuple):
    """An empty database, the server it is on, and the broker; without one, events go by the spool alone."""

    database: str
    postgres: PrivateServer
    broker: Broker | None


@dataclass(slots=True)
class Stage:
    scenario: Scenario
    installation: Installation
    postgres: PrivateServer
    broker: Broker | None
    actors: list[Actor] = field(default_factory=list)
    wires: dict[str, Proxy] = field(default_factory=dict)
    disk: SmallDisk | None = None
    tellers: list[Teller] = field(default_factory=list)
    url: str = ""
    """Where events are sent: the receiver, or the wire before it."""

    def acknowledged(self) -> int:
        """Distinct events so far."""
        return sum(len(teller.tally.acked) for teller in self.tellers)

    def whom(self, name: str) -> list[Actor]:
        found = [actor for actor in self.actors if actor.part.is_named(name, self.scenario.transport)]
        assert found, f"nobody is called {name!r}"
        return found

    async def start(self, actor: Actor) -> None:
        """Return when it is ready, and see to it from then on."""
        await actor.role.start()
        actor.wanted = True

    @contextmanager
    def letting_go(self, actor: Actor) -> Iterator[Role]:
        """Meanwhile its end is no accident."""
        actor.wanted = False
        yield actor.role
        actor.wanted = True

    async def supervise(self) -> None:
        while True:
            for actor in self.actors:
                if actor.wanted and not actor.role.running:
                    actor.restarts += 1
                    await actor.role.launch()
            await asyncio.sleep(_LOOK_SECONDS)


@asynccontextmanager
async def staged(scenario: Scenario, folder: Path, services: Services) -> AsyncIterator[Stage]:
    """Everything is there and ready when this begins, but what is to come late."""
    database, postgres, broker = services
    async with AsyncExitStack() as stack:
        amqp_url = None if broker is None else await broker.new_vhost()
        found = await stack.enter_async_context(installation(folder, database, amqp_url))
        found.settings.update(scenario.settings)
        stage = Stage(scenario, found, postgres, broker, url=f"http://{HOST}:{found.port}")
        if DISK in scenario.whoms:
            stage.disk = stack.enter_context(small_disk(folder / "disk"))
            found.settings["DATA_DIR"] = str(stage.disk.folder / "data")
        through = await _lay_wires(stage, stack)
        for part in scenario.processes:
            stage.actors.append(_cast(stage, part, through))
        await asyncio.gather(*(stage.start(actor) for actor in stage.actors if not actor.part.late))
        supervisor = asyncio.ensure_future(stage.supervise())
        try:
            yield stage
        finally:
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)


def _cast(stage: Stage, part: Part, through: Mapping[str, Mapping[str, str]]) -> Actor:
    clock = stage.installation.folder / f"clock-{len(stage.actors)}"
    if stage.scenario.own_clocks:
        clock.write_bytes(struct.pack("d", 0.0))
    settings = {**through.get(part.role, {}), **part.settings, **(stage.disk.shim if stage.disk else {})}
    if stage.scenario.own_clocks:
        settings["RIG_CLOCK"] = str(clock)
    if any(name.startswith("RIG_") for name in settings):
        settings["PYTHONPATH"] = f"{SHIM}:{CHECKOUT}"
    port = stage.installation.port if part.role in {RECEIVER, UP} else free_ports(1)[0]
    return Actor(part, stage.installation.role(part.role, port, settings), clock)


async def _lay_wires(stage: Stage, stack: AsyncExitStack) -> dict[str, dict[str, str]]:
    """The wires that the faults name; by role the settings that lead through them."""
    through: dict[str, dict[str, str]] = {RECEIVER: {}, WORKER: {}, UP: {}}
    found = stage.installation
    for name in stage.scenario.whoms & WIRES:
        if name == POSTGRES_WIRE:
            sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wire-")))
            listen: Path | int = sockets / Path(stage.postgres.socket).name
            behind = to_socket(stage.postgres.socket)
            dsn = found.database_url.replace(str(Path(stage.postgres.socket).parent), str(sockets))
            through[WORKER]["DATABASE_URL"] = through[UP]["DATABASE_URL"] = dsn
        else:
            (port,) = free_ports(1)
            listen, behind = port, to_port(found.port if name == DOOR_WIRE else _port(found.amqp_url))
            if name == DOOR_WIRE:
                stage.url = f"http://{HOST}:{port}"
            else:
                role = {RECEIVER_WIRE: RECEIVER, WORKER_WIRE: WORKER}[name]
                through[role]["AMQP_URL"] = str(found.amqp_url).replace(f":{_port(found.amqp_url)}", f":{port}")
        stage.wires[name] = await stack.enter_async_context(proxy(behind, listen))
    return through


def _port(url: str | None) -> int:
    port = urlsplit(url or "").port
    assert port is not None, "no broker"
    return port
