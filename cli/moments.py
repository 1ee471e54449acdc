"""Moments as people type them: `2026-03-04`, `2026-03-04T12:30`, `2026-03-04T12:30+02:00`; or `90m`, `6h`, `2d` ago."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

_AGO = re.compile(r"(\d{1,6})([mhd])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
MOMENT = "a date or time such as 2026-03-04T12:30, UTC unless it says otherwise; or 90m, 6h, 2d for so long ago"


def moment(text: str) -> datetime:
    """In UTC. Raise typer.BadParameter for anything else, and for what lies before the year 1 or after 9999 there."""
    try:
        if ago := _AGO.fullmatch(text.strip()):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text.strip())
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"expected {MOMENT}") from None


Since = Annotated[
    datetime | None, typer.Option("--since", parser=moment, metavar="TIME", help="Received then or later.")
]
Until = Annotated[datetime | None, typer.Option("--until", parser=moment, metavar="TIME", help="Received before then.")]
