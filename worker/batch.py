"""A batch: messages taken together, to be applied in one go and acknowledged after the commit. A plain object."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from runtime.transport import Message
from worker.known_companies import Readable


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is full: events, bytes of bodies; and when it waits for no more: seconds since its first message."""

    events: int = 1_000
    size: int = 16 * 1024 * 1024
    age: float = 0.005


@dataclass(slots=True)
class Batch:
    """`began` is the clock's reading, in seconds, when the first message was at hand."""

    limits: Limits
    began: float
    messages: list[Message] = field(default_factory=list)
    readable: list[Readable] = field(default_factory=list)
    size: int = 0

    def add(self, message: Message, readable: Sequence[Readable]) -> None:
        self.messages.append(message)
        self.readable += readable
        self.size += len(message.body)

    @property
    def full(self) -> bool:
        return len(self.readable) >= self.limits.events or self.size >= self.limits.size

    def is_old(self, now: float) -> bool:
        return now - self.began >= self.limits.age
