"""Our webhook at Pipedrive is one, is ours and is right; what may have been missed meanwhile is noted."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import ANY

import pytest
from rig import asking
from rig.healing import reading
from rig.mirrored import company_of
from rig.reachable import receiving

from pipedrive.errors import PipedriveUnavailable
from pipedrive.subscriptions import fingerprint
from sandbox.rest.api import Rest
from sandbox.rest.mischief import RestMischief
from sandbox.rest.refusals import Refused
from sandbox.rest.server import serve
from schema.credentials import derive
from schema.errors import WebhooksBusy
from store import gaps, locks, subscriptions
from store.companies import Company
from store.database import Pool
from worker.healing import subscribing
from worker.healing.alone import locked
from worker.healing.live import Entrance, Live
from worker.healing.subscribing import ensure, listed, remove
from worker.healing.walking import Reader

SECRET = "the-master-secret-of-these-tests"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Account:
    """A company, its account as the sandbox serves it, and where its webhooks are to go."""

    pool: Pool
    company: Company
    rest: Rest
    reader: Reader
    entrance: Entrance

    async def ensure(self, entrance: Entrance | None = None, **options: Any) -> Live:
        client = self.reader.client
        return await ensure(client, self.pool, self.company.id, entrance or self.entrance, **options)

    @property
    def told(self) -> list[dict[str, Any]]:
        """The webhooks as Pipedrive has them."""
        return [dict(hook.told) for hook in self.rest.subscriptions.hooks]

    @property
    def ids(self) -> list[int]:
        return [told["id"] for told in self.told]

    async def post(self, url: str | None = None, **other: Any) -> int:
        """A webhook that somebody made at Pipedrive; by default it is one as we make them."""
        user_id = 1
        wanted = self.entrance.wanted(self.company.id, user_id).told
        made = await self.rest.subscriptions.create(wanted | ({} if url is None else {"subscription_url": url}) | other)
        found: int = made["data"]["id"]
        return found

    async def gap(self) -> gaps.Gap | None:
        async with self.pool.acquire() as connection:
            return await gaps.find(connection, self.company.id)

    async def known(self) -> subscriptions.Subscription:
        async with self.pool.acquire() as connection:
            return await subscriptions.find(connection, self.company.id)

    async def made(self) -> list[subscriptions.Made]:
        async with self.pool.acquire() as connection:
            return await subscriptions.made(connection, self.company.id)

    async def well_at(self, at: datetime) -> None:
        async with self.pool.acquire() as connection:
            await connection.execute("UPDATE pipemirror.subscriptions SET well_at = $1", at)


def codes(live: Live) -> list[str]:
    return [finding.code for finding in live.findings]


@pytest.fixture
async def account(pool: Pool) -> AsyncIterator[Account]:
    cloud = asking.made_company(deals=3)
    company = await company_of(pool, cloud.account.company_id)
    async with receiving() as url, serve(cloud) as rest, reading(pool, company, rest) as reader:
        yield Account(pool, company, rest, reader, Entrance(url, SECRET))


async def test_the_first_check_makes_one_and_the_next_one_changes_nothing(account: Account) -> None:
    first = await account.ensure()
    assert (codes(first), first.problem) == (["missing"], None)
    (told,) = account.told
    assert (told["id"], told["event_action"], told["event_object"], told["version"]) == (first.webhook, "*", "*", "2.0")
    assert told["subscription_url"] == f"{account.entrance.public_url}/webhooks/{account.company.id}"
    assert (told["http_auth_user"], told["http_auth_password"]) == (
        str(account.company.id),
        derive(SECRET, account.company.id),
    )

    assert await account.ensure() == Live(first.webhook)
    assert account.ids == [first.webhook]
    known = await account.known()
    assert (known.webhook_id, known.gap_since, known.findings) == (first.webhook, None, [])
    assert known.well_at is not None


async def test_where_nothing_was_told_before_nothing_can_be_missing(account: Account) -> None:
    assert (await account.ensure()).gap_since is None
    assert await account.gap() is None


async def test_its_password_is_remembered_as_a_fingerprint_alone(account: Account) -> None:
    live = await account.ensure()
    password = derive(SECRET, account.company.id)
    (made,) = await account.made()
    assert (made.webhook_id, made.fingerprint, made.user_id) == (live.webhook, fingerprint(password), 1)
    async with account.pool.acquire() as connection:
        for table in ("webhooks", "subscriptions", "gaps"):
            rows = await connection.fetch(f"SELECT to_jsonb(one)::text AS told FROM pipemirror.{table} AS one")
            assert not [row["told"] for row in rows if password in row["told"]]


async def test_a_duplicate_is_removed_and_nothing_is_missing(account: Account) -> None:
    first = await account.ensure()
    second = await account.post()
    live = await account.ensure()
    assert (live.webhook, codes(live), live.gap_since) == (first.webhook, ["duplicate"], None)
    assert account.ids == [first.webhook]
    assert second not in account.ids


async def test_one_that_was_deleted_is_made_anew_and_a_sweep_is_wanted_since_it_was_well(account: Account) -> None:
    first = await account.ensure()
    await account.well_at(LONG_AGO)
    assert first.webhook is not None
    account.rest.subscriptions.remove(first.webhook)
    second = await account.ensure()
    assert second.webhook not in {None, first.webhook}
    assert (codes(second), second.gap_since) == (["missing"], LONG_AGO)
    gap = await account.gap()
    assert gap == gaps.Gap(account.company.id, LONG_AGO, ["webhook: missing"])
    assert [made.webhook_id for made in await account.made()] == [second.webhook]

    await account.ensure()
    assert await account.gap() == gap, "asked for once"
    assert (await account.known()).gap_since is None


async def test_one_that_pipedrive_has_switched_off_is_made_anew(account: Account) -> None:
    first = await account.ensure()
    await account.well_at(LONG_AGO)
    account.rest.subscriptions.hooks[0].deliveries.subscription.deleted = True
    second = await account.ensure()
    assert (codes(second), second.gap_since) == (["inactive"], LONG_AGO)
    assert account.ids == [second.webhook] != [first.webhook]


async def test_one_whose_deliveries_fail_stays_and_its_gap_stays_open_until_it_is_well(account: Account) -> None:
    first = await account.ensure()
    await account.well_at(LONG_AGO)
    deliveries = account.rest.subscriptions.hooks[0].deliveries.subscription
    deliveries.attempted(0.0, 503)
    live = await account.ensure()
    assert (live.webhook, codes(live), live.gap_since) == (first.webhook, ["failing"], LONG_AGO)
    async with account.pool.acquire() as connection:
        began = await connection.fetchval("SELECT clock_timestamp()")
        assert await gaps.close(connection, account.company.id, began) == 1

    deliveries.attempted(1.0, 200)
    well = await account.ensure()
    assert (codes(well), well.gap_since) == ([], LONG_AGO), "what failed since that sweep began is still missing"
    gap = await account.gap()
    assert gap is not None
    assert gap.reasons == ["webhook: well again"]
    assert (await account.known()).gap_since is None


async def test_one_of_the_wrong_version_is_replaced_without_a_gap(account: Account) -> None:
    old = await account.post(version="1.0")
    live = await account.ensure()
    assert (codes(live), live.gap_since) == (["wrong_version"], None)
    assert (account.ids, account.told[0]["version"]) == ([live.webhook], "2.0")
    assert old not in account.ids


async def test_those_of_others_are_never_touched(account: Account) -> None:
    async with receiving() as elsewhere:
        theirs = await account.post(f"{elsewhere}/hooks/7", name="zapier")
        another = await account.post(f"{elsewhere}/webhooks/{account.company.id}", name="pipemirror 01234567")
        live = await account.ensure()
        assert codes(live) == ["another", "missing"]
        assert account.ids == [theirs, another, live.webhook]
        client, wanted = account.reader.client, account.entrance.wanted(account.company.id, 1)
        assert await remove(client, account.pool, account.company.id, wanted) == [live.webhook]
        assert account.ids == [theirs, another]


async def test_at_another_address_it_is_made_first_and_the_old_one_is_removed_after(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await account.ensure()
    sent: list[int] = []
    monkeypatch.setattr(account.rest.subscriptions, "remove", _noted(account.rest.subscriptions.remove, account, sent))
    async with receiving() as url:
        live = await account.ensure(Entrance(url, SECRET))
    assert (codes(live), account.ids) == (["superseded"], [live.webhook])
    assert live.webhook != first.webhook
    assert sent == [2], "there were two when the old one was removed"
    assert live.gap_since is not None, "nobody knows since when the old address is no longer answered"


def _noted(remove: Any, account: Account, sent: list[int]) -> Any:
    def noting(hook_id: int) -> Any:
        sent.append(len(account.ids))
        return remove(hook_id)

    return noting


async def test_with_a_new_secret_before_the_old_one_it_is_made_anew_without_a_gap(account: Account) -> None:
    first = await account.ensure()
    live = await account.ensure(Entrance(account.entrance.public_url, "a-new-secret-before-the-old-one"))
    assert (codes(live), live.gap_since) == (["superseded"], None)
    assert account.ids == [live.webhook] != [first.webhook]
    password = derive("a-new-secret-before-the-old-one", account.company.id)
    assert account.told[0]["http_auth_password"] == password
    assert [made.fingerprint for made in await account.made()] == [fingerprint(password)]


async def test_where_pipedrive_lists_no_password_what_was_remembered_tells_that_it_is_right(account: Account) -> None:
    first = await account.ensure()
    for hook in account.rest.subscriptions.hooks:
        hook.told["http_auth_password"] = None
    assert await account.ensure() == Live(first.webhook)
    live = await account.ensure(Entrance(account.entrance.public_url, "a-new-secret-before-the-old-one"))
    assert codes(live) == ["superseded"]


async def test_an_address_that_pipedrive_cannot_reach_is_told_and_swept_for_once_it_can(account: Account) -> None:
    live = await account.ensure(Entrance("http://127.0.0.1:1", SECRET))
    assert (live.webhook, codes(live), account.ids) == (None, ["missing", "not_reachable"], [])
    assert live.problem is not None
    assert (live.problem.code, "PUBLIC_URL" in live.problem.reason) == ("live_off", True)
    known = await account.known()
    assert [finding["code"] for finding in known.findings] == ["missing", "not_reachable"]
    assert await account.gap() is None, "a sweep now would not make up for what is missed next"

    again = await account.ensure()
    assert again.gap_since == known.gap_since
    gap = await account.gap()
    assert gap is not None
    assert gap.since == known.gap_since


async def test_an_older_one_goes_on_telling_where_no_new_one_can_be_made(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await account.ensure()
    monkeypatch.setattr(account.rest.subscriptions, "create", _forbidden)
    live = await account.ensure(Entrance(account.entrance.public_url, "a-new-secret-before-the-old-one"))
    assert (live.webhook, codes(live), live.gap_since) == (first.webhook, ["superseded", "no_rights"], None)
    assert account.ids == [first.webhook]


async def _forbidden(_: Any) -> Any:
    raise Refused(403, "Forbidden", body={"success": False, "message": "Forbidden"})


async def test_who_may_not_make_webhooks_is_told_whose_token_to_use(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account.rest.subscriptions, "create", _forbidden)
    live = await account.ensure()
    assert (live.webhook, codes(live)) == (None, ["missing", "no_rights"])
    assert "top-level admin" in live.findings[-1].words


async def test_a_token_without_the_scope_is_told_the_same(account: Account) -> None:
    account.rest.mischief = RestMischief(forbidden=frozenset({"/v1/webhooks"}))
    live = await account.ensure()
    assert (live.webhook, codes(live)) == (None, ["no_rights"])


async def test_one_of_a_user_who_is_no_admin_works_and_says_what_it_lacks(pool: Pool) -> None:
    cloud = asking.made_company(deals=3)
    company = await company_of(pool, cloud.account.company_id)
    async with receiving() as url, serve(cloud, user_id=2) as rest, reading(pool, company, rest) as reader:
        live = await ensure(reader.client, pool, company.id, Entrance(url, SECRET))
        assert live.webhook is not None
        assert codes(live) == ["not_admin", "missing"]


async def test_without_an_address_nothing_is_asked_and_what_another_process_made_stands(account: Account) -> None:
    client = account.reader.client
    account.rest.log.asked.clear()
    live = await ensure(client, account.pool, account.company.id, None)
    assert (live.webhook, codes(live)) == (None, ["no_public_url"])
    assert list(account.rest.log.asked) == []
    made = await account.ensure()
    still = await ensure(client, account.pool, account.company.id, None)
    assert (still.webhook, codes(still)) == (made.webhook, ["no_public_url"])


async def test_what_was_removed_by_command_is_made_again_by_command_only(account: Account) -> None:
    live = await account.ensure()
    client, wanted = account.reader.client, account.entrance.wanted(account.company.id, 1)
    assert await remove(client, account.pool, account.company.id, wanted) == [live.webhook]
    async with account.pool.acquire() as connection:
        assert await listed(client, connection, account.company.id, wanted) == []
    off = await account.ensure()
    assert (codes(off), account.ids) == (["switched_off"], [])
    again = await account.ensure(by_hand=True)
    assert (codes(again), account.ids) == (["missing"], [again.webhook])
    assert again.gap_since is not None
    assert await account.ensure() == Live(again.webhook)


async def test_two_checks_at_once_make_one(account: Account) -> None:
    both = await asyncio.gather(account.ensure(), account.ensure())
    assert both[0].webhook == both[1].webhook
    assert len(account.ids) == 1


async def test_who_finds_another_process_at_it_that_does_not_end_says_so(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was stopped with Ctrl-Z keeps its lock."""
    monkeypatch.setattr(subscribing, "PATIENCE", 0.3)
    client, wanted = account.reader.client, account.entrance.wanted(account.company.id, 1)
    async with locked(account.pool, account.company.id, locks.SUBSCRIBING, within=0) as connection:
        assert connection is not None
        with pytest.raises(WebhooksBusy):
            await account.ensure()
        with pytest.raises(WebhooksBusy):
            await remove(client, account.pool, account.company.id, wanted)
    assert len((await account.ensure()).findings) == 1
    assert len(account.ids) == 1


