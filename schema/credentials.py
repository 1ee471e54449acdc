"""Webhook passwords, derived from a master secret, so that the receiver needs no database to check them."""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence

_COMPANY = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_BIGINT = 2**63 - 1


def parse_company(text: str) -> int | None:
    """The company id of a path or a command: 1 to 19 digits that fit a Postgres bigint; None otherwise."""
    if _COMPANY.fullmatch(text) is None:
        return None
    company_id = int(text)
    return company_id if company_id <= _BIGINT else None


def derive(secret: str, company_id: int) -> str:
    """The webhook password of a company: 43 url-safe characters of HMAC-SHA256."""
    digest = hmac.digest(secret.encode(), b"pipemirror webhook " + str(company_id).encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def header(secret: str, company_id: int) -> str:
    """The Authorization header that Pipedrive sends once it was given user and password."""
    pair = f"{company_id}:{derive(secret, company_id)}".encode()
    return "Basic " + base64.b64encode(pair).decode()


def verify(secrets: Sequence[str], company_id: int, authorization: str) -> int | None:
    """Which of the secrets the header was made with (0 signs, the others are old), or None.

    Every secret is tried, whichever matches, and each comparison is constant-time: the answer's timing tells nothing.
    The scheme's case is free (RFC 9110), so only the part behind it is compared.
    """
    scheme, _, given = authorization.partition(" ")
    matched: int | None = None
    for index, secret in enumerate(secrets):
        expected = header(secret, company_id).partition(" ")[2]
        equal = hmac.compare_digest(given.strip().encode(), expected.encode())
        if equal and matched is None:
            matched = index
    return matched if scheme.lower() == "basic" else None
