"""The table of faults. Each row is one scenario; `fast` ones are played by `make test`, all by `make chaos`."""

from typing import Final

from chaos.faults import kill9, restart, start
from chaos.scenario import BROKER, POSTGRES, RECEIVER, UP, WORKER, Fault, Part, Scenario, on_both

NO_BROKER: Final = dict.fromkeys((RECEIVER, WORKER), frozenset({"queue_unavailable"}))
ON_SPOOL: Final = {RECEIVER: frozenset({"queue_unavailable"})}
NO_DATABASE: Final = {WORKER: frozenset({"database_unavailable"})}
WELL: Final = {RECEIVER: frozenset[str](), WORKER: frozenset[str]()}

SCENARIOS: Final[tuple[Scenario, ...]] = (
    *on_both(
        Scenario(
            "receiver dies",
            "kill -9, three times",
            (Fault(kill9, RECEIVER, told=80, times=3),),
            fast=True,
        )
    ),
    Scenario(
        "workers die",
        "kill -9 of one of two, five times, then of both",
        (
            *(Fault(kill9, name, told=40) for name in ("first", "second", "first", "second", "first")),
            Fault(kill9, WORKER, told=40),
        ),
        parts=(Part(RECEIVER), Part(WORKER, "first"), Part(WORKER, "second")),
        felt=False,
        fast=True,
    ),
    Scenario(
        "deploy loop",
        "twenty restarts of two workers: one, the other, both",
        tuple(Fault(restart, name, told=5) for _ in range(5) for name in ("first", "second", WORKER)),
        parts=(Part(RECEIVER), Part(WORKER, "first"), Part(WORKER, "second")),
        felt=False,
    ),
    Scenario(
        "deploy loop",
        "three restarts with events under way",
        (Fault(restart, UP, told=60, times=3),),
        transport="spool",
    ),
    *on_both(
        Scenario(
            "Postgres dies",
            "kill -9, a while without, then stopped hard and at once started again, twice",
            (
                Fault(kill9, POSTGRES, told=100, shows=NO_DATABASE),
                Fault(start, POSTGRES, told=100, shows=WELL),
                Fault(restart, POSTGRES, told=80, times=2),
            ),
            felt=False,
            fast=True,
        )
    ),
    Scenario(
        "broker dies",
        "kill -9, started again after 200 events",
        # RabbitMQ 3.10 never answers again for a quorum queue that was made less than a second before it was killed.
        (
            Fault(kill9, BROKER, told=200, seconds=3, shows=NO_BROKER),
            Fault(start, BROKER, told=200, shows=WELL),
        ),
        felt=False,
        fast=True,
    ),
)
