"""The demo's live view: rows per entity, events per second, lag, duplicates, dead letters."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sandbox.ledger import Counters

WINDOW = 10
"""Readings that the rate is taken over."""

TABLES = 18
"""Tables that are shown: as many as a screen has lines for."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the database says at one moment. Lag in seconds from an event's time to our commit, of the last 10 s."""

    at: float
    rows: Mapping[str, int]
    events: int
    lag_p50: float | None
    lag_p99: float | None
    duplicates: int
    dead_letters: int


@dataclass(slots=True)
class Scoreboard:
    counters: Counters
    readings: deque[Reading] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def add(self, reading: Reading) -> None:
        self.readings.append(reading)

    @property
    def rate(self) -> float:
        """Events per second, over the window."""
        if len(self.readings) < 2:  # noqa: PLR2004
            return 0.0
        first, last = self.readings[0], self.readings[-1]
        return (last.events - first.events) / max(last.at - first.at, 0.001)

    def line(self) -> str:
        """For a log, where there is no terminal."""
        last = self.readings[-1]
        return (
            f"{sum(last.rows.values())} live rows, {last.events} events, {self.rate:.0f}/s, "
            f"lag p50 {_ms(last.lag_p50)} p99 {_ms(last.lag_p99)}, "
            f"{last.duplicates} duplicates dropped, {last.dead_letters} dead letters"
        )

    def render(self) -> Panel:
        if not self.readings:
            return Panel("starting", title="pipemirror")
        last = self.readings[-1]
        rows = Table(box=None, pad_edge=False)
        rows.add_column("table")
        rows.add_column("live rows", justify="right")
        largest = sorted(last.rows.items(), key=lambda item: item[1], reverse=True)[:TABLES]
        for name, count in largest:
            if count:
                rows.add_row(name, f"{count:,}")
        facts = Text.assemble(
            ("events        ", "dim"), f"{last.events:,}   {self.rate:,.0f}/s\n",
            ("lag           ", "dim"), f"p50 {_ms(last.lag_p50)}   p99 {_ms(last.lag_p99)}\n",
            ("duplicates    ", "dim"), f"{last.duplicates:,} dropped\n",
            ("dead letters  ", "dim"), f"{last.dead_letters:,}\n",
            ("sent          ", "dim"), self._sent(),
        )  # fmt: skip
        side_by_side = Table.grid(padding=(0, 6))
        side_by_side.add_row(rows, Group(facts))
        return Panel(side_by_side, title="pipemirror: the sandbox, a made-up company, mirrored live")

    def _sent(self) -> str:
        """Of events, each counted once; the others of its deliveries are named for what they are."""
        told = self.counters
        events = told.sent - told.retried - told.duplicates
        again = f", {told.retried:,} retries" if told.retried else ""
        return f"{events:,} events, {told.acked:,} acknowledged; {told.duplicates:,} sent twice on purpose{again}"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.0f} ms"
