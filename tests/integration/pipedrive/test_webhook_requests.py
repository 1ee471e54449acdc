"""The plan for our webhook, carried out against the stand-in: what is made is what is wanted the next time."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from rig.asking import made_company
from rig.reachable import receiving

from pipedrive.account import Account, account_of
from pipedrive.allowance import Allowance, InMemory
from pipedrive.budget import Need, Terms
from pipedrive.client import Client
from pipedrive.errors import BadRequest
from pipedrive.hooks import LIST, created, hooks
from pipedrive.request import WHO_AM_I
from pipedrive.subscriptions import Plan, Wanted, plan
from pipedrive.token import Token
from pipedrive.wire import Wire
from sandbox.rest.api import Rest
from sandbox.rest.server import TOKEN, serve


async def token() -> Token:
    return Token(TOKEN)


@pytest.fixture
async def receiver() -> AsyncIterator[str]:
    async with receiving() as url:
        yield f"{url}/webhooks/"


@pytest.fixture
async def rest() -> AsyncIterator[Rest]:
    async with serve(made_company(deals=5)) as found:
        yield found


@pytest.fixture
async def client(rest: Rest) -> AsyncIterator[Client]:
    async with Client(Wire(rest.url), token, Allowance(InMemory(), Terms())) as found:
        yield found


async def planned(client: Client, wanted: Wanted, account: Account) -> Plan:
    return plan(wanted, hooks((await client.get(LIST, need=Need.LIVE)).content), account)


async def carried_out(client: Client, found: Plan) -> list[int]:
    """Ids of the webhooks that were made."""
    replies = [(step, await client.get(step, need=Need.LIVE)) for step in found.steps]
    return [created(reply.content) for step, reply in replies if step.method == "POST"]


async def test_what_is_made_stays_until_something_else_is_wanted(client: Client, receiver: str) -> None:
    account = account_of((await client.get(WHO_AM_I, need=Need.LIVE)).content)
    wanted = Wanted(f"{receiver}{account.company_id}", str(account.company_id), "a-password", account.user_id)
    (first,) = await carried_out(client, await planned(client, wanted, account))
    assert await planned(client, wanted, account) == Plan(first)

    renewed = replace(wanted, password="another-password")
    (second,) = await carried_out(client, await planned(client, renewed, account))
    assert second != first
    assert await planned(client, renewed, account) == Plan(second)


async def test_webhooks_of_others_are_there_afterwards(client: Client, rest: Rest, receiver: str) -> None:
    account = account_of((await client.get(WHO_AM_I, need=Need.LIVE)).content)
    other = Wanted(f"{receiver}elsewhere", "user", "their-password", account.user_id)
    (theirs,) = await carried_out(client, await planned(client, other, account))
    wanted = Wanted(f"{receiver}{account.company_id}", str(account.company_id), "a-password", account.user_id)
    await carried_out(client, await planned(client, wanted, account))
    assert theirs in {hook.told["id"] for hook in rest.subscriptions.hooks}
    assert len(rest.subscriptions.hooks) == 2


async def test_an_address_that_does_not_answer_is_told_by_name(client: Client) -> None:
    account = account_of((await client.get(WHO_AM_I, need=Need.LIVE)).content)
    wanted = Wanted("http://127.0.0.1:1/webhooks/1", "1", "a-password", account.user_id)
    with pytest.raises(BadRequest) as problem:
        await carried_out(client, await planned(client, wanted, account))
    assert problem.value.fields == ("subscription_url",)
