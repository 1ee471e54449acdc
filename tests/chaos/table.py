"""The summary table: on the terminal after a run, and as Markdown."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from chaos.runner import Played

_HEAD: Final = (
    *("scenario", "transport", "fault", "events acked", "refused", "duplicates", "applied", "dead letters"),
    *("back after", "verdict"),
)
_RIGHT: Final = frozenset(range(3, 9))


def rows(played: Sequence[Played]) -> list[tuple[str, ...]]:
    return [
        (
            one.scenario.name, one.scenario.transport, one.scenario.fault,
            *(f"{number:,}" for number in (one.acked, one.refused, one.twice, one.applied, one.letters)),
            "never" if one.recovery is None else f"{one.recovery:.1f} s",
            "held" if one.failure is None else "BROKEN",
        )
        for one in played
    ]  # fmt: skip


def plain(played: Sequence[Played]) -> list[str]:
    """In columns, for a terminal."""
    table = [_HEAD, *rows(played)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEAD))]
    return [
        "  ".join(
            cell.rjust(width) if column in _RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def markdown(played: Sequence[Played], services: str) -> str:
    ruler = tuple("---:" if column in _RIGHT else "---" for column in range(len(_HEAD)))
    lines = [f"| {' | '.join(row)} |" for row in (_HEAD, ruler, *rows(played))]
    held = sum(one.failure is None for one in played)
    minutes = sum(one.seconds for one in played) / 60
    said = (
        f"{datetime.now(UTC):%Y-%m-%d}, {_machine()}, {services}: {held} of {len(played)} held, {minutes:.0f} minutes."
    )
    return "\n".join([said, "", *lines])


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} {platform.machine()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
