"""`connect` and `webhooks` as a person runs them, against a served account that lives on."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from rig.judge import Judge
from rig.living import QUICK, company
from rig.processes import Installation
from rig.waiting import until

from cli import comparing
from sandbox.cloud import Company
from sandbox.live import Outcome, run_subscribed
from sandbox.mischief import Mischief
from sandbox.rest.api import Rest
from sandbox.rest.limits import Limits
from sandbox.rest.mischief import RestMischief
from sandbox.rest.server import TOKEN, serve
from sandbox.shelf import Id

DONE, FAILED, USAGE = 0, 1, 2

SMALL_PAGES = {"/api/v2/deals": 10, "/api/v2/activities": 20, "/api/v2/persons": 10, "/v1/notes": 20}
GENEROUS = Limits(burst=5_000)


@dataclass
class Account:
    """A served company; `happened` names the records that something has happened to."""

    company: Company
    rest: Rest
    happened: set[tuple[str, Id]] = field(default_factory=set)

    @property
    def webhooks(self) -> list[str]:
        return [hook.told["subscription_url"] for hook in self.rest.subscriptions.hooks]

    @property
    def lists_asked(self) -> Counter[tuple[str, str]]:
        """Path and parameters of what was asked beside who we are and which webhooks there are."""
        asked = (one for one in self.rest.log if one.route not in {"/v1/users/me", "/v1/webhooks"})
        return Counter((one.path, str(sorted(one.params.items()))) for one in asked)

    @asynccontextmanager
    async def living(self, rate: float) -> AsyncIterator[list[Outcome]]:
        """Things happen until the block is left; then what is yielded holds what came of it."""
        stop, ended = asyncio.Event(), list[Outcome]()
        life = asyncio.create_task(run_subscribed(self.company, self.rest.subscriptions, rate=rate, stop=stop))
        try:
            yield ended
            stop.set()
            ended.append(await asyncio.wait_for(life, 60))
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)

    async def is_mirrored(self, judge: Judge, outcome: Outcome | None = None) -> None:
        """All that was read, and what webhooks told of what they told of."""
        truth = self.company.snapshot({"v2"}) if outcome is None else outcome.truth
        if outcome is not None:
            await judge.settles(comparing.told(self.company, truth, self.happened))
        for part in comparing.read(self.company, truth, self.happened):
            await judge.settles(part)


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    made = company(11, deals=60)
    async with serve(made, limits=GENEROUS, deliveries=Mischief(duplicates=0.05), pace=QUICK) as rest:
        found = Account(made, rest)
        made.watchers.append(lambda event: found.happened.add((event.entity, event.id)))
        yield found


def connects(installation: Installation, account: Account) -> None:
    """The settings that a person has who wants to connect."""
    installation.connects_to(account.rest.url, TOKEN)


async def repaired(installation: Installation) -> None:
    """What is missed in number is believed to be gone when it is missed twice."""
    first = await installation.run("reconcile", "--repair")
    if first.code != DONE:
        assert (await installation.run("reconcile", "--repair")).code == DONE, first.err


async def test_an_account_that_lives_on_while_it_is_read_is_mirrored_whole(
    on_both: Installation, account: Account, judge: Judge
) -> None:
    connects(on_both, account)
    await on_both.running()
    account.rest.mischief = RestMischief(sizes=SMALL_PAGES, changes=2, slow=0.3, delay=0.05)
    async with account.living(rate=100) as ended:
        ran = await on_both.run("connect")
        assert ran.code == DONE, ran.err
        assert "live is on" in ran.err
        assert account.webhooks == [on_both.url(judge.company_id)]
        acked = account.rest.subscriptions.ledger.counters.acked
        assert acked > 50, "it was told while it was read"
        await until(lambda: account.rest.subscriptions.ledger.counters.acked > acked + 100, what="more events")
        account.rest.mischief = RestMischief()
    assert account.rest.subscriptions.ledger.counters.failed == 0
    await judge.settles(comparing.told(account.company, ended[0].truth, account.happened))
    await repaired(on_both)
    await account.is_mirrored(judge, ended[0])
    assert await judge.dead_letters() == []


async def test_of_a_company_that_is_paused_it_says_that_nothing_is_written(
    on_amqp: Installation, account: Account
) -> None:
    on_amqp.connects_to(account.rest.url, TOKEN, PUBLIC_URL="")
    assert (await on_amqp.run("connect")).code == DONE
    company_id = str(account.company.account.company_id)
    assert (await on_amqp.run("companies", "pause", company_id)).code == DONE
    ran = await on_amqp.run("connect")
    assert f"it is paused: nothing is written before `pipemirror companies resume {company_id}`" in ran.err


async def test_without_a_worker_what_is_told_meanwhile_waits_in_the_queue(
    on_amqp: Installation, account: Account, judge: Judge
) -> None:
    connects(on_amqp, account)
    await on_amqp.receiver()
    account.rest.mischief = RestMischief(sizes=SMALL_PAGES, changes=3)
    ran = await on_amqp.run("connect")
    assert ran.code == DONE, ran.err
    account.rest.mischief = RestMischief()
    await account.rest.subscriptions.drain()
    told = account.rest.subscriptions.ledger.counters.acked
    assert told > 0
    assert await judge.events() == 0
    await on_amqp.worker()
    await until(judge.events, what="events applied")
    ledger = account.rest.subscriptions.ledger
    truth = account.company.snapshot({"v2"}, ledger.unsettled())
    await judge.settles(comparing.told(account.company, truth, account.happened))


async def test_a_second_connect_makes_no_second_webhook_and_reads_nothing_twice(
    on_amqp: Installation, account: Account, judge: Judge
) -> None:
    connects(on_amqp, account)
    await on_amqp.receiver()
    assert (await on_amqp.run("connect")).code == DONE
    await account.is_mirrored(judge)
    asked, webhooks = account.lists_asked, account.webhooks
    again = await on_amqp.run("connect")
    assert again.code == DONE, again.err
    assert (account.lists_asked - asked, account.webhooks) == (Counter(), webhooks)
    assert len(webhooks) == 1


async def test_a_connect_that_was_killed_goes_on_where_it_stood(
    on_amqp: Installation, account: Account, judge: Judge
) -> None:
    connects(on_amqp, account)
    await on_amqp.receiver()
    account.rest.mischief = RestMischief(sizes=SMALL_PAGES, slow=1.0, delay=0.15)
    killed = await on_amqp.start("connect")
    done = "SELECT count(*) FROM pipemirror.walks WHERE state = 'done' HAVING count(*) >= 10"

    async def well_under_way() -> Any:
        return await judge.value("SELECT to_regclass('pipemirror.walks')") and await judge.value(done)

    await until(well_under_way, what="ten lists read")
    killed.kill()
    await killed.communicate()
    assert await judge.value("SELECT count(*) FROM pipemirror.walks WHERE state = 'running'") > 0
    account.rest.mischief = RestMischief(sizes=SMALL_PAGES)
    ran = await on_amqp.run("connect")
    assert ran.code == DONE, ran.err
    assert len(account.webhooks) == 1
    twice = {key: times for key, times in account.lists_asked.items() if times > 1}
    assert set(twice.values()) <= {2}
    assert len(twice) <= 8, "of four lists at once, a page and the one that was asked for ahead"
    await account.is_mirrored(judge)


async def test_where_pipedrive_cannot_reach_us_it_reads_all_and_says_so_at_the_end(
    on_amqp: Installation, account: Account, judge: Judge
) -> None:
    connects(on_amqp, account)
    for public_url, told in (("", "PUBLIC_URL is not set"), ("http://127.0.0.1:1", "Pipedrive cannot reach")):
        ran = await on_amqp.run("connect", PUBLIC_URL=public_url)
        assert ran.code == DONE, ran.err
        assert told in "\n".join(ran.err.splitlines()[-2:]), "also where it ends"
    await account.is_mirrored(judge)
    assert account.webhooks == []


async def test_the_webhook_is_made_listed_and_removed_by_command(
    on_amqp: Installation, account: Account, judge: Judge
) -> None:
    connects(on_amqp, account)
    assert (await on_amqp.run("connect", PUBLIC_URL="")).code == DONE
    unset = await on_amqp.run("webhooks", "ensure", PUBLIC_URL="")
    assert (unset.code, "PUBLIC_URL is missing" in unset.err) == (USAGE, True)
    unreachable = await on_amqp.run("webhooks", "ensure")
    assert (unreachable.code, "Pipedrive cannot reach" in unreachable.err) == (FAILED, True)
    assert (await on_amqp.run("webhooks", "list", "--json")).json == []

    await on_amqp.receiver()
    made = await on_amqp.run("webhooks", "ensure")
    assert (made.code, "live is on" in made.err) == (DONE, True)
    assert "may be missing" in made.err, "since it was connected without"
    reasons = await judge.rows("SELECT reason FROM pipemirror.gaps WHERE closed_at IS NULL")
    assert [row["reason"] for row in reasons] == ["webhook: missing"]
    [listed] = (await on_amqp.run("webhooks", "list", "--json")).json
    assert (listed["ours"], listed["active"], listed["tells"], listed["version"]) == (True, True, "*.*", "2.0")
    assert listed["url"] == on_amqp.url(judge.company_id)
    assert on_amqp.url(judge.company_id) in (await on_amqp.run("webhooks", "list")).out

    unasked = await on_amqp.run("webhooks", "remove")
    assert (unasked.code, len(account.webhooks)) == (USAGE, 1)
    removed = await on_amqp.run("webhooks", "remove", "--yes")
    assert (removed.code, account.webhooks) == (DONE, [])
