"""A batch: messages taken together, to be applied in one go and acknowledged after the commit. A plain object."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from runtime.transport import Message
from schema.envelope import Envelope
from schema.event import Refusal
from schema.topology import PREFETCH


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is full, and when it waits for no more.

    events    those of several companies share a batch, and each company is a transaction: small ones would be dear
    messages  half of what a queue hands out, so that the other half can be read meanwhile
    size      bytes of bodies
    age       seconds since its first message
    """

    events: int = 16_000
    messages: int = PREFETCH // 2
    size: int = 32 * 1024 * 1024
    age: float = 0.005


@dataclass(slots=True)
class Batch:
    """`began` is the clock's reading, in seconds, when the first message was at hand."""

    limits: Limits
    began: float
    messages: list[Message] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    size: int = 0

    def add(self, message: Message, envelopes: Sequence[Envelope]) -> None:
        self.messages.append(message)
        self.envelopes += envelopes
        self.size += len(message.body)

    def refuse(self, message: Message, refusal: Refusal) -> None:
        """A message that is no bundle of events."""
        self.messages.append(message)
        self.refused.append(refusal)
        self.size += len(message.body)

    @property
    def full(self) -> bool:
        limits = self.limits
        return len(self.envelopes) >= limits.events or len(self.messages) >= limits.messages or self.size >= limits.size

    def is_old(self, now: float) -> bool:
        return now - self.began >= self.limits.age
