"""What `status` says of the reading of an account."""

from datetime import UTC, datetime, timedelta
from typing import Any

from cli.operating.account_status import account_lines

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def ago(**spans: int) -> datetime:
    return NOW - timedelta(**spans)


def account(**told: Any) -> dict[str, Any]:
    token = {"refused_at": None, "code": None}
    nothing: dict[str, Any] = dict.fromkeys(("webhook", "backfill", "tokens", "gap"))
    nothing |= {"token": token, "jobs": [], "not_read": [], "refused": []}
    return nothing | told


def lines(**told: Any) -> list[str]:
    return list(account_lines(account(**told), NOW))


def job(**told: Any) -> dict[str, Any]:
    return {"job": "sweep", "ended_at": ago(minutes=3), "code": None, "reason": None, "result": {}} | told


def test_a_company_that_nobody_connected_says_nothing() -> None:
    assert list(account_lines(None, NOW)) == []
    assert lines(token=None) == []


def test_how_live_stands() -> None:
    assert lines() == ["live: never subscribed"]
    webhook = {"id": 7, "checked_at": ago(minutes=5), "findings": []}
    assert lines(webhook=webhook) == ["live: webhook 7, checked 5 min ago"]
    off = webhook | {"id": None, "findings": [{"code": "not_reachable"}]}
    assert lines(webhook=off) == ["live: off, checked 5 min ago: not_reachable"]


def test_how_much_of_the_account_is_read() -> None:
    assert "backfill: 25 of 50 lists are read so far" in lines(backfill={"lists": 50, "read": 25})


def test_a_token_that_is_refused_comes_first() -> None:
    token = {"refused_at": ago(hours=3), "code": "token_invalid"}
    assert lines(token=token)[0] == "token refused 3 h ago: token_invalid; `connect` again"


def test_a_token_that_the_keys_known_here_do_not_open() -> None:
    found = lines(token={"refused_at": None, "unreadable": "ENCRYPTION_KEYS does not open it"})
    assert found[0] == "token not readable with the keys known here: ENCRYPTION_KEYS does not open it"


def test_jobs_with_what_they_came_to_or_why_they_did_not() -> None:
    assert "sweep: done 3 min ago" in lines(jobs=[job()])
    assert "sweep: not done yet" in lines(jobs=[job(ended_at=None)])
    found = lines(jobs=[job(job="reconcile", result={"differed": {"deal": 2, "note": 1}})])
    assert "reconcile: done 3 min ago, mended 3: deal, note" in found
    failed = lines(jobs=[job(code="budget_exhausted", reason="the day's tokens are spent")])
    assert "sweep: done 3 min ago, since then budget_exhausted: the day's tokens are spent" in failed


def test_lists_that_could_not_be_read_gaps_and_tokens() -> None:
    found = lines(
        not_read=[{"entity": "role", "list": "/v1/roles", "code": "scope_missing"}],
        refused=[{"entity": "deal", "rows": 2, "ids": ["5", ""], "code": "bad_value", "reason": "no number"}],
        gap={"since": ago(hours=1), "reasons": ["start"]},
        tokens={"spent": 1_234, "daily": None, "daily_at_least": 30_000, "shut_until": None},
    )
    assert found[1:] == [
        "events may be missing since 2026-03-04 11:00Z: a sweep is due",
        "not read: role (/v1/roles): scope_missing",
        "not read: 2 rows of deal, such as 5, one without an id: bad_value: no number",
        "tokens spent today: 1,234 of the account's 30,000 or more",
    ]
    shut = {"spent": 5, "daily": 60_000, "daily_at_least": 30_000, "shut_until": NOW}
    assert lines(tokens=shut)[1] == "tokens spent today: 5 of the account's 60,000; nothing is asked until 12:00Z"
