"""The table of faults. Each row is one scenario; `fast` ones are played by `make test`, all by `make chaos`."""

from typing import Final

from chaos import faults as do
from chaos.scenario import (
    BROKER,
    DISK,
    DOOR_WIRE,
    POSTGRES,
    POSTGRES_WIRE,
    RECEIVER,
    RECEIVER_WIRE,
    UP,
    WORKER,
    WORKER_WIRE,
    Fault,
    Load,
    Part,
    Scenario,
    on_both,
)
from chaos.telling import DEADLY

NO_BROKER: Final = dict.fromkeys((RECEIVER, WORKER), frozenset({"queue_unavailable"}))
ON_SPOOL: Final = {RECEIVER: frozenset({"queue_unavailable"})}
NO_DATABASE: Final = {WORKER: frozenset({"database_unavailable"})}
SILENT_DATABASE: Final = {WORKER: frozenset({"database_silent"})}
NOWHERE: Final = {RECEIVER: frozenset({"spool_unavailable"})}
WELL: Final = {RECEIVER: frozenset[str](), WORKER: frozenset[str]()}

TWO_WORKERS: Final = (Part(RECEIVER), Part(WORKER, "first"), Part(WORKER, "second"))
GENTLE: Final = Load(rate=40, deals=15)
"""For what goes through a wire of the test's own process, or takes long by itself."""

MORTAL: Final = {"RIG_DEADLY": DEADLY}
HOUR: Final = 18_000
"""Events of an hour at five a second."""

PROCESSES: Final = (
    *on_both(
        Scenario("receiver dies", "kill -9, three times", (Fault(do.kill9, RECEIVER, told=60, times=3),), fast=True)
    ),
    Scenario(
        "workers die",
        "kill -9 of one of two, five times, then of both",
        (
            *(Fault(do.kill9, name, told=40) for name in ("first", "second", "first", "second", "first")),
            Fault(do.kill9, WORKER, told=40),
        ),
        parts=TWO_WORKERS,
        felt=False,
        fast=True,
    ),
    Scenario(
        "deploy loop",
        "twenty restarts of two workers: one, the other, both",
        tuple(Fault(do.restart, name, told=5) for _ in range(5) for name in ("first", "second", WORKER)),
        parts=TWO_WORKERS,
        felt=False,
    ),
    Scenario(
        "deploy loop",
        "three restarts with events under way",
        (Fault(do.restart, UP, told=60, times=3),),
        transport="spool",
    ),
    Scenario(
        "rolling deploy",
        "two receivers on one port, restarted one after the other, twice",
        (Fault(do.roll, RECEIVER, told=60, times=2),),
        parts=(Part(RECEIVER), Part(RECEIVER), Part(WORKER)),
    ),
    Scenario(
        "rolling upgrade",
        "workers without two columns beside one that has them; both die; then the old one is replaced",
        (
            Fault(do.start, "new", told=100),
            Fault(do.kill9, WORKER, told=100),
            Fault(do.restart, "old", told=100),
            Fault(do.stop, "old", told=100),
            Fault(do.start, "last"),
        ),
        parts=(
            Part(RECEIVER),
            Part(WORKER, "old", settings={"RIG_CATALOGUE": "previous"}),
            Part(WORKER, "new", late=True),
            Part(WORKER, "last", late=True),
        ),
        felt=False,
    ),
    Scenario(
        "deadly event",
        "one event kills each worker that reads it",
        (),
        parts=(Part(RECEIVER), Part(WORKER, settings=MORTAL)),
        load=Load(rate=60, deadly=1),
        felt=False,
    ),
    Scenario(
        "deadly event",
        "one event kills the process that reads it",
        (),
        transport="spool",
        parts=(Part(UP, settings=MORTAL),),
        load=Load(rate=60, deadly=1),
    ),
    *on_both(
        Scenario(
            "clocks step",
            "receiver 3 h ahead, worker 5 h behind, then the other way round, then right again",
            (
                Fault(do.clock_off(+3), RECEIVER, told=60),
                Fault(do.clock_off(-5), WORKER, told=60),
                Fault(do.clock_off(-3), RECEIVER, told=60),
                Fault(do.clock_off(+5), WORKER, told=60),
                Fault(do.kill9, WORKER, told=60),
                Fault(do.clock_off(0), RECEIVER, told=60),
                Fault(do.clock_off(0), WORKER),
            ),
            own_clocks=True,
        )
    ),
    Scenario(
        "hot records",
        "four workers on twenty deals, in any order; two of them die",
        (Fault(do.kill9, "first", told=300), Fault(do.kill9, "second", told=300)),
        parts=(*TWO_WORKERS, Part(WORKER), Part(WORKER)),
        load=Load(rate=100, deals=20, hot=True, duplicates=0.3, reorder=100),
        told=300,
        felt=False,
    ),
    Scenario(
        "new companies",
        "three workers meet the events of three companies that nobody knows, at once",
        (Fault(do.start, WORKER, told=400),),
        parts=(Part(RECEIVER), *[Part(WORKER, late=True)] * 3),
        load=Load(companies=3, deals=10),
        felt=False,
    ),
)

