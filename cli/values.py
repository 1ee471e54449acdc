"""Values as people type them. What is none is refused before anything is done, with the name of its option."""

import math
from typing import Final
from urllib.parse import urlsplit

import typer

from schema.credentials import parse_company

_LARGEST: Final = 2**63 - 1


def identity(typed: str | int) -> int:
    """An id, which fits a Postgres bigint; also one that is a number already, as defaults are.

    Raise typer.BadParameter.
    """
    found = parse_company(str(typed))
    if found is None:
        raise typer.BadParameter(f"expected a whole number from 1 to {_LARGEST}")
    return found


def text(typed: str) -> str:
    """What Postgres and JSON take as text. Raise typer.BadParameter."""
    try:
        typed.encode()  # bytes that are not UTF-8 arrive as lone surrogates
    except UnicodeEncodeError:
        raise typer.BadParameter("expected text in UTF-8") from None
    if "\0" in typed:
        raise typer.BadParameter("expected text without NUL")
    return typed


def address(typed: str) -> str:
    """The URL of an HTTP server. Raise typer.BadParameter."""
    try:
        url = urlsplit(text(typed))
        fits = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # brackets, or a port, that cannot be
        fits = False
    if not fits or not typed.isprintable() or " " in typed:
        raise typer.BadParameter("expected a URL such as http://127.0.0.1:8080")
    return typed


def finite(typed: float | None) -> float | None:
    """Any number but `inf` and `nan`. Raise typer.BadParameter."""
    if typed is not None and not math.isfinite(typed):
        raise typer.BadParameter("expected a finite number")
    return typed
