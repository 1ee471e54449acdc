"""Lines of `status` about the reading of one company's account."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from cli.spans import age


def account_lines(account: Mapping[str, Any] | None, now: datetime | None = None) -> Iterator[str]:
    """From what `store.healing` tells."""
    if account is None or account["token"] is None:
        return
    at = now or datetime.now(UTC)
    if account["token"]["refused_at"] is not None:
        yield f"token refused {_ago(account['token']['refused_at'], at)}: {account['token']['code']}; `connect` again"
    if account["token"].get("unreadable") is not None:
        yield f"token not readable with the keys known here: {account['token']['unreadable']}"
    yield _webhook(account["webhook"], at)
    if account["gap"] is not None:
        yield f"events may be missing since {account['gap']['since']:%Y-%m-%d %H:%M}Z: a sweep is due"
    if account["backfill"] is not None:
        yield f"backfill: {account['backfill']['read']} of {account['backfill']['lists']} lists are read so far"
    for job in account["jobs"]:
        yield _job(job, at)
    for one in account["not_read"]:
        yield f"not read: {one['entity']} ({one['list']}): {one['code']}"
    for one in account["refused"]:
        yield f"not read: {one['rows']:,} rows of {one['entity']}, such as {_ids(one)}: {one['code']}: {one['reason']}"
    if account["tokens"] is not None:
        yield _tokens(account["tokens"])


def _webhook(webhook: Mapping[str, Any] | None, at: datetime) -> str:
    if webhook is None:
        return "live: never subscribed"
    checked = f"checked {_ago(webhook['checked_at'], at)}"
    if webhook["id"] is None:
        return f"live: off, {checked}: {'; '.join(one['code'] for one in webhook['findings'])}"
    return f"live: webhook {webhook['id']}, {checked}"


def _job(job: Mapping[str, Any], at: datetime) -> str:
    done = "not done yet" if job["ended_at"] is None else f"done {_ago(job['ended_at'], at)}"
    if job["code"] is not None:
        return f"{job['job']}: {done}, since then {job['code']}: {job['reason']}"
    differed = (job["result"] or {}).get("differed")
    drift = f", mended {sum(differed.values()):,}: {', '.join(differed)}" if differed else ""
    return f"{job['job']}: {done}{drift}"


def _ids(refused: Mapping[str, Any]) -> str:
    return ", ".join(one or "one without an id" for one in refused["ids"])


def _tokens(tokens: Mapping[str, Any]) -> str:
    of = f"{tokens['daily']:,}" if tokens["daily"] else f"{tokens['daily_at_least']:,} or more"
    shut = f"; nothing is asked until {tokens['shut_until']:%H:%M}Z" if tokens["shut_until"] else ""
    return f"tokens spent today: {tokens['spent']:,} of the account's {of}{shut}"


def _ago(moment: datetime, at: datetime) -> str:
    return f"{age(max((at - moment).total_seconds(), 0.0))} ago"
