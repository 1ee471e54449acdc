"""Pipedrive's rules for one webhook: bans after failed first attempts, deletion after days without success. Pure."""

from dataclasses import dataclass
from typing import Final

RETRY_DELAYS: Final = (3.0, 30.0, 150.0)
"""Seconds from a failed attempt to the next: four attempts in all."""

TIMEOUT: Final = 10.0
"""Seconds until an attempt without an answer has failed."""

STRIKES: Final = 10
BAN: Final = 30 * 60.0
PATIENCE: Final = 3 * 24 * 3600.0


@dataclass(slots=True)
class Subscription:
    """Times are seconds of a monotonic clock; `scale` stretches or shrinks the durations.

    strikes       failed first attempts since the last ban; a success does not take them back (documented: only a ban)
    banned_until  None while events are sent
    succeeded_at  the last success, or the start
    attempted_at  the last attempt, None before the first; `last_status` is its answer, None if there was none
    """

    succeeded_at: float
    scale: float = 1.0
    strikes: int = 0
    bans: int = 0
    banned_until: float | None = None
    deleted: bool = False
    attempted_at: float | None = None
    last_status: int | None = None

    def admits(self, now: float) -> bool:
        """Whether an event of this moment is sent at all. What is not, is lost for good."""
        if self.banned_until is not None and now >= self.banned_until:
            self.banned_until, self.strikes = None, 0
        if now - self.succeeded_at >= PATIENCE * self.scale:
            self.deleted = True
        return self.banned_until is None and not self.deleted

    def attempted(self, now: float, status: int | None) -> None:
        self.attempted_at, self.last_status = now, status

    def succeeded(self, now: float) -> None:
        self.succeeded_at = now

    def failed(self, now: float, attempt: int) -> None:
        """Only a failed first attempt counts."""
        if attempt > 1 or self.banned_until is not None:
            return
        self.strikes += 1
        if self.strikes >= STRIKES:
            self.banned_until = now + BAN * self.scale
            self.bans += 1
