"""What an answer means, and that neither token nor content shows where problems are told."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from pipedrive import errors
from pipedrive.answer import BLOCKED_SECONDS, Answer, read
from pipedrive.clock import began
from pipedrive.quota import Quota, next_day
from pipedrive.request import WHO_AM_I, Request
from schema.errors import NotNow, Problem

NOON = 1_792_929_600 // 86_400 * 86_400 + 43_200
LIST = Request("GET", "/api/v2/deals", {"limit": "500"}, 10)
FURTHER = Request("GET", "/api/v2/deals", {"limit": "500", "cursor": "abc"}, 10)
HTML = b"<!DOCTYPE html><title>Attention Required! | Cloudflare</title>"


def answer(status: int, body: bytes | Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return Answer(status, headers or {}, content, NOON * 1_000_000)


def refused(status: int, body: bytes | Mapping[str, Any] = b"", request: Request = LIST, **headers: str) -> Problem:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(Problem) as problem:
        read(answer(status, body, told), request)
    return problem.value


def test_a_success_is_the_object_it_holds() -> None:
    body = {"success": True, "data": [{"id": 1}]}
    assert read(answer(200, body), LIST) == body
    assert read(answer(201, {"data": None}), LIST) == {"data": None}
    assert read(answer(204, b""), Request("DELETE", "/v1/webhooks/1")) == {}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"success": False, "error": "unauthorized access"}, errors.TokenInvalid),
        (401, HTML, errors.TokenInvalid),
        (402, {"success": False, "error": "payment required"}, errors.AccountClosed),
        (403, {"success": False, "error": "Scope and URL mismatch"}, errors.ScopeMissing),
        (403, {"success": False, "error": "Forbidden"}, errors.RightsMissing),
        (403, {"success": False, "error": "no", "code": "feature_capping_deals_limit"}, errors.FeatureOff),
        (403, HTML, errors.BlockedByPipedrive),
        (403, b"", errors.BlockedByPipedrive),
        (404, {"success": False, "error": "Not found"}, errors.Gone),
        (404, HTML, errors.Gone),
        (410, {"success": False}, errors.Gone),
        (405, b"", errors.Gone),
        (501, b"", errors.Gone),
        (400, {"success": False, "error": "limit must be less than 501"}, errors.BadRequest),
        (422, {}, errors.BadRequest),
        (415, {}, errors.BadRequest),
        (301, b"", errors.ApiRedirects),
        (307, b"", errors.ApiRedirects),
        (500, {"success": False}, errors.PipedriveUnavailable),
        (502, HTML, errors.PipedriveUnavailable),
        (503, HTML, errors.PipedriveUnavailable),
        (520, b"", errors.PipedriveUnavailable),
        (408, b"", errors.PipedriveUnavailable),
        (200, b"", errors.AnswerUnreadable),
        (200, b'{"success": true, "data": [{"id"', errors.AnswerUnreadable),
        (200, b"null", errors.AnswerUnreadable),
        (200, b"[]", errors.AnswerUnreadable),
        (200, HTML, errors.AnswerUnreadable),
        (200, b'\xff{"data": []}', errors.AnswerUnreadable),
        (200, {"success": False, "data": None}, errors.AnswerUnreadable),
    ],
)
def test_each_refusal_is_told_as_what_it_is(status: int, body: bytes, expected: type[Problem]) -> None:
    assert type(refused(status, body)) is expected


def test_half_a_character_is_replaced_and_the_page_it_stands_on_is_read() -> None:
    r"""As is left of an emoji where a text was cut. What only looks like it, after `\\`, stays."""
    body = (
        rb'{"data": ["a\ud83d", "\uDE00b", "\ud83d\ud83d\ude00", "\ud83d\ude00", "\\\ud83d", "\\\\ud83d", "\u00e9\n"]}'
    )
    whole = ["a\ufffd", "\ufffdb", "\ufffd\U0001f600", "\U0001f600", "\\\ufffd", "\\\\ud83d", "\u00e9\n"]
    assert read(answer(200, body), LIST)["data"] == whole
    assert type(refused(200, rb'{"data": ["\ud83d"')) is errors.AnswerUnreadable


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_a_cursor_is_only_rejected_where_one_was_sent(status: int) -> None:
    assert type(refused(status, {"success": False}, FURTHER)) is errors.CursorRejected
    assert type(refused(status, {"success": False}, LIST)) is not errors.CursorRejected


def test_who_is_blocked_keeps_away_for_a_while() -> None:
    problem = refused(403, HTML)
    assert isinstance(problem, errors.BlockedByPipedrive)
    assert problem.until == NOON + BLOCKED_SECONDS


def test_no_tokens_left_ends_the_day_whatever_retry_after_says() -> None:
    problem = refused(429, {}, x_daily_ratelimit_token_remaining="9", retry_after="2")
    assert isinstance(problem, errors.BudgetExhausted)
    assert problem.until == NOON + 43_200


def test_tokens_left_prove_that_only_the_window_was_full() -> None:
    problem = refused(429, HTML, x_daily_ratelimit_token_remaining="10", x_ratelimit_reset="3")
    assert isinstance(problem, errors.RateLimited)
    assert (problem.wait, problem.certain) == (3, True)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, 2),
        ({"retry_after": "5"}, 5),
        ({"retry_after": "1", "x_ratelimit_reset": "4"}, 4),
        ({"retry_after": "86400"}, 10),
        ({"x_ratelimit_reset": "1792929600"}, 10),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 2),
        ({"retry_after": "nan", "x_ratelimit_reset": "-1"}, 2),
        ({"retry_after": "inf"}, 2),
    ],
)
def test_the_wait_after_too_many_requests_is_bounded_whatever_is_told(headers: dict[str, str], wait: float) -> None:
    problem = refused(429, b"", LIST, **headers)
    assert isinstance(problem, errors.RateLimited)
    assert (problem.wait, problem.certain) == (wait, False)


def test_what_waiting_mends_is_not_now_and_the_rest_is_not() -> None:
    assert isinstance(refused(429), NotNow)
    assert isinstance(refused(403, HTML), NotNow)
    assert isinstance(refused(503), NotNow)
    assert isinstance(refused(200, b"null"), NotNow)
    assert isinstance(refused(401), errors.AccountRefused)
    assert isinstance(refused(402), errors.AccountRefused)
    assert isinstance(refused(404), errors.ListingRefused)


@pytest.mark.parametrize("status", [200, 401, 402, 403, 404, 429, 500])
def test_no_reason_repeats_what_might_be_about_a_person(status: int) -> None:
    body = {"success": False, "error": "Ada Lovelace may not see this", "data": {"name": "Ada"}, "code": "Ada L"}
    assert "Ada" not in str(refused(status, body))
    assert "Ada" not in repr(answer(status, body))


def test_a_question_that_is_not_understood_comes_with_pipedrives_words_unless_it_held_a_secret() -> None:
    body = {"success": False, "error": "limit must\nbe less", "code": "ERR_BAD_REQUEST"}
    assert str(refused(400, body)) == "GET /api/v2/deals: 400 (ERR_BAD_REQUEST): limit must be less"
    create = Request("POST", "/v1/webhooks", cost=10, json={"http_auth_password": "secret"})
    assert str(refused(400, {"error": "bad secret"}, create)) == "POST /v1/webhooks: 400"
    assert "secret" not in repr(create)


def test_what_is_wrong_with_a_creation_is_told_by_name_alone() -> None:
    create = Request("POST", "/v1/webhooks", cost=10, json={"http_auth_password": "secret"})
    problem = refused(400, {"errors": {"subscription_url": ["secret.example.com does not answer"]}}, create)
    assert isinstance(problem, errors.BadRequest)
    assert problem.fields == ("subscription_url",)
    assert str(problem) == "POST /v1/webhooks: 400 [subscription_url]"
    assert str(refused(422, {"errors": {"an odd name": []}}, create)) == "POST /v1/webhooks: 422"


def test_an_error_of_any_form_is_told_without_a_crash() -> None:
    for body in (
        {"error": {"a": 1}},
        {"error": None, "code": 7},
        {"error": 5, "message": []},
        {"code": ["x"]},
        {"errors": [1]},
    ):
        for status in (200, 400, 403, 404):
            if status != 200:
                assert refused(status, body)


def test_only_what_may_be_done_twice_is_repeatable() -> None:
    assert WHO_AM_I.repeatable
    assert not Request("POST", "/v1/webhooks").repeatable


def test_quotas_are_read_where_they_are_told_and_make_sense() -> None:
    told = {
        "x-ratelimit-limit": "80",
        "x-ratelimit-remaining": "79",
        "x-daily-ratelimit-token-limit": "30000",
        "x-daily-ratelimit-token-remaining": "-3",
    }
    assert Quota.told(told) == Quota(80, 79, 30_000, 0)
    assert Quota.told({"x-ratelimit-limit": "many", "x-ratelimit-remaining": "1.5"}) == Quota()
    assert Quota.told({"x-ratelimit-limit": "9" * 5000}) == Quota()


def test_the_next_day_begins_at_midnight_utc() -> None:
    assert next_day(NOON) == NOON + 43_200
    assert next_day(NOON + 43_200) == NOON + 43_200 + 86_400


def test_a_request_began_a_round_trip_before_the_date_of_its_answer() -> None:
    date = "Sun, 22 Nov 2026 12:00:05 GMT"
    at = 1_795_348_805_000_000
    assert began(date, sent=at - 900_000, elapsed=1_500_000) == at - 1_500_000
    assert began(date, sent=at + 3_600_000_000, elapsed=10) == at - 10


def test_however_far_the_local_clock_is_off_that_of_pipedrive_counts() -> None:
    """What is read then neither wins over all that happens until the local clock is reached, nor always loses."""
    at = 1_795_348_805_000_000
    for days in (-400, -3, 3, 400):
        assert began("Sun, 22 Nov 2026 12:00:05 GMT", sent=at + days * 86_400_000_000, elapsed=10) == at - 10


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sun, 22 Nov 1996 12:00:05 GMT", "Sun, 99 Nov 2026 12:00 GMT"])
def test_without_a_date_that_can_be_the_local_clock_counts(date: str | None) -> None:
    assert began(date, sent=1_795_348_805_000_000, elapsed=10) == 1_795_348_805_000_000
