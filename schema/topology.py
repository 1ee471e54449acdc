"""The queues, as frozen data. Receiver and worker both declare them; an equal declaration is harmless.

    EXCHANGE (direct) -- lane.0 .. lane.N-1, large --> one quorum queue each
    DEAD_EXCHANGE (fanout) --------------------------> DEAD, what the broker gave up redelivering

A broker refuses to redeclare a queue with other arguments, so names carry VERSION: raise it when an argument changes.
"""

from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

VERSION: Final = 1
EXCHANGE: Final = f"pipemirror.v{VERSION}"
DEAD_EXCHANGE: Final = f"pipemirror.v{VERSION}.dead"

MOST_LANES: Final = 256

DELIVERY_LIMIT: Final = 50
"""A closed connection counts as a delivery of every prefetched message: a low limit would dead-letter the innocent."""


PREFETCH: Final = 1_024
"""Two batches of lone events, each large enough to be worth its transaction: one is read while the other is written."""


@dataclass(frozen=True, slots=True)
class Queue:
    """One durable quorum queue. `prefetch` is how many messages a worker may hold unacknowledged."""

    name: str
    exchange: str
    routing_key: str
    prefetch: int
    arguments: dict[str, str | int] = field(default_factory=dict)


def _quorum(**more: str | int) -> dict[str, str | int]:
    return {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT, **more}


def _dead_lettered() -> dict[str, str | int]:
    # at-least-once needs reject-publish; the defaults (at-most-once, drop-head) can lose a dead letter.
    return _quorum(
        **{
            "x-dead-letter-exchange": DEAD_EXCHANGE,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
    )


def lane_queue(lane: int, prefetch: int = PREFETCH) -> Queue:
    return Queue(f"{EXCHANGE}.lane.{lane}", EXCHANGE, f"lane.{lane}", prefetch, _dead_lettered())


LARGE: Final = Queue(f"{EXCHANGE}.large", EXCHANGE, "large", 1, _dead_lettered())
"""Events over MAX_BUNDLE_BYTES, one at a time: so a worker holds at most prefetch * MAX_BUNDLE_BYTES per lane."""

_NO_LIMIT = 1_000_000
# RabbitMQ 4 gives every quorum queue a limit of 20, and without a dead-letter exchange what exceeds it is dropped.

DEAD: Final = Queue(
    f"{DEAD_EXCHANGE}.letters", DEAD_EXCHANGE, "", 1, {"x-queue-type": "quorum", "x-delivery-limit": _NO_LIMIT}
)
"""Read by the workers like a lane. What arrives here is applied one by one or dead-lettered; it goes nowhere else."""


def queues(lanes: int) -> tuple[Queue, ...]:
    """Everything a process declares and a worker consumes, lanes first."""
    # The prefetch is shared among the lanes, so that memory hardly grows with their number.
    prefetch = max(10, PREFETCH // lanes)
    return (*(lane_queue(lane, prefetch) for lane in range(lanes)), LARGE, DEAD)


def route(company_id: int, size: int, *, lanes: int, large: int) -> str:
    """The routing key of an event of `size` bytes: all of a company in one lane, what exceeds `large` bytes apart."""
    if size > large:
        return LARGE.routing_key
    return f"lane.{crc32(str(company_id).encode()) % lanes}"
