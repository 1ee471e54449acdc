"""What an answer of Pipedrive's REST API means: its content, or which problem it is."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from pipedrive.errors import (
    AccountClosed,
    AnswerUnreadable,
    ApiRedirects,
    BadRequest,
    BlockedByPipedrive,
    BudgetExhausted,
    CursorRejected,
    FeatureOff,
    Gone,
    PipedriveUnavailable,
    RateLimited,
    RightsMissing,
    ScopeMissing,
    TokenInvalid,
)
from pipedrive.quota import Quota, next_day
from pipedrive.request import Request
from schema.errors import Problem

BLOCKED_SECONDS: Final = 1800.0
"""How long nothing is asked after the network before Pipedrive has blocked us: asking on would prolong it."""

SHORTEST_WAIT: Final = 2.0
LONGEST_WAIT: Final = 10.0
"""Bounds of the wait after too many requests, in seconds: the window has two, and the unit of the header that tells
the rest of it is nowhere documented. `Retry-After` is no better: it is also sent, and short, when the day is over."""

_OK: Final = range(200, 300)
_REDIRECT: Final = range(300, 400)
_UNKNOWN: Final = frozenset({404, 405, 410, 501})
_BUSY: Final = frozenset({408, 425})
_NOT_FOR_A_CURSOR: Final = frozenset({400, 404, 410, 422})
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_PAIR: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE: Final = re.compile(rb"%s|%s|\\." % (_PAIR, _SURROGATE.pattern), re.DOTALL)
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_PROSE: Final = 160
_FIELDS: Final = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as received.

    headers  by their names in lower case
    began    microseconds since 1970 on Pipedrive's clock at which the request began, or a little before
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    began: int

    @property
    def correlation_id(self) -> str:
        """By which Pipedrive's support finds the request; empty if there is none."""
        return self.headers.get("x-correlation-id", "")[:64]

    @property
    def quota(self) -> Quota:
        return Quota.told(self.headers)


def read(answer: Answer, request: Request) -> dict[str, Any]:
    """The body of an answer that is a success. Raise one of `pipedrive.errors`."""
    if answer.status == 204:  # noqa: PLR2004 - nothing to read
        return {}
    if answer.status not in _OK:
        raise _problem(answer, request)
    content = _content(answer)
    if content is None:
        raise AnswerUnreadable(f"{request.name}: {len(answer.body)} bytes that are no JSON object")
    if content.get("success") is False:
        raise AnswerUnreadable(f"{request.name}: answered {answer.status}, but no success{_named(content)}")
    if request.one and not isinstance(content.get("data"), dict):
        raise AnswerUnreadable(f"{request.name}: answered {answer.status}, but with no record")
    return content


def _problem(answer: Answer, request: Request) -> Problem:
    status, content = answer.status, _content(answer)
    reason = f"{request.name}: {status}{_named(content or {})}"
    if status == 429:  # noqa: PLR2004
        return _limited(answer, request, reason)
    if (status >= 500 and status not in _UNKNOWN) or status in _BUSY:  # noqa: PLR2004
        return PipedriveUnavailable(reason)
    if status in _REDIRECT:
        return ApiRedirects(reason)
    if status == 403 and content is None:  # noqa: PLR2004 - Pipedrive itself answers in JSON, the network before it not
        return BlockedByPipedrive(reason, answer.began / 1e6 + BLOCKED_SECONDS)
    if status in _NOT_FOR_A_CURSOR and "cursor" in request.params:
        return CursorRejected(reason)
    return _refusal(status, request, reason, content or {})


def _refusal(status: int, request: Request, reason: str, content: dict[str, Any]) -> Problem:
    match status:
        case 401:
            return TokenInvalid(reason)
        case 402:
            return AccountClosed(reason)
        case 403:
            return _forbidden(reason, content)
        case status if status in _UNKNOWN:
            return Gone(reason)
        case _:
            fields = _fields(content)
            named = f" [{', '.join(fields)}]" if fields else ""
            return BadRequest(reason + named + _complaint(request, content), fields)


def _forbidden(reason: str, content: dict[str, Any]) -> Problem:
    if "scope" in _error(content).lower():
        return ScopeMissing(reason)
    return FeatureOff(reason) if str(content.get("code")).startswith("feature") else RightsMissing(reason)


def _limited(answer: Answer, request: Request, reason: str) -> Problem:
    """Both limits answer 429; what is left of the day's tokens tells them apart, where it is told."""
    left = answer.quota.tokens_left
    if left is not None and left < request.cost:
        return BudgetExhausted(f"{reason}, {left} tokens left today", next_day(answer.began / 1e6))
    asked = (_seconds(answer.headers.get(name)) for name in ("retry-after", "x-ratelimit-reset"))
    wait = min(max(SHORTEST_WAIT, *asked), LONGEST_WAIT)
    return RateLimited(reason, wait, certain=left is not None)


def _seconds(told: str | None) -> float:
    try:
        seconds = float(told or "")
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0


def _content(answer: Answer) -> dict[str, Any] | None:
    try:
        content = _parsed(answer.body)
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        if _SURROGATE.search(body) is None:
            raise
        return orjson.loads(_well_formed(body))


def _well_formed(body: bytes) -> bytes:
    """With U+FFFD for each half of a character, as is left of an emoji where a text was cut after so many units.

    No parser of ours takes one, nor does Postgres; and a whole page must not be lost to one title.
    """

    def whole(escape: re.Match[bytes]) -> bytes:
        return rb"\ufffd" if _SURROGATE.fullmatch(escape[0]) else escape[0]

    return _ESCAPE.sub(whole, body)


def _error(content: dict[str, Any]) -> str:
    found = content.get("error") or content.get("message")
    return found if isinstance(found, str) else ""


def _named(content: dict[str, Any]) -> str:
    """The word Pipedrive has for an error, such as `feature_capping_deals_limit`: a name in a program, no prose."""
    code = content.get("code")
    return f" ({code})" if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _fields(content: dict[str, Any]) -> tuple[str, ...]:
    """Names of parameters that Pipedrive complains of, without what it says of them."""
    errors = content.get("errors")
    return tuple(name for name in errors if _CODE.fullmatch(name))[:_FIELDS] if isinstance(errors, dict) else ()


def _complaint(request: Request, content: dict[str, Any]) -> str:
    """What Pipedrive says of a question it does not understand, shortened.

    It is said before any record is looked at, of what we sent: numbers, times, words of ours. So it holds no data of
    the customer's. Where we sent a body it may repeat a password; what is said of other refusals may name a person.
    """
    error = " ".join(_error(content).split())
    return f": {error[:_PROSE]}" if error and request.json is None else ""
