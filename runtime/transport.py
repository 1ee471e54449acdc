"""The narrow protocol between receiver and worker. Two implementations: amqp (RabbitMQ) and spool (local disk)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """One message taken from a queue and not yet acknowledged.

    body          as published
    redeliveries  how often it was handed out before and not acknowledged; 0 the first time
    queue         name of the queue it came from
    given_up      the broker stopped redelivering it: it came from the dead-letter queue
    tag           what the transport needs to acknowledge it; opaque
    """

    body: bytes
    redeliveries: int
    queue: str
    given_up: bool
    tag: Any


class Publisher(Protocol):
    """The side that brings messages in."""

    async def publish(self, routing_key: str, body: bytes) -> None:
        """Return once `body` is durable. Raise schema.errors.NotNow when it is not, or may not be.

        QueueMissing says that only this routing key is the trouble.
        """

    async def close(self) -> None: ...


class Subscription(Protocol):
    """The side that takes messages out. Losing the connection is handled inside: messages simply come again."""

    async def receive(self) -> Message:
        """Wait for the next message, round-robin over the queues."""

    def receive_nowait(self) -> Message | None:
        """The next message if one is at hand already."""

    async def ack(self, messages: Sequence[Message]) -> None:
        """They are done for good. An ack lost with its connection only means they come again."""

    async def backlog(self) -> dict[str, int]:
        """Messages per queue, those handed out and not yet acknowledged included."""

    async def close(self) -> None:
        """Give back what is not acknowledged."""
