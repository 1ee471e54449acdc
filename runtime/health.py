"""What a process answers about itself: alive, ready or not and why, and its metrics.

Each part of a process offers a Check, a callable that says what is wrong with it just now; nothing is stored, so a
reason cannot outlive its cause.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import orjson
import structlog
from aiohttp import web

from runtime.backoff import Seldom
from runtime.metrics import CONTENT_TYPE, Metrics
from schema.errors import CheckCrashed

_log = structlog.stdlib.get_logger(__name__)
_seldom = Seldom()


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is not as it should be.

    code      of schema.errors, so that it leads to the same page of docs
    reason    one sentence for a person
    blocking  the process cannot do its work; otherwise it works and only says so
    """

    code: str
    reason: str
    blocking: bool = True


Check = Callable[[], Iterable[Condition]]


def readiness(checks: Sequence[Check]) -> tuple[bool, bytes]:
    """Whether the process can do its work, and the JSON document that says why (not)."""
    # Parts that wait for the same thing tell it once.
    conditions = list(dict.fromkeys(condition for check in checks for condition in _asked(check)))
    ready = not any(condition.blocking for condition in conditions)
    return ready, orjson.dumps({"ready": ready, "reasons": conditions})


def _asked(check: Check) -> list[Condition]:
    """A check that crashes must neither hide the others nor look like health."""
    try:
        return list(check())
    except Exception as error:  # noqa: BLE001 - it is told as what it is
        if _seldom.due(type(error).__name__):
            _log.exception("check_crashed")
        return [Condition(CheckCrashed.code, f"a check ended by {type(error).__name__}: see the log")]


def answer(path: str, checks: Sequence[Check], metrics: Metrics) -> web.Response | None:
    """The answer to `/livez`, `/readyz` or `/metrics`; None for any other path."""
    if path == "/livez":
        return web.Response()
    if path == "/readyz":
        ready, document = readiness(checks)
        return web.Response(status=200 if ready else 503, body=document, content_type="application/json")
    if path == "/metrics":
        return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE})
    return None
