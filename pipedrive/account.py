"""Who a token belongs to: the answer to `request.WHO_AM_I`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipedrive.errors import UnexpectedAnswer


@dataclass(frozen=True, slots=True)
class Account:
    """One user of one company.

    domain    of its address in Pipedrive, such as `acme` of acme.pipedrive.com; empty if not told
    is_admin  whether the user sees everything and may make webhooks for it; None if not told
    """

    company_id: int
    company_name: str
    domain: str
    user_id: int
    user_name: str
    is_admin: bool | None


def account_of(content: Mapping[str, Any]) -> Account:
    """From the body of the answer. Raise UnexpectedAnswer where it does not say whose token it is."""
    found = content.get("data")
    data = found if isinstance(found, Mapping) else {}
    return Account(
        _id(data, "company_id"),
        _text(data, "company_name"),
        _text(data, "company_domain"),
        _id(data, "id"),
        _text(data, "name"),
        _is_admin(data),
    )


def _id(data: Mapping[str, Any], name: str) -> int:
    """Ids have come as numbers and as text."""
    told = str(data.get(name))
    if not (told.isascii() and told.isdigit() and 0 < len(told) <= 19 and 0 < int(told) < 2**63):  # noqa: PLR2004
        raise UnexpectedAnswer(f"/v1/users/me: no {name} that can be one")
    return int(told)


def _text(data: Mapping[str, Any], name: str) -> str:
    told = data.get(name)
    return told if isinstance(told, str) else ""


def _is_admin(data: Mapping[str, Any]) -> bool | None:
    """By the rights per app: who is admin of deals, or of everything."""
    told = data.get("is_admin")
    if told is not None:
        return told in (True, "1", "true")  # numbers, too: 1 is True
    access = data.get("access")
    if not isinstance(access, list):
        return None
    apps = {entry.get("app"): entry.get("admin") for entry in access if isinstance(entry, Mapping)}
    return bool(apps.get("global") or apps.get("sales"))