DATABASE: Final = (
    *on_both(
        Scenario(
            "Postgres dies",
            "kill -9, a while without, then stopped hard and at once started again, twice",
            (
                Fault(do.kill9, POSTGRES, told=100, shows=NO_DATABASE),
                Fault(do.start, POSTGRES, told=100, shows=WELL),
                Fault(do.restart, POSTGRES, told=80, times=2),
            ),
            felt=False,
            fast=True,
        )
    ),
    *on_both(
        Scenario(
            "Postgres freezes",
            "SIGSTOP until the worker says so, SIGCONT",
            (Fault(do.freeze, POSTGRES, told=60, shows=SILENT_DATABASE), Fault(do.thaw, POSTGRES, shows=WELL)),
            felt=False,
        )
    ),
    *on_both(
        Scenario(
            "wire to Postgres",
            "connections cut after 2 MB, then after 100 KB",
            (
                Fault(do.cut_after(2_000_000), POSTGRES_WIRE, told=20),
                Fault(do.cut_after(100_000), POSTGRES_WIRE),
                Fault(do.heal, POSTGRES_WIRE),
            ),
            felt=False,
        )
    ),
    Scenario(
        "wire to Postgres",
        "stalled until the worker says so",
        (Fault(do.stall, POSTGRES_WIRE, told=60, shows=SILENT_DATABASE), Fault(do.heal, POSTGRES_WIRE, shows=WELL)),
        load=GENTLE,
        felt=False,
    ),
    Scenario(
        "wire to Postgres",
        "what is connected hears nothing any more; new connections work",
        (Fault(do.sever, POSTGRES_WIRE, told=60, shows=SILENT_DATABASE),),
        parts=(Part(RECEIVER), Part(WORKER, settings={"RIG_STATEMENT_SECONDS": "15"})),
        load=GENTLE,
        told=30,
        felt=False,
    ),
)

