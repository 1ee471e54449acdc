"""What the sandbox's REST API does wrong on purpose."""

from typing import Any

import aiohttp
import pytest
from rig.asking import Asking, asking, made_company

from sandbox.rest.mischief import RestMischief


@pytest.mark.parametrize(
    ("mischief", "status"),
    [
        ({"too_many": 1.0}, {429}),
        ({"broken": 1.0}, {500, 502, 503, 504}),
        ({"pages": 1.0}, {403}),
        ({"closed": True}, {402}),
        ({"forbidden": frozenset(("/api/v2/deals",))}, {403}),
    ],
    ids=["429", "5xx", "a page", "closed", "no scope"],
)
async def test_every_request_may_be_refused(mischief: dict[str, Any], status: set[int]) -> None:
    async with asking(made_company(), mischief=RestMischief(**mischief)) as api:
        assert {(await api.get("/api/v2/deals")).status for _ in range(30)} == status
        api.rest.mischief = RestMischief()
        assert (await api.get("/api/v2/deals")).status == 200


async def test_a_scope_is_missing_for_some_paths_alone() -> None:
    async with asking(made_company(), mischief=RestMischief(forbidden=frozenset(("/v1/notes",)))) as api:
        assert (await api.get("/v1/notes")).status == 403
        assert (await api.get("/api/v2/deals")).status == 200


async def test_a_share_is_a_share_and_the_same_seed_makes_the_same_mischief() -> None:
    async def statuses(seed: int) -> list[int]:
        async with asking(made_company(), mischief=RestMischief(broken=0.3), seed=seed) as api:
            return [(await api.get("/v1/users/me")).status for _ in range(60)]

    first = await statuses(1)
    assert first == await statuses(1)
    assert first != await statuses(2)
    assert 5 < sum(status != 200 for status in first) < 35


async def test_a_body_may_be_null_or_hold_nothing() -> None:
    async with asking(made_company(), mischief=RestMischief(nulls=1.0)) as api:
        bodies = [(await api.get("/api/v2/deals")).body for _ in range(30)]
    assert None in bodies
    assert {body["data"] for body in bodies if body is not None} == {None}


async def told(api: Asking) -> bool:
    """Whether it was told what it asked for."""
    try:
        answer = await api.get("/api/v2/deals")
    except aiohttp.ClientPayloadError:
        return False
    return answer.status == 200 and bool(answer.body and answer.body["data"])


@pytest.mark.parametrize(
    "mischief", [{"broken": 1.0}, {"cut": 1.0}, {"nulls": 1.0}, {"broken": 1.0, "cut": 1.0, "nulls": 1.0}]
)
async def test_what_was_spoilt_once_may_be_right_the_next_time(mischief: dict[str, Any]) -> None:
    async with asking(made_company(), mischief=RestMischief(**mischief, once=True)) as api:
        for _ in range(5):
            assert not await told(api)
            assert await told(api)


async def test_an_answer_may_end_in_the_middle() -> None:
    async with asking(made_company(), mischief=RestMischief(cut=1.0)) as api:
        with pytest.raises(aiohttp.ClientPayloadError):
            await api.get("/api/v2/deals")


async def test_an_answer_may_be_late() -> None:
    async with asking(made_company(), mischief=RestMischief(slow=1.0, delay=60)) as api:
        with pytest.raises(TimeoutError):
            await api.ask("GET", "/v1/users/me", timeout=aiohttp.ClientTimeout(total=0.2))


async def test_a_cursor_may_be_refused() -> None:
    async with asking(made_company(), mischief=RestMischief(stale=1.0)) as api:
        first = await api.get("/api/v2/deals", limit=1)
        assert (await api.get("/api/v2/deals", limit=1, cursor=first.cursor)).status == 400


@pytest.mark.parametrize(("path", "size"), [("/api/v2/deals", 3), ("/v1/notes", 30)])
async def test_a_list_may_ignore_the_limit(path: str, size: int) -> None:
    """Pages may be smaller, and larger."""
    async with asking(made_company(deals=100), mischief=RestMischief(sizes={path: size})) as api:
        assert len((await api.get(path, limit=10)).rows) == size


async def test_a_page_may_tell_rows_twice() -> None:
    company = made_company()
    async with asking(company, mischief=RestMischief(twice=0.5)) as api:
        rows = await api.walk("/api/v2/deals", limit=10)
    assert len(rows) > len(company.live["deal"]) == len({row["id"] for row in rows})
