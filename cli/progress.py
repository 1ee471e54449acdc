"""How far long work has come, on stderr: a bar with rate and time left on a terminal, else a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

TOLD_EVERY = 5.0
Advance = Callable[[int], None]
"""Given how much is done of the total."""


class _RateColumn(TextColumn):
    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")


@contextmanager
def progress(doing: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """Tell how `doing` goes; `done` was so before."""
    if not sys.stderr.isatty():
        yield _Lines(doing, total, done).at
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(doing, total=total, completed=done)
        yield lambda now: bar.update(task, completed=now, total=max(total, now))


@dataclass(slots=True)
class _Lines:
    doing: str
    total: int
    done: int
    began: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)

    def at(self, now_done: int) -> None:
        now = time.monotonic()
        if now < self.told + TOLD_EVERY:
            return
        self.told = now
        rate = (now_done - self.done) / (now - self.began)
        left = f", {(self.total - now_done) / rate:,.0f} s left" if rate > 0 and now_done < self.total else ""
        typer.echo(f"{self.doing}: {now_done:,} of {self.total:,}, {rate:,.0f}/s{left}", err=True)
