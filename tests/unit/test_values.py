"""What people type as an id, a name, a URL, a number or a moment, and what is refused before anything is done."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import typer

from cli.moments import moment
from cli.values import address, finite, identity, text


@pytest.mark.parametrize(
    ("kind", "typed", "meant"),
    [
        (identity, "1", 1),
        (identity, str(2**63 - 1), 2**63 - 1),
        (identity, 1_234_567, 1_234_567),
        (text, "größe\n", "größe\n"),
        (address, "https://receiver.example/below", "https://receiver.example/below"),
        (address, "http://[::1]:8080", "http://[::1]:8080"),
        (finite, None, None),
        (finite, 60.0, 60.0),
        (moment, "2026-03-04", datetime(2026, 3, 4, tzinfo=UTC)),
        (moment, "2026-03-04T00:30+02:00", datetime(2026, 3, 3, 22, 30, tzinfo=UTC)),
    ],
)
def test_what_is_meant_is_taken(kind: Callable[[Any], Any], typed: object, meant: object) -> None:
    assert kind(typed) == meant


def test_a_moment_is_in_utc_however_it_was_typed() -> None:
    """Two ways to type the same one ask for the same replay."""
    assert moment("2026-03-04T00:30+02:00").tzinfo is UTC
    assert moment("6h").tzinfo is UTC


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        *((identity, typed) for typed in ("", "0", "-1", "1_000", " 1", "\N{FULLWIDTH DIGIT ONE}")),
        *((identity, typed) for typed in (str(2**63), "9" * 5_000)),
        *((text, typed) for typed in ("\udcff", "a\0")),
        *((address, typed) for typed in ("", "host", "ftp://host", "http://", "http://[::1", "http://host:99999")),
        *((address, typed) for typed in ("http://host:0", "http://ho st", "http://host/\n", "http://\udcff")),
        *((finite, typed) for typed in (float("inf"), float("-inf"), float("nan"))),
        *((moment, typed) for typed in ("", "soon", "999999d", "0001-01-01T00:00+05:00", "9999-12-31T23:59-14:00")),
    ],
)  # fmt: skip
def test_what_is_none_is_refused(kind: Callable[[Any], Any], typed: object) -> None:
    with pytest.raises(typer.BadParameter, match="expected"):
        kind(typed)
