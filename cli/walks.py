"""How walks through the lists of the REST API go, on stderr: a table on a terminal, else a line now and then."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import typer
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from store.walks import DONE, FAILED, Walk

TOLD_EVERY: Final = 5.0
_FEW: Final = 4


@dataclass(slots=True)
class Walks:
    """The walks of one undertaking, as they were told last.

    highest  id of each list, as far as somebody knows
    lists    how many are to be read; 0 where that shows as it goes
    """

    title: str
    lists: int = 0
    highest: Mapping[str, int] = field(default_factory=dict)
    found: dict[tuple[str, str], Walk] = field(default_factory=dict)
    began: dict[tuple[str, str], tuple[float, Walk]] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    before: int = 0

    def told(self, walk: Walk) -> None:
        key = (walk.entity, walk.list)
        if key not in self.found:
            # What an earlier process has read is no speed of this one.
            self.began[key] = time.monotonic(), walk
            self.before += walk.rows
        self.found[key] = walk

    @property
    def rows(self) -> int:
        return sum(walk.rows for walk in self.found.values())

    @property
    def refused(self) -> list[Walk]:
        return [walk for walk in self.found.values() if walk.state == FAILED or walk.refused]

    @property
    def line(self) -> str:
        """All of them in one line."""
        walks = self.found.values()
        ended = sum(walk.state == DONE for walk in walks)
        seconds = max(time.monotonic() - self.started, 1e-3)
        calls, tokens = sum(walk.calls for walk in walks), sum(walk.tokens for walk in walks)
        return (
            f"{self.title}: {self.rows:,} rows, {(self.rows - self.before) / seconds:,.0f} rows/s, "
            f"{calls:,} calls, {tokens:,} tokens, {ended} of {max(self.lists, len(self.found))} lists"
        )

    def table(self) -> Table:
        """A row for each entity that is being read, or was in more than a few calls, or could not be read."""
        table = Table(title=self.line, title_justify="left", box=None, pad_edge=False)
        for name in ("entity", "", "rows", "rows/s", "calls", "tokens", "left", "state"):
            table.add_column(name, justify="left" if name in {"entity", "", "state"} else "right")
        small: list[Walk] = []
        for entity, walks in self._by_entity().items():
            if all(walk.state == DONE for walk in walks) and sum(walk.calls for walk in walks) <= _FEW:
                small += walks
            else:
                table.add_row(*self._row(entity, walks))
        if small:
            table.add_row(*self._row(f"{len({walk.entity for walk in small})} small ones", small))
        return table

    def _by_entity(self) -> dict[str, list[Walk]]:
        found: dict[str, list[Walk]] = {}
        for walk in self.found.values():
            found.setdefault(walk.entity, []).append(walk)
        return found

    def _row(self, entity: str, walks: list[Walk]) -> tuple[str | ProgressBar, ...]:
        rows, calls, tokens = (sum(getattr(walk, name) for walk in walks) for name in ("rows", "calls", "tokens"))
        failed = next((walk.code or "" for walk in walks if walk.state == FAILED), "")
        is_done = all(walk.state == DONE for walk in walks)
        share = self._share(walks)
        bar = ProgressBar(total=1.0 if is_done or share else None, completed=share or 0.0, width=16)
        speed, left = ("", "") if is_done else self._pace(walks, share)
        state = failed or ("done" if is_done else "reading")
        return entity, bar, f"{rows:,}", speed, f"{calls:,}", f"{tokens:,}", left, state

    def _share(self, walks: Iterable[Walk]) -> float:
        """How much of these lists is read, about; 0 where nobody knows how far they reach."""
        shares = [self._share_of(walk) for walk in walks]
        return sum(shares) / len(shares)

    def _share_of(self, walk: Walk) -> float:
        if walk.state == DONE:
            return 1.0
        highest = self.highest.get(walk.list, 0)
        return min((walk.reached or 0) / highest, 0.99) if highest else 0.0

    def _pace(self, walks: list[Walk], share: float) -> tuple[str, str]:
        """Rows per second, and about how long it still takes."""
        began = [self.began[walk.entity, walk.list] for walk in walks]
        seconds = max(time.monotonic() - min(at for at, _ in began), 1e-3)
        before = [walk for _, walk in began]
        speed = (sum(walk.rows for walk in walks) - sum(walk.rows for walk in before)) / seconds
        grown = share - self._share(before)
        left = f"{(1 - share) * seconds / grown:,.0f} s" if grown > 0 else ""
        return f"{speed:,.0f}", left


@contextmanager
def shown(walks: Walks) -> Iterator[None]:
    """Show them as long as it lasts; at the end once more."""
    if not sys.stderr.isatty():
        yield
        typer.echo(walks.line, err=True)
        return
    with Live(get_renderable=walks.table, console=Console(stderr=True), refresh_per_second=4):
        yield


class Telling:
    """Where there is no terminal: a line every few seconds."""

    def __init__(self, walks: Walks) -> None:
        self._walks = walks
        self._told = time.monotonic()

    def __call__(self, walk: Walk) -> None:
        self._walks.told(walk)
        now = time.monotonic()
        if not sys.stderr.isatty() and now >= self._told + TOLD_EVERY:
            self._told = now
            typer.echo(self._walks.line, err=True)
