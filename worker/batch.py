"""A batch: messages taken together, to be applied in one go and acknowledged after the commit. A plain object."""

from dataclasses import dataclass, field

from runtime.transport import Message
from schema.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is full: events, bytes of bodies, seconds since its first message."""

    events: int = 1_000
    size: int = 16 * 1024 * 1024
    age: float = 0.005


@dataclass(slots=True)
class Batch:
    """`began` is the clock's reading, in seconds, when the first message was at hand."""

    limits: Limits
    began: float
    messages: list[Message] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    size: int = 0

    def add(self, message: Message, envelopes: list[Envelope]) -> None:
        self.messages.append(message)
        self.envelopes += envelopes
        self.size += len(message.body)

    def is_full(self, now: float) -> bool:
        limits = self.limits
        return len(self.envelopes) >= limits.events or self.size >= limits.size or now - self.began >= limits.age
