"""What the sandbox does to deliveries on purpose: all of it happens in reality, only more rarely."""

from dataclasses import dataclass

from sandbox.events import Version


@dataclass(frozen=True, slots=True)
class Mischief:
    """Shares are between 0 and 1. Events of one instant are no matter of delivery: see `Company(same_instant=...)`.

    duplicates  share of deliveries sent twice
    reorder     how many events may overtake one another; 0 keeps their order as far as concurrency does
    drops       share of events that are never sent
    v1          share of events told in v1, where the entity has both versions
    """

    duplicates: float = 0.0
    reorder: int = 0
    drops: float = 0.0
    v1: float = 0.0

    @property
    def versions(self) -> frozenset[Version]:
        """Those that are subscribed to. An entity told in neither sends nothing."""
        if self.v1 <= 0:
            return frozenset(("v2",))
        return frozenset(("v1",)) if self.v1 >= 1 else frozenset(("v1", "v2"))
