"""Webhooks as Pipedrive lists them, and the requests that list, make and remove them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from pipedrive.errors import UnexpectedAnswer
from pipedrive.request import Request

LIST: Final = Request("GET", "/v1/webhooks", cost=10)

_PORTS: Final = {"https": 443, "http": 80}
_YES: Final = (True, "1", "true")  # numbers, too: 1 is True


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook. None where Pipedrive told nothing.

    owner_id  who made it
    user_id   whose eyes it sees with: an event is sent only if this user may see the record
    active    false also for one that was removed and is still listed
    password  as it was given when it was made; whether Pipedrive lists it is up to Pipedrive
    """

    id: int
    url: str
    name: str = ""
    version: str = ""
    action: str = ""
    object: str = ""
    kind: str = ""
    owner_id: int | None = None
    user_id: int | None = None
    active: bool = True
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    last_status: int | None = None
    removed_for: str = ""


def hooks(content: Mapping[str, Any]) -> list[Hook]:
    """From the answer to `LIST`; what has no id is left out. Raise UnexpectedAnswer if it is no list."""
    found = content.get("data")
    if found is not None and not isinstance(found, list):
        raise UnexpectedAnswer(f"{LIST.name}: data is no list")
    read = (_hook(told) for told in found or () if isinstance(told, Mapping))
    return [hook for hook in read if hook is not None]


def creation(told: Mapping[str, Any]) -> Request:
    """`told` as the API wants it; it holds the password."""
    return Request("POST", "/v1/webhooks", cost=10, json=told)


def removal(hook_id: int) -> Request:
    return Request("DELETE", f"/v1/webhooks/{hook_id}", cost=6)


def created(content: Mapping[str, Any]) -> int:
    """The id of the webhook that was made. Raise UnexpectedAnswer."""
    found = content.get("data")
    made = _hook(found) if isinstance(found, Mapping) else None
    if made is None:
        raise UnexpectedAnswer("POST /v1/webhooks: names no webhook")
    return made.id


def same_address(one: str, other: str) -> bool:
    """Whether both lead to the same place, however they are written."""
    return _parts(one) == _parts(other)


def _hook(told: Mapping[str, Any]) -> Hook | None:
    number = _number(told.get("id"))
    if number is None:
        return None
    return Hook(
        number,
        _text(told.get("subscription_url")),
        name=_text(told.get("name")),
        version=_text(told.get("version")),
        action=_text(told.get("event_action")),
        object=_text(told.get("event_object")),
        kind=_text(told.get("type")),
        owner_id=_number(told.get("owner_id")),
        user_id=_number(told.get("user_id")),
        active=told.get("is_active", 1) in _YES and told.get("remove_time") is None,
        user=_optional(told.get("http_auth_user")),
        password=_optional(told.get("http_auth_password")),
        last_status=_number(told.get("last_http_status")),
        removed_for=_text(told.get("remove_reason"))[:100],
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _optional(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    return int(value) if str(value).isascii() and str(value).isdigit() else None


def _parts(url: str) -> tuple[str, str | None, int | None, str, str]:
    try:
        split = urlsplit(url)
        port = split.port or _PORTS.get(split.scheme)
    except ValueError:
        return ("", None, None, url, "")
    return (split.scheme, split.hostname, port, split.path.rstrip("/"), split.query)
