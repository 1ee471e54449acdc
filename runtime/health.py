"""What a process answers about itself: alive, ready or not and why, and its metrics.

Each part of a process offers a Check, a callable that says what is wrong with it just now; nothing is stored, so a
reason cannot outlive its cause.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import orjson
from aiohttp import web

from runtime.metrics import CONTENT_TYPE, Metrics


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
    conditions = [condition for check in checks for condition in check()]
    ready = not any(condition.blocking for condition in conditions)
    reasons = [{"code": condition.code, "reason": condition.reason} for condition in conditions]
    return ready, orjson.dumps({"ready": ready, "reasons": reasons})


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
