"""The client against a server that follows a script: what it tries again, what it tells, what it never does."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from rig.waiting import until
from structlog.testing import capture_logs

from pipedrive.allowance import Allowance, InMemory
from pipedrive.budget import Need, Terms
from pipedrive.client import ATTEMPTS, SUSPECTED_SECONDS, Asked, Client, nobody
from pipedrive.errors import (
    AccountClosed,
    AnswerUnreadable,
    ApiRedirects,
    BlockedByPipedrive,
    BudgetExhausted,
    CursorRejected,
    FeatureOff,
    PipedriveUnavailable,
    RateLimited,
    RightsMissing,
    ScopeMissing,
    TokenInvalid,
    UnexpectedAnswer,
)
from pipedrive.ledger import Shut
from pipedrive.request import WHO_AM_I, Request
from pipedrive.token import Kind, Token
from pipedrive.wire import Wire
from runtime.backoff import Backoff
from schema.listing import Listing

SECRET = "0123456789abcdef-the-token"
ME = "/v1/users/me"
DEALS = Request("GET", "/api/v2/deals", {"limit": "2"}, 10)
LISTING = Listing("/api/v2/deals", 10, limit=2)
QUICK = Backoff(first=0.01, cap=0.01)
TOO_MANY = {"success": False, "error": "request over limit"}

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def answers(body: Any, status: int = 200, **headers: str) -> Handler:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    told = {name.replace("_", "-"): value for name, value in headers.items()}

    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=content, status=status, headers=told)

    return handler


async def cuts(request: web.BaseRequest) -> web.StreamResponse:
    """A head that promises more than comes."""
    response = web.StreamResponse(headers={"content-length": "1000"})
    await response.prepare(request)
    await response.write(b'{"success": true, "data": [')
    assert request.transport is not None
    request.transport.abort()
    return response


async def never(_: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(3600)
    raise AssertionError


async def drips(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.05)


async def floods(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65536)


class Server:
    """Answers what is scripted, in this order, then `otherwise`; who we are is answered apart."""

    def __init__(self) -> None:
        self.script: deque[Handler] = deque()
        self.otherwise: Handler = answers({"success": True, "data": []})
        self.me: Handler = answers({"success": True, "data": {"id": 1}})
        self.asked: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.url = ""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        self.headers.append(dict(request.headers))
        await request.read()
        if request.path == ME:
            return await self.me(request)
        return await (self.script.popleft() if self.script else self.otherwise)(request)

    @property
    def others(self) -> list[str]:
        return [path for path in self.asked if path != ME]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    runner = web.ServerRunner(web.Server(found, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


@asynccontextmanager
async def connected(
    server: Server,
    *,
    tokens: Callable[[], Awaitable[Token]] | None = None,
    books: InMemory | None = None,
    on_asked: Callable[[Asked], None] = nobody,
    **options: Any,
) -> AsyncIterator[Client]:
    async def token() -> Token:
        return Token(SECRET)

    allowance = Allowance(books or InMemory(), Terms())
    async with Client(
        Wire(server.url, **options), tokens or token, allowance, retry=QUICK, on_asked=on_asked
    ) as client:
        yield client


async def refused(server: Server, request: Request = DEALS, **options: Any) -> BaseException:
    async with connected(server, **options) as client:
        with pytest.raises(Exception) as problem:  # noqa: PT011 - the caller looks at its type
            await client.get(request, need=Need.BULK)
    return problem.value


async def test_an_answer_comes_with_its_time_and_the_request_with_its_token(server: Server) -> None:
    server.script.append(answers({"success": True, "data": [1]}, x_correlation_id="abc"))
    before = time.time_ns() // 1000
    async with connected(server) as client:
        reply = await client.get(DEALS, need=Need.LIVE)
    assert (reply.content["data"], reply.correlation_id) == ([1], "abc")
    assert before - 2_000_000 <= reply.began <= time.time_ns() // 1000
    assert server.asked == ["/api/v2/deals?limit=2"]
    assert server.headers[0]["x-api-token"] == SECRET
    assert SECRET not in server.asked[0]


async def test_an_app_shows_its_access_token_as_bearer(server: Server) -> None:
    async def token() -> Token:
        return Token(SECRET, Kind.OAUTH)

    async with connected(server, tokens=token) as client:
        await client.get(DEALS, need=Need.LIVE)
    assert server.headers[0]["Authorization"] == f"Bearer {SECRET}"
    assert "x-api-token" not in server.headers[0]


async def test_paths_and_parameters_arrive_as_they_were_meant(server: Server) -> None:
    request = Request("GET", "/v1/deals/a%2Fb/flow", {"cursor": "a+b/=&c d", "since": "2026-01-01T00:00:00Z"})
    async with connected(server) as client:
        await client.get(request, need=Need.LIVE)
    path, _, query = server.asked[0].partition("?")
    assert path == "/v1/deals/a%2Fb/flow"
    assert dict(part.split("=") for part in query.split("&")).keys() == {"cursor", "since"}
    assert "a%2Bb" in query


async def test_each_request_that_was_sent_is_counted_with_what_it_came_to(server: Server) -> None:
    counted: list[Asked] = []
    server.script += [answers(b"", 503), answers(TOO_MANY, 429), answers({"success": True, "data": []})]
    async with connected(server, on_asked=counted.append) as client:
        await client.get(DEALS, need=Need.BULK)
    assert [asked.result for asked in counted] == ["pipedrive_unavailable", "rate_limited", "answered"]
    assert {asked.cost for asked in counted} == {DEALS.cost}
    assert all(asked.seconds > 0 for asked in counted)


async def test_a_request_that_is_given_up_is_counted_as_such(server: Server) -> None:
    counted: list[Asked] = []
    server.script.append(never)
    async with connected(server, on_asked=counted.append) as client:
        asking = asyncio.create_task(client.get(DEALS, need=Need.BULK))
        await until(lambda: bool(server.asked))
        asking.cancel()
        await asyncio.wait((asking,))
    assert [asked.result for asked in counted] == ["cancelled"]


@pytest.mark.parametrize(
    "fault",
    [
        answers(b"", 500),
        answers(b"<html>Bad gateway</html>", 502),
        answers({"success": False, "error": "maintenance"}, 503),
        answers(b"null"),
        answers(b'{"success": true, "da'),
        answers({"success": False, "data": None}),
        cuts,
    ],
    ids=["500", "502", "503", "null", "truncated", "no success", "cut"],
)
async def test_what_passes_is_tried_again(server: Server, fault: Handler) -> None:
    server.script += [fault, fault]
    async with connected(server) as client:
        reply = await client.get(DEALS, need=Need.BULK)
    assert reply.content["data"] == []
    assert len(server.asked) == 3


async def test_what_does_not_pass_is_told_after_a_few_attempts(server: Server) -> None:
    server.otherwise = answers(b"", 503)
    assert isinstance(await refused(server), PipedriveUnavailable)
    assert len(server.asked) == ATTEMPTS
    server.otherwise = answers(b"null")
    assert isinstance(await refused(server), AnswerUnreadable)


async def test_an_address_where_nobody_answers_is_told(server: Server) -> None:
    server.url = "http://127.0.0.1:1"
    assert isinstance(await refused(server), PipedriveUnavailable)


@pytest.mark.parametrize("fault", [never, drips])
async def test_who_answers_too_slowly_is_given_up(server: Server, fault: Handler) -> None:
    server.script += [fault]
    async with connected(server, timeout=aiohttp.ClientTimeout(total=0.3)) as client:
        await asyncio.wait_for(client.get(DEALS, need=Need.BULK), 20)
    assert len(server.asked) == 2


async def test_a_body_without_end_is_not_read_to_it(server: Server) -> None:
    server.otherwise = floods
    assert isinstance(await refused(server, most_bytes=1_000_000), UnexpectedAnswer)
    assert len(server.asked) == 1


async def test_the_token_follows_no_redirect(server: Server) -> None:
    server.otherwise = server.me = answers(b"", 302, location=f"{server.url}/elsewhere")
    assert isinstance(await refused(server), ApiRedirects)
    assert server.asked == ["/api/v2/deals?limit=2", ME]


async def test_one_redirect_among_answers_that_are_none_is_asked_again(server: Server) -> None:
    """As of a gateway that is being maintained."""
    server.script += [answers(b"", 302, location="/maintenance")]
    async with connected(server) as client:
        await client.get(DEALS, need=Need.BULK)
    assert len(server.others) == 2


async def test_an_address_that_leads_elsewhere_while_the_others_answer_is_this_list_alone(server: Server) -> None:
    server.otherwise = answers(b"", 301, location="/v3/deals")
    assert isinstance(await refused(server), UnexpectedAnswer)
    assert len(server.others) == 2


async def test_a_creation_is_not_sent_twice_when_nobody_knows_what_became_of_it(server: Server) -> None:
    server.script += [cuts]
    assert isinstance(await refused(server, Request("POST", "/v1/webhooks", json={"name": "x"})), PipedriveUnavailable)
    assert len(server.asked) == 1


async def test_a_token_that_is_not_known_ends_the_work_of_the_account(server: Server) -> None:
    server.otherwise = server.me = answers({"success": False, "error": "unauthorized access"}, 401)
    assert isinstance(await refused(server), TokenInvalid)
    assert isinstance(await refused(server, WHO_AM_I), TokenInvalid)


async def test_a_company_that_is_closed_ends_the_work_of_the_account(server: Server) -> None:
    server.otherwise = server.me = answers({"success": False}, 402)
    assert isinstance(await refused(server), AccountClosed)


async def test_a_list_that_one_must_not_see_or_has_not_bought_ends_that_list_alone(server: Server) -> None:
    server.otherwise = answers({"success": False}, 402)
    assert isinstance(await refused(server), FeatureOff)
    server.otherwise = answers({"success": False}, 401)
    assert isinstance(await refused(server), RightsMissing)
    server.otherwise = answers({"success": False, "error": "Scope and URL mismatch"}, 403)
    assert isinstance(await refused(server), ScopeMissing)
    server.otherwise = answers({"success": False, "error": "bad cursor"}, 400)
    assert isinstance(await refused(server, Request("GET", "/api/v2/deals", {"cursor": "x"})), CursorRejected)


async def test_a_token_that_was_renewed_meanwhile_is_tried(server: Server) -> None:
    values = iter([SECRET, "renewed", "renewed", "renewed"])

    async def token() -> Token:
        return Token(next(values), Kind.OAUTH)

    server.script.append(answers({"success": False}, 401))
    async with connected(server, tokens=token) as client:
        await client.get(DEALS, need=Need.LIVE)
    assert [headers["Authorization"] for headers in server.headers] == [f"Bearer {SECRET}", "Bearer renewed"]


async def test_after_too_many_requests_it_waits_for_the_window_and_goes_on(server: Server) -> None:
    server.script.append(answers(TOO_MANY, 429, retry_after="1"))
    start = time.monotonic()
    async with connected(server) as client:
        await client.get(DEALS, need=Need.BULK)
    assert time.monotonic() - start >= 2
    assert len(server.asked) == 2


async def test_too_many_requests_again_and_again_are_taken_for_the_end_of_the_day(server: Server) -> None:
    server.otherwise = answers(TOO_MANY, 429)
    books = InMemory()
    problem = await refused(server, books=books)
    assert isinstance(problem, BudgetExhausted)
    assert SUSPECTED_SECONDS - 60 < problem.until - time.time() <= SUSPECTED_SECONDS
    assert len(server.asked) == 3
    # Nobody asks any more.
    assert isinstance(await refused(server, books=books), BudgetExhausted)
    assert len(server.asked) == 3


async def test_too_many_requests_while_tokens_are_left_are_what_they_seem(server: Server) -> None:
    server.otherwise = answers(TOO_MANY, 429, x_daily_ratelimit_token_remaining="29000")
    assert isinstance(await refused(server), RateLimited)
    assert len(server.asked) == ATTEMPTS


async def test_no_tokens_left_stops_at_once_until_midnight(server: Server) -> None:
    server.otherwise = answers(TOO_MANY, 429, x_daily_ratelimit_token_remaining="0", retry_after="1")
    books = InMemory()
    problem = await refused(server, books=books)
    assert isinstance(problem, BudgetExhausted)
    assert problem.until % 86_400 == 0
    assert isinstance(await refused(server, books=books), BudgetExhausted)
    assert len(server.asked) == 1


async def test_who_is_blocked_asks_nothing_more(server: Server) -> None:
    server.otherwise = answers(b"<html>Attention Required! | Cloudflare</html>", 403)
    books = InMemory()
    for _ in range(3):
        assert isinstance(await refused(server, books=books), BlockedByPipedrive)
    assert len(server.asked) == 1


class Later(InMemory):
    """Its clock can be set on."""

    ahead = 0.0

    def __init__(self) -> None:
        super().__init__(lambda: time.time() + self.ahead)


async def test_after_a_block_one_cheap_question_is_asked_before_all_others(server: Server) -> None:
    server.script.append(answers(b"<html>", 403))
    books = Later()
    assert isinstance(await refused(server, books=books), BlockedByPipedrive)
    books.ahead = 1801
    async with connected(server, books=books) as client:
        await asyncio.gather(*(client.get(DEALS, need=Need.BULK) for _ in range(5)))
    assert server.asked[1] == ME
    assert len(server.others) == 6
    assert server.asked.count(ME) == 1


async def test_a_day_that_is_still_over_is_found_out_by_one_cheap_question(server: Server) -> None:
    server.otherwise = server.me = answers(TOO_MANY, 429)
    books = Later()
    await books.amend(lambda ledger, now: (ledger.refused(Shut.DAILY, 10, now), None))
    books.ahead = 11
    assert isinstance(await refused(server, books=books), BudgetExhausted)
    assert isinstance(await refused(server, books=books), BudgetExhausted)
    assert server.asked == [ME]


async def test_requests_that_are_given_up_leave_the_client_as_it_was(server: Server) -> None:
    server.script.append(never)
    async with connected(server) as client:
        asking = asyncio.create_task(client.get(DEALS, need=Need.BULK))
        await until(lambda: server.asked)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await client.get(DEALS, need=Need.BULK)).content["data"] == []


async def test_neither_token_nor_content_is_logged_or_told(server: Server) -> None:
    server.otherwise = answers({"success": False, "error": f"{SECRET} of Ada"}, 403, x_correlation_id="abc")
    with capture_logs() as logs:
        problem = await refused(server)
    assert [line["correlation_id"] for line in logs] == ["abc"]
    for text in (str(logs), str(problem), repr(problem), repr(Token(SECRET))):
        assert SECRET not in text
        assert "Ada" not in text


async def test_no_more_connections_are_open_than_allowed(server: Server) -> None:
    under_way = most = 0

    async def counted(_: web.BaseRequest) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return web.Response(body=b'{"data": []}')

    server.otherwise = counted
    async with connected(server, connections=3) as client:
        await asyncio.gather(*(client.get(DEALS, need=Need.BULK) for _ in range(12)))
    assert most == 3
