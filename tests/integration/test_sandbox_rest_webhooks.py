"""Webhooks made through the sandbox's REST API: what happens is told to those there are at that moment."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import encode_basic_auth, web
from rig.asking import Asking, asking, made_company
from rig.waiting import until

from sandbox.deliveries import Pace
from sandbox.live import run_subscribed
from sandbox.rest.mischief import RestMischief
from sandbox.script import step

QUICK = Pace(clock_scale=0.001)


@dataclass(slots=True)
class Receiver:
    url: str = ""
    status: int = 200
    told: list[dict[str, Any]] = field(default_factory=list)
    credentials: set[str | None] = field(default_factory=set)

    async def take(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            self.told.append(await request.json())
            self.credentials.add(request.headers.get("authorization"))
        return web.Response(status=self.status)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver, app = Receiver(), web.Application()
    app.router.add_route("*", "/", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def subscribe(api: Asking, url: str, **more: Any) -> Any:
    wanted = {"subscription_url": url, "event_action": "*", "event_object": "*", "name": "ours"}
    return await api.ask("POST", "/v1/webhooks", json={**wanted, **more})


async def told_of(api: Asking, steps: int) -> list[str]:
    """What the sandbox sends of so many things that happen."""
    events = [event for _ in range(steps) for event in step(api.rest.view.company)]
    for event in events:
        await api.rest.subscriptions.send(event)
    await api.rest.subscriptions.drain()
    return [event.entity for event in events]


async def test_events_before_the_subscription_are_lost_and_those_after_it_are_told() -> None:
    async with receiving() as receiver, asking(made_company()) as api:
        before = await told_of(api, 10)
        assert receiver.told == []
        assert len(api.rest.subscriptions.ledger.lost) == len(before)
        assert {lost.reason for lost in api.rest.subscriptions.ledger.lost} == {"unsubscribed"}
        assert (await subscribe(api, receiver.url)).status == 201
        after = await told_of(api, 30)
    expected = sorted(entity for entity in after if entity != "activity_type")
    assert sorted(body["meta"]["entity"] for body in receiver.told) == expected


async def test_each_webhook_gets_what_it_asked_for_in_its_own_version() -> None:
    async with receiving() as deals, receiving() as old, asking(made_company()) as api:
        await subscribe(api, deals.url, event_object="deal", event_action="change")
        await subscribe(api, old.url, version="1.0", event_object="activityType")
        await api.rest.subscriptions.send(api.rest.view.company.create("activity_type"))
        await told_of(api, 50)
    assert deals.told
    assert {(body["meta"]["entity"], body["meta"]["action"]) for body in deals.told} == {("deal", "change")}
    assert old.told
    assert {(body["v"], body["meta"]["object"]) for body in old.told} == {(1, "activityType")}


async def test_the_list_says_what_is_documented() -> None:
    async with receiving() as receiver, asking(made_company(), pace=QUICK) as api:
        made = (await subscribe(api, receiver.url, http_auth_user="u", http_auth_password="p")).body["data"]
        assert (made["last_http_status"], made["last_delivery_time"]) == (None, None)
        receiver.status = 503
        await told_of(api, 3)
        found = (await api.get("/v1/webhooks")).body["data"][0]
    assert receiver.credentials == {encode_basic_auth("u", "p")}
    assert (found["last_http_status"], found["is_active"], found["version"]) == (503, 1, "2.0")
    assert found["last_delivery_time"] > found["add_time"]
    documented = {
        *("id", "company_id", "owner_id", "user_id", "event_action", "event_object", "subscription_url", "version"),
        *("is_active", "add_time", "remove_time", "type", "http_auth_user", "http_auth_password", "remove_reason"),
        *("last_delivery_time", "last_http_status", "admin_id", "name"),
    }
    assert set(found) == documented


async def test_a_url_that_does_not_answer_is_refused() -> None:
    async with receiving() as receiver:
        url = receiver.url
    async with asking(made_company()) as api:
        answer = await subscribe(api, url)
    assert answer.status == 400
    assert answer.body["errors"] == {"subscription_url": ["invalid or non-reachable URL"]}


@pytest.mark.parametrize("missing", ["name", "event_object", "event_action"])
async def test_what_is_required_must_be_there(missing: str) -> None:
    async with receiving() as receiver, asking(made_company()) as api:
        assert (await subscribe(api, receiver.url, **{missing: ""})).status == 400
        assert (await api.get("/v1/webhooks")).rows == []


async def test_who_is_removed_is_told_nothing_more() -> None:
    async with receiving() as receiver, asking(made_company()) as api:
        made = (await subscribe(api, receiver.url)).body["data"]
        assert (await api.ask("DELETE", f"/v1/webhooks/{made['id']}")).status == 200
        await told_of(api, 10)
        assert receiver.told == []
        assert (await api.ask("DELETE", f"/v1/webhooks/{made['id']}")).status == 404


async def test_a_user_has_forty_webhooks_at_most() -> None:
    async with receiving() as receiver, asking(made_company()) as api:
        statuses = [(await subscribe(api, receiver.url)).status for _ in range(41)]
        assert statuses == [201] * 40 + [422]
        assert (await subscribe(api, receiver.url, user_id=2)).status == 201


async def test_only_an_admin_makes_webhooks_for_others() -> None:
    async with receiving() as receiver, asking(made_company(), user_id=2) as api:
        assert (await subscribe(api, receiver.url, user_id=1)).status == 403
        assert (await subscribe(api, receiver.url)).status == 201


async def test_a_webhook_without_a_success_for_days_is_deleted_and_says_so() -> None:
    now = [0.0]
    pace = Pace(clock=lambda: now[0], sleep=_at_once)
    async with receiving() as receiver, asking(made_company(), pace=pace) as api:
        await subscribe(api, receiver.url)
        now[0] += 3 * 24 * 3_600
        found = (await api.get("/v1/webhooks")).body["data"][0]
        assert found["is_active"] == 0
        assert found["remove_time"] is not None
        await told_of(api, 5)
        assert receiver.told == []


async def _at_once(_seconds: float) -> None:
    pass


async def test_what_the_user_may_not_see_is_not_told() -> None:
    async with receiving() as receiver, asking(made_company()) as api:
        await subscribe(api, receiver.url)
        company = api.rest.view.company
        company.hidden.add(("deal", 3))
        for record_id in (3, 4):
            await api.rest.subscriptions.send(company.set("deal", record_id, {"owner_id": 2}))
        await api.rest.subscriptions.drain()
    assert [body["data"]["id"] for body in receiver.told] == [4]


async def test_a_company_lives_with_its_rest_api_alone_and_tells_whoever_subscribes() -> None:
    company, stop = made_company(), asyncio.Event()
    async with receiving() as receiver, asking(company) as api:
        life = asyncio.create_task(run_subscribed(company, api.rest.subscriptions, rate=500, stop=stop))
        lost = api.rest.subscriptions.ledger.lost
        await until(_longer(lost, 20), within=10, what="events that nobody was told")
        await subscribe(api, receiver.url)
        await until(_longer(receiver.told, 20), within=10, what="events that were told")
        stop.set()
        outcome = await asyncio.wait_for(life, 10)
    assert outcome.truth.carried["deal"]
    assert outcome.ledger.counters.acked == len(receiver.told)


def _longer(of: list[Any], than: int) -> Callable[[], bool]:
    return lambda: len(of) > than


async def test_a_page_may_change_the_company_and_its_events_are_told() -> None:
    async with receiving() as receiver, asking(made_company(), mischief=RestMischief(changes=10)) as api:
        await subscribe(api, receiver.url)
        await api.walk("/api/v2/deals", limit=10)
        await api.rest.subscriptions.drain()
    assert len(receiver.told) > 20