async def test_what_could_not_be_removed_goes_on(account: Account) -> None:
    live = await account.ensure()
    client, wanted = account.reader.client, account.entrance.wanted(account.company.id, 1)
    account.rest.mischief = RestMischief(broken=1.0)
    with pytest.raises(PipedriveUnavailable):
        await remove(client, account.pool, account.company.id, wanted)
    account.rest.mischief = RestMischief()
    assert await account.ensure() == replace(live, findings=(), gap_since=ANY)
    assert (await account.known()).off_at is None


async def test_one_that_was_made_by_a_check_that_died_is_found_and_its_gap_is_noted(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer never came: nobody knows whether it was made."""
    first = await account.ensure()
    await account.well_at(LONG_AGO)
    assert first.webhook is not None
    account.rest.subscriptions.remove(first.webhook)
    create = account.rest.subscriptions.create

    async def dies(posted: Any) -> Any:
        await create(posted)
        raise Refused(502, "Bad gateway")

    monkeypatch.setattr(account.rest.subscriptions, "create", dies)
    with pytest.raises(PipedriveUnavailable):
        await account.ensure()
    assert await account.gap() is None
    monkeypatch.undo()
    live = await account.ensure()
    assert (account.ids, codes(live), live.gap_since) == ([live.webhook], [], LONG_AGO)
    gap = await account.gap()
    assert gap is not None
    assert gap.since == LONG_AGO


async def test_gaps_of_a_company_are_told_together_and_closed_by_a_sweep_that_began_later(account: Account) -> None:
    company_id, day = account.company.id, timedelta(days=1)
    async with account.pool.acquire() as connection:
        await gaps.note(connection, company_id, LONG_AGO + day, "start")
        await gaps.note(connection, company_id, LONG_AGO, "outage")
        began = await connection.fetchval("SELECT clock_timestamp()")
        await gaps.note(connection, company_id, LONG_AGO + 2 * day, "ban")
        await gaps.note(connection, company_id + 1, LONG_AGO, "start")
        assert await gaps.find(connection, company_id) == gaps.Gap(company_id, LONG_AGO, ["start", "outage", "ban"])
        assert await gaps.close(connection, company_id, began) == 2
        assert await gaps.find(connection, company_id) == gaps.Gap(company_id, LONG_AGO + 2 * day, ["ban"])
        assert await gaps.find(connection, company_id + 1) == gaps.Gap(company_id + 1, LONG_AGO, ["start"])
