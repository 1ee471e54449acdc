"""How long events took to become rows, and whose clock is ahead of ours."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from runtime.health import Condition
from runtime.measurements import CLOCK_AHEAD, EVENT_TO_ROW_SECONDS, RECEIPT_TO_ROW_SECONDS, Metric
from runtime.metrics import Metrics
from schema.errors import ClockSkew
from schema.event import Event

TOLERATED: Final = 1.0
"""Seconds that a clock may be ahead before somebody is told; it is counted all the same."""

TOLD_FOR: Final = 600.0
UNKNOWN: Final = "unknown"
_SOURCES: Final = ((EVENT_TO_ROW_SECONDS, "pipedrive"), (RECEIPT_TO_ROW_SECONDS, "receiver"))


class LagWatch:
    """Observes the lag of what was committed. A lag below zero is a wrong clock: counted, told, observed as zero."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float]) -> None:
        """`clock` reads seconds since 1970."""
        self._metrics = metrics
        self._clock = clock
        self._ahead: dict[str, tuple[float, float]] = {}

    def committed(self, events: Sequence[Event]) -> None:
        """All of them are in the database as of now."""
        now = self._clock()
        lags: dict[str, tuple[list[float], list[float]]] = {}
        for event in events:
            entity = UNKNOWN if event.version is None else event.entity
            found = lags.get(entity)
            if found is None:
                found = lags[entity] = ([], [])
            if event.occurred_at is not None:
                found[0].append(now - event.occurred_at.timestamp())
            found[1].append(now - event.envelope.received_at / 1_000_000)
        for entity, both in lags.items():
            for (metric, whose), values in zip(_SOURCES, both, strict=True):
                self._observe(metric, entity, whose, values, now)

    def conditions(self) -> Iterator[Condition]:
        now = self._clock()
        for whose, (at, seconds) in self._ahead.items():
            if 0 <= now - at < TOLD_FOR:  # below zero, our own clock was set back meanwhile
                reason = f"the clock of {whose} is {seconds:.1f} s ahead of this worker's: lags are not what they seem"
                yield Condition(ClockSkew.code, reason, blocking=False)

    def _observe(self, metric: Metric, entity: str, whose: str, values: list[float], now: float) -> None:
        if values and (least := min(values)) < 0:
            self._metrics.count(CLOCK_AHEAD, whose, by=sum(value < 0 for value in values))
            if least < -TOLERATED:
                self._ahead[whose] = (now, -least)
            values = [max(value, 0.0) for value in values]
        self._metrics.distribution(metric, entity).observe_all(values)
