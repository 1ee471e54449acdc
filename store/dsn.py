"""What a failed attempt to connect says of DATABASE_URL itself. No time mends that, so nobody shall wait for it."""

import ssl
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import asyncpg

from schema.errors import Misconfigured

UNREADABLE: Final = (ValueError, OverflowError)
"""What the driver raises of a URL: hosts, ports and parameters that are none. Its own class is a ValueError, too."""

_UNKNOWN: Final = (asyncpg.UndefinedObjectError, asyncpg.InvalidParameterValueError)
"""What Postgres says of a parameter that the driver knows nothing of and hands on as a setting of the session."""

_OF_FILES: Final = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError, ssl.SSLError)
"""Also what a missing socket of a server raises, and a server whose certificate does not convince."""


def misconfigured(dsn: str, error: BaseException) -> Misconfigured | None:
    """The Problem if the URL can never work as it is, else None. No password, nor what may be half of one, is told."""
    what = _what(dsn, error)
    return None if what is None else Misconfigured(f"DATABASE_URL is not valid: {what}"[:300])


def _what(dsn: str, error: BaseException) -> str | None:
    if isinstance(error, asyncpg.ClientConfigurationError):
        return str(error).partition("\n")[0]
    if isinstance(error, _UNKNOWN):
        return str(error).partition("\n")[0].partition(": ")[0]
    if isinstance(error, UNREADABLE):
        return f"its hosts, ports or parameters cannot be read ({type(error).__name__})"
    return _unusable_file(dsn) if isinstance(error, _OF_FILES) else None


def _unusable_file(dsn: str) -> str | None:
    """Which of the files that it names cannot be loaded, and why."""
    given = dict(parse_qsl(urlsplit(dsn).query))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name in ("sslrootcert", "sslcrl", "sslcert"):
        if name not in given:
            continue
        try:
            if name == "sslcert":
                # With a password in any case: without one it would be asked for, at the terminal.
                context.load_cert_chain(given[name], given.get("sslkey"), given.get("sslpassword", ""))
            else:
                context.load_verify_locations(cafile=given[name])
        except OSError as error:
            return f"the file of {name} cannot be used ({error.strerror or type(error).__name__})"
    return None