QUEUE: Final = (
    Scenario(
        "broker dies",
        "kill -9, started again after 200 events",
        # RabbitMQ 3.10 never answers again for a quorum queue that was made less than a second before it was killed.
        (
            Fault(do.kill9, BROKER, told=100, seconds=3, shows=NO_BROKER),
            Fault(do.start, BROKER, told=200, shows=WELL),
        ),
        load=Load(rate=100),
        felt=False,
        fast=True,
    ),
    Scenario(
        "broker freezes",
        "SIGSTOP, 200 events, SIGCONT",
        (Fault(do.freeze, BROKER, told=60, shows=ON_SPOOL), Fault(do.thaw, BROKER, told=200, shows=WELL)),
        felt=False,
    ),
    Scenario(
        "broker short of memory",
        "alarm, connection.blocked, 200 events",
        (
            Fault(do.memory_alarm, BROKER, told=60, shows=ON_SPOOL),
            Fault(do.memory_again, BROKER, told=200, shows=WELL),
        ),
        felt=False,
    ),
    Scenario(
        "broker short of disk",
        "alarm, connection.blocked, 200 events",
        (Fault(do.disk_alarm, BROKER, told=60, shows=ON_SPOOL), Fault(do.disk_again, BROKER, told=200, shows=WELL)),
        felt=False,
    ),
    Scenario(
        "broker gone for a minute",
        "kill -9, started again after 60 s; the receiver dies meanwhile",
        (
            Fault(do.kill9, BROKER, told=60, seconds=3, shows=NO_BROKER),
            Fault(do.kill9, RECEIVER, seconds=20),
            Fault(do.start, BROKER, seconds=40, shows=WELL),
        ),
        load=GENTLE,
    ),
    Scenario(
        "broker gone for an hour",
        f"kill -9, started again after {HOUR:,} events, an hour's at five a second",
        (
            Fault(do.kill9, BROKER, told=60, seconds=3, shows=NO_BROKER),
            Fault(do.rush(100_000), RECEIVER),
            Fault(do.rush(5), RECEIVER, told=HOUR),
            Fault(do.start, BROKER, shows=WELL),
        ),
        settles=120,
        told=10,
        load=GENTLE,
        felt=False,
    ),
    Scenario(
        "wire to the broker",
        "the receiver's connection cut after 100 KB, then after 3 KB",
        (
            Fault(do.cut_after(100_000), RECEIVER_WIRE, told=60),
            Fault(do.cut_after(3_000), RECEIVER_WIRE),
            Fault(do.heal, RECEIVER_WIRE),
        ),
        load=GENTLE,
        felt=False,
    ),
    Scenario(
        "wire to the broker",
        "the worker's connection cut after 100 KB, then after 3 KB",
        (
            Fault(do.cut_after(100_000), WORKER_WIRE, told=60),
            Fault(do.cut_after(3_000), WORKER_WIRE),
            Fault(do.heal, WORKER_WIRE),
        ),
        load=GENTLE,
        felt=False,
    ),
    Scenario(
        "wire to the broker",
        "the receiver's stalled, 200 events",
        (Fault(do.stall, RECEIVER_WIRE, told=60, shows=ON_SPOOL), Fault(do.heal, RECEIVER_WIRE, told=200, shows=WELL)),
        load=GENTLE,
        felt=False,
    ),
    Scenario(
        "wire to the broker",
        "the worker's stalled for 40 s",
        (Fault(do.stall, WORKER_WIRE, told=60), Fault(do.heal, WORKER_WIRE, seconds=40)),
        load=GENTLE,
        felt=False,
    ),
    Scenario(
        "lanes that nobody made",
        "spooled with 8 lanes while the broker was gone; then one lane, which drains what it can; then 8 again",
        (
            Fault(do.kill9, BROKER),
            Fault(do.start, "eight lanes"),
            Fault(do.stop, "eight lanes", told=100),
            Fault(do.start, "one lane"),
            Fault(do.start, BROKER),
            Fault(do.start, WORKER, shows={"one lane": frozenset({"queue_missing"})}),
            Fault(do.start, "eight lanes", told=50, shows={"one lane": frozenset()}),
            Fault(do.restart, WORKER),  # it looks for lanes at its start, and every five minutes
        ),
        parts=(
            Part(RECEIVER, "eight lanes", late=True, settings={"LANES": "8"}),
            Part(RECEIVER, "one lane", late=True),
            Part(WORKER, late=True),
        ),
        load=Load(companies=3, deals=10, rate=30),
    ),
)

DOOR: Final = (
    Scenario(
        "wire to the door",
        "senders cut after 20 KB, then after 1 KB",
        (
            Fault(do.cut_after(20_000), DOOR_WIRE, told=60),
            Fault(do.cut_after(1_000), DOOR_WIRE),
            Fault(do.heal, DOOR_WIRE),
        ),
    ),
    Scenario(
        "wire to the door",
        "stalled for 12 s",
        (Fault(do.stall, DOOR_WIRE, told=60), Fault(do.heal, DOOR_WIRE, seconds=12)),
        transport="spool",
    ),
    Scenario(
        "disk full",
        "broker gone, the spool fills its disk but for the reserve; the broker comes back",
        (
            Fault(do.kill9, BROKER, told=60, seconds=3, shows=ON_SPOOL),
            Fault(do.almost_fill, DISK, shows=NOWHERE),
            Fault(do.start, BROKER, shows=WELL),
        ),
    ),
    Scenario(
        "disk full",
        "Postgres gone, the spool fills its disk but for the reserve; Postgres comes back",
        (
            Fault(do.kill9, POSTGRES, told=60),
            Fault(do.almost_fill, DISK, shows=NOWHERE),
            Fault(do.start, POSTGRES, shows=WELL),
        ),
        transport="spool",
    ),
    Scenario(
        "disk full",
        "somebody else fills it to the last byte, then cleans up",
        (Fault(do.fill, DISK, told=60, shows=NOWHERE), Fault(do.empty, DISK, seconds=3, shows=WELL)),
        transport="spool",
        fast=True,
    ),
)

ALL_OF_IT: Final = (
    Scenario(
        "a bad day",
        "broker, Postgres, receiver and worker die one after the other; nothing comes back before all are down",
        (
            Fault(do.kill9, BROKER, told=60, seconds=3),
            Fault(do.kill9, POSTGRES, told=60),
            Fault(do.kill9, WORKER, told=60),
            Fault(do.kill9, RECEIVER, told=60),
            Fault(do.start, POSTGRES, told=60),
            Fault(do.start, BROKER, told=60, shows=WELL),
        ),
    ),
)

SCENARIOS: Final[tuple[Scenario, ...]] = (*PROCESSES, *DATABASE, *QUEUE, *DOOR, *ALL_OF_IT)
