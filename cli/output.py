"""What commands print on stdout: one JSON document, or what a person reads."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 400


def show(document: Any, *, as_json: bool) -> None:
    """As JSON, or as lines a person reads."""
    if as_json:
        typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    elif isinstance(document, Mapping):
        width = max(map(len, document), default=0)
        for name, value in document.items():
            typer.echo(f"{name:<{width}}  {plain(value)}")
    else:
        table(document)


def table(rows: Sequence[Mapping[str, Any]], *, indent: int = 0) -> None:
    """One line per row; the names of the first row's columns above."""
    if not rows:
        return
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, value in rows[0].items():
        grid.add_column(name, overflow="fold", justify="right" if isinstance(value, int | float) else "left")
    for row in rows:
        grid.add_row(*(Text(plain(value)) for value in row.values()))
    # Without a terminal there is no width to keep to: a line is for grep then.
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    with console.capture() as captured:
        console.print(grid)
    typer.echo("\n".join(" " * indent + line.rstrip() for line in captured.get().splitlines()))


def plain(value: Any) -> str:
    """What is shown may come from anybody: no markup is read in it, and no control character reaches the terminal."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)
