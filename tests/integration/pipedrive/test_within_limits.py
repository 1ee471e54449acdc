"""Several processes and one account, against the stand-in that counts as Pipedrive does and blocks who goes too far."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from rig.asking import made_company

from pipedrive.allowance import Allowance
from pipedrive.budget import Need, Terms
from pipedrive.client import Client
from pipedrive.errors import BudgetExhausted
from pipedrive.request import WHO_AM_I, Request
from pipedrive.token import Token
from pipedrive.wire import Wire
from sandbox.rest.api import Rest
from sandbox.rest.limits import Limits
from sandbox.rest.server import TOKEN, serve
from store.allowances import InPostgres
from store.database import Pool

COMPANY = 1234567
DEALS = Request("GET", "/api/v2/deals", {"limit": "1"}, 10)


async def token() -> Token:
    return Token(TOKEN)


@asynccontextmanager
async def processes(pool: Pool, rest: Rest, number: int, terms: Terms) -> AsyncIterator[list[Client]]:
    async with AsyncExitStack() as running:
        yield [
            await running.enter_async_context(
                Client(Wire(rest.url), token, Allowance(InPostgres(pool, COMPANY), terms))
            )
            for _ in range(number)
        ]


def statuses(rest: Rest) -> list[int]:
    return [asked.status for asked in rest.log]


async def test_processes_that_share_an_account_are_hardly_refused_and_use_what_there_is(pool: Pool) -> None:
    """A machine that has no time for them sends some later than they were granted: those come too close to the next."""
    limits = Limits(burst=30)
    async with (
        serve(made_company(deals=5), limits=limits) as rest,
        processes(pool, rest, 3, Terms(daily=10**6)) as clients,
    ):
        end = time.monotonic() + 5

        async def work(client: Client) -> None:
            while time.monotonic() < end:
                await client.get(DEALS, need=Need.BULK)

        await asyncio.gather(*(work(client) for client in clients for _ in range(4)))
    seen = Counter(statuses(rest))
    assert set(seen) <= {200, 429}
    assert seen[429] <= seen[200] / 20
    assert seen[200] >= 2 * 30


async def test_work_stops_at_our_share_of_the_day_and_what_is_urgent_still_goes(pool: Pool) -> None:
    limits = Limits(daily=1000, tells_daily=True, block_after=0)
    async with serve(made_company(deals=5), limits=limits) as rest, processes(pool, rest, 2, Terms()) as (one, other):

        async def work(client: Client) -> int:
            for done in range(100):
                try:
                    await client.get(DEALS, need=Need.BULK)
                except BudgetExhausted:
                    return done
            raise AssertionError

        done = await asyncio.gather(work(one), work(other))
        assert sum(done) * DEALS.cost == 1000 * 0.5 * 0.8
        assert (await one.get(WHO_AM_I, need=Need.LIVE)).content["data"]["id"] == 1
    assert set(statuses(rest)) == {200}


async def test_a_day_that_others_have_spent_is_left_alone(pool: Pool) -> None:
    limits = Limits(daily=1000, tells_daily=True, block_after=0)
    async with serve(made_company(deals=5), limits=limits) as rest, processes(pool, rest, 1, Terms()) as (client,):
        rest.gate.spend(850)
        await client.get(DEALS, need=Need.BULK)  # its answer tells
        results = await asyncio.gather(*(client.get(DEALS, need=Need.BULK) for _ in range(10)), return_exceptions=True)
        refused = [result for result in results if isinstance(result, BudgetExhausted)]
        assert "left, by whomever" in refused[0].reason
        assert rest.gate.spent <= 900
    assert set(statuses(rest)) == {200}
