"""How the API says no: a status, and a body that differs between its two versions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

Body = dict[str, Any]

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_SEE: Final = "Please check developers.pipedrive.com for more information about Pipedrive API."


@dataclass(frozen=True, slots=True)
class Refused(Exception):
    """`body` stands instead of the version's own envelope, where a path has one of its own; `page` is HTML instead."""

    status: int
    error: str
    info: str = ""
    body: Body | None = None
    page: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)

    def told(self, version: int) -> Body:
        """The body of the answer, if it is no page."""
        if self.body is not None:
            return self.body
        if version == 1:
            return {"success": False, "error": self.error, "errorCode": self.status}
        return {"success": False, "error": self.error, "error_info": self.info, "data": None, "additional_data": None}


def bad(error: str) -> Refused:
    return Refused(400, error, _SEE)


def unauthorized() -> Refused:
    return Refused(401, "unauthorized access")


def closed() -> Refused:
    return Refused(402, "Payment required", "The company account is not open. Please contact the account owner.")


def out_of_scope() -> Refused:
    return Refused(403, "Scope and URL mismatch", "The token has no scope that allows this request.")


def not_found() -> Refused:
    return Refused(404, "Entity was not found", "Object was not found.")


def too_many(headers: Mapping[str, str]) -> Refused:
    return Refused(429, "Request over limit", "You have exceeded the rate limit of requests.", headers=headers)


def blocked() -> Refused:
    """Not of Pipedrive, but of what stands before it."""
    return Refused(403, "Forbidden", page=_BLOCKED)


def unavailable(status: int) -> Refused:
    """An error of the server: a gateway answers with a page, the API itself as it always does."""
    page = None if status == _OWN_ERROR else f"<html><body><h1>{status} Bad Gateway</h1></body></html>"
    return Refused(status, "Server error", "Please try again later.", page=page)


_OWN_ERROR: Final = 500
_BLOCKED: Final = """<!DOCTYPE html>
<html lang="en-US"><head><title>Access denied | api.pipedrive.com used Cloudflare to restrict access</title></head>
<body><h1>Error 1015</h1><h2>You are being rate limited</h2></body></html>
"""
