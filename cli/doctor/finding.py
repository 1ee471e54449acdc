"""One thing that was looked at, and what came of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from schema.errors import Problem
from store.database import describe

Verdict = Literal["ok", "warn", "fail", "not applicable"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`found` says what was seen, `advice` what to do, empty where there is nothing to do.

    ok              as it should be
    warn            it works, or will, but somebody should look
    fail            it does not work
    not applicable  cannot be told from here, or is not this process's; `advice` says where to look, if anywhere
    """

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def ok(name: str, found: str) -> Finding:
    return Finding(name, "ok", found)


def warn(name: str, found: str, advice: str) -> Finding:
    return Finding(name, "warn", found, advice)


def fail(name: str, found: str, advice: str) -> Finding:
    return Finding(name, "fail", found, advice)


def elsewhere(name: str, found: str, advice: str = "") -> Finding:
    return Finding(name, "not applicable", found, advice)


async def guarded(name: str, check: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    """What `check` finds; a check that ends by an error has found that."""
    try:
        return await check()
    except Problem as problem:
        return [fail(name, problem.reason, problem.remedy)]
    except Exception as error:  # noqa: BLE001 - every reason why a check cannot be made is a finding
        return [fail(name, describe(error), "Report it, if this line does not say what is wrong.")]
