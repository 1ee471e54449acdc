"""Webhook passwords, derived from a master secret, so that the receiver needs no database to check them."""

import base64
import hashlib
import hmac
from collections.abc import Sequence

COMPANY_DIGITS = 19


def parse_company(text: str) -> int | None:
    """The company id of a path or a user name: 1 to 19 ASCII digits, no leading zero; None otherwise."""
    if not (1 <= len(text) <= COMPANY_DIGITS and text.isascii() and text.isdigit()) or text.startswith("0"):
        return None
    return int(text)


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
