"""The shape of a scenario: which processes, told what, hurt how and when, and what must come of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from chaos.stage import Stage

Transport = Literal["amqp", "spool"]

RECEIVER = "receiver"
WORKER = "worker"
UP = "up"
"""Receiver and worker in one process: what `whom` of either means where there is no broker."""
BROKER = "broker"
POSTGRES = "postgres"
DISK = "disk"

DOOR_WIRE = "wire to the receiver"
RECEIVER_WIRE = "wire from receiver to broker"
WORKER_WIRE = "wire from worker to broker"
POSTGRES_WIRE = "wire from worker to postgres"
WIRES = frozenset((DOOR_WIRE, RECEIVER_WIRE, WORKER_WIRE, POSTGRES_WIRE))


@dataclass(frozen=True, slots=True)
class Part:
    """One process of ours. A `late` one is started by a fault.

    settings  its own; those that begin with RIG_ say what it is made to believe (rig/shim)
    """

    role: str
    name: str = ""
    late: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)

    def is_named(self, whom: str, transport: Transport) -> bool:
        known = {self.name, self.role}
        return whom in known or (transport == "spool" and self.role == UP and whom in {RECEIVER, WORKER})


@dataclass(frozen=True, slots=True)
class Load:
    """What is told meanwhile, by each of `companies`. Nobody gives up: each event is sent until it is acknowledged.

    rate        events per second
    deals       size of the company at the start; with `hot`, its deals are all that ever changes
    duplicates  share of events sent twice
    reorder     how many events may overtake one another
    malformed   share of bodies that can never be applied
    deadly      how many events kill the process that reads them
    """

    rate: float = 100
    deals: int = 20
    companies: int = 1
    duplicates: float = 0.05
    reorder: int = 10
    malformed: float = 0.02
    deadly: int = 0
    hot: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """What is done to somebody, in words and in deed."""

    text: str
    do: Callable[["Stage", str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to whom once `told` more events were acknowledged and `seconds` have passed since the one before.

    shows  then waited for: {process: codes that its /readyz must name}; an empty set means that it names none
    times  how often, with the same distance
    """

    act: Act
    whom: str
    told: int = 0
    seconds: float = 0.0
    shows: Mapping[str, frozenset[str]] = field(default_factory=dict)
    times: int = 1


@dataclass(frozen=True, slots=True)
class Scenario:
    """`faults` in their order.

    own_clocks  whether each process has a wall clock that faults may set
    felt     whether senders may be refused or left without an answer
    settles  seconds within which everything must be applied after the last event
    told     events told after the last fault, at least
    fast     part of `make test`
    """

    name: str
    fault: str
    faults: tuple[Fault, ...]
    transport: Transport = "amqp"
    parts: tuple[Part, ...] = ()
    load: Load = Load()
    settings: Mapping[str, str] = field(default_factory=dict)
    own_clocks: bool = False
    felt: bool = True
    told: int = 100
    settles: float = 60.0
    fast: bool = False

    @property
    def id(self) -> str:
        return f"{self.name} ({self.transport})"

    @property
    def processes(self) -> tuple[Part, ...]:
        if self.parts:
            return self.parts
        return (Part(UP),) if self.transport == "spool" else (Part(RECEIVER), Part(WORKER))

    @property
    def whoms(self) -> frozenset[str]:
        return frozenset(fault.whom for fault in self.faults)


def on_both(scenario: Scenario) -> tuple[Scenario, Scenario]:
    """The same over the broker and over the spool."""
    return replace(scenario, transport="amqp"), replace(scenario, transport="spool")
