"""The limits of the sandbox's REST API: the burst window, the tokens of the day, and the wall behind both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from rig.asking import Asking, Clock, asking, made_company

from sandbox.rest.limits import Limits


@asynccontextmanager
async def limited(limits: Limits, clock: Clock) -> AsyncIterator[Asking]:
    async with asking(
        made_company(now=clock), limits=limits, clock=lambda: clock() / 1_000_000, tokens=("a", "b")
    ) as api:
        api.headers = {"x-api-token": "a"}
        yield api


async def test_the_window_lets_in_so_many_requests_and_tells_what_is_left() -> None:
    clock = Clock()
    async with limited(Limits(burst=3), clock) as api:
        answers = [await api.get("/v1/users/me") for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert answers[3].headers["x-ratelimit-limit"] == "3"
        assert answers[3].headers["x-ratelimit-reset"] == "2"
        api.headers = {"x-api-token": "b"}
        assert (await api.get("/v1/users/me")).status == 200, "each token has a window of its own"


async def test_the_window_rolls() -> None:
    clock = Clock()
    async with limited(Limits(burst=2), clock) as api:
        statuses = []
        for seconds in (0, 1.5, 0.4, 0.2, 0.1):
            clock.forward(seconds)
            statuses.append((await api.get("/v1/users/me")).status)
    assert statuses == [200, 200, 429, 200, 429]


async def test_when_the_day_is_spent_everything_is_refused_until_it_begins_anew() -> None:
    clock = Clock()
    async with limited(Limits(daily=25, day=3_600), clock) as api:
        assert [(await api.get("/api/v2/deals")).status for _ in range(4)] == [200, 200, 200, 429]
        assert (await api.get("/v1/users/me")).status == 429
        assert api.rest.gate.spent == api.rest.log.tokens().total() == 30
        clock.forward(3_600)
        assert (await api.get("/v1/users/me")).status == 200
        api.rest.gate.spend(25)
        assert (await api.get("/v1/users/me")).status == 429
        api.rest.gate.reset()
        assert (await api.get("/v1/users/me")).status == 200


@pytest.mark.parametrize("tells", [False, True])
async def test_what_is_left_of_the_day_may_be_told(tells: bool) -> None:
    async with limited(Limits(daily=100, tells_daily=tells), Clock()) as api:
        headers = (await api.get("/api/v2/deals")).headers
    assert headers.get("x-daily-ratelimit-token-remaining") == ("90" if tells else None)
    assert headers.get("x-daily-ratelimit-token-limit") == ("100" if tells else None)


async def test_a_429_may_say_how_long_to_wait_even_on_a_day_that_is_over() -> None:
    async with limited(Limits(daily=1, retry_after=True), Clock()) as api:
        await api.get("/v1/users/me")
        assert (await api.get("/v1/users/me")).headers["retry-after"] == "2"


async def test_who_hammers_on_meets_a_page_of_cloudflare() -> None:
    clock = Clock()
    async with limited(Limits(burst=1, block_after=3, block=10), clock) as api:
        answers = [await api.get("/v1/users/me") for _ in range(6)]
        assert [answer.status for answer in answers] == [200, 429, 429, 429, 403, 403]
        assert "<html" in answers[5].body
        clock.forward(5)
        assert (await api.get("/v1/users/me")).status == 403, "the window is free again, the wall is not"
        clock.forward(5)
        assert (await api.get("/v1/users/me")).status == 200


async def test_who_waits_between_refusals_meets_no_wall() -> None:
    clock = Clock()
    async with limited(Limits(burst=1, block_after=3), clock) as api:
        for _ in range(3):
            assert [(await api.get("/v1/users/me")).status for _ in range(3)] == [200, 429, 429]
            clock.forward(2)


async def test_without_limits_nothing_is_told_of_any() -> None:
    async with limited(Limits(), Clock()) as api:
        assert not [name for name in (await api.get("/v1/users/me")).headers if "ratelimit" in name.lower()]
