"""What became of events, as metrics and as lines of the log."""

from collections.abc import Iterable

import structlog

from runtime.backoff import Seldom
from runtime.measurements import APPLY_SECONDS, BATCHES, DEAD_LETTERS, EVENTS, RETOLD
from runtime.metrics import Metrics
from store.dead_letters import DeadLetter
from worker.applying.lag import LagWatch
from worker.applying.mirror import Applied

_log = structlog.stdlib.get_logger(__name__)

_LOOK = "pipemirror dead-letters list"


class Tally:
    """Counts for all appliers of a process."""

    def __init__(self, metrics: Metrics, lag: LagWatch) -> None:
        self._metrics = metrics
        self.lag = lag
        self._seldom = Seldom()

    def committed(self, applied: Applied, letters: Iterable[DeadLetter], seconds: float) -> None:
        """One transaction, and how long it took with all its attempts."""
        metrics = self._metrics
        metrics.count(BATCHES)
        metrics.observe(APPLY_SECONDS, seconds)
        kept = len(applied.written) if applied.kept else sum(event.unknown for event in applied.written)
        metrics.count(EVENTS, "kept", by=kept)
        metrics.count(EVENTS, "applied", by=len(applied.written) - kept)
        metrics.count(EVENTS, "duplicate", by=applied.duplicates)
        metrics.count(RETOLD, by=applied.retold)
        self.discarded(applied.discarded)
        self.parked(letters)
        if not applied.kept:
            self.lag.committed(applied.written)

    def discarded(self, events: int) -> None:
        self._metrics.count(EVENTS, "discarded", by=events)

    def held(self, events: int) -> None:
        self._metrics.count(EVENTS, "held", by=events)

    def parked(self, letters: Iterable[DeadLetter]) -> None:
        for letter in letters:
            self._metrics.count(DEAD_LETTERS, letter.code)
            self._metrics.count(EVENTS, "dead_letter")
            self._tell(letter)

    def _tell(self, letter: DeadLetter) -> None:
        """One line per code and minute: a flood of letters shall be seen, not logged."""
        if self._seldom.due(letter.code):
            # Without the reason, which may name a word of the body: that is for those who may read the database.
            _log.warning("dead_letter", code=letter.code, company_id=letter.company_id, look_with=_LOOK)
