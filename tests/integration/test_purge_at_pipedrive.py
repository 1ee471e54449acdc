"""A purge takes our webhooks at Pipedrive with it, or says who has to; it never waits for Pipedrive."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from rig import asking
from rig.healing import reading
from rig.mirrored import company_of
from rig.reachable import receiving
from rig.waiting import until

from cli.operating import purging, unsubscribing
from cli.operating.connecting import connect_account
from runtime.settings import Settings
from sandbox.rest.api import Rest
from sandbox.rest.mischief import RestMischief
from sandbox.rest.server import TOKEN, serve
from schema.errors import CompanyInactive
from store import tokens
from store.companies import Company
from store.database import Pool
from store.tokens import StoredToken, Vault
from worker.healing.alone import alone
from worker.healing.live import PURGED, Entrance, Live
from worker.healing.subscribing import ensure
from worker.operations import purge

KEY = Fernet.generate_key().decode()
SECRET = "the-master-secret-of-these-tests"

# Once the receipt tells of the webhook: before that the lock of the subscription is asked for in the same words.
WAITS_FOR_THE_WORKER = """
SELECT EXISTS (SELECT FROM pipemirror.purges WHERE webhooks IS NOT NULL) AND EXISTS (
    SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pipemirror cli'
    AND query LIKE '%pg_try_advisory_lock%')
"""


@dataclass
class Connected:
    """A company with a stored token, and two webhooks at Pipedrive: ours, and one that is none of ours."""

    dsn: str
    pool: Pool
    company: Company
    rest: Rest
    settings: Settings

    @property
    def ids(self) -> list[int]:
        return [hook.told["id"] for hook in self.rest.subscriptions.hooks]

    async def ensure(self) -> Live:
        assert self.settings.public_url is not None
        async with reading(self.pool, self.company, self.rest) as reader:
            return await ensure(reader.client, self.pool, self.company.id, Entrance(self.settings.public_url, SECRET))

    async def purge(self, capsys: pytest.CaptureFixture[str], *, as_json: bool = True, **settings: Any) -> Any:
        wish = purging.Wish(self.company.id, (), spools_empty=False, as_json=as_json)
        given = self.settings.model_copy(update=settings)
        assert await purging._purge(self.dsn, given, wish, yes=True, stop=asyncio.Event())
        told = capsys.readouterr().out
        return orjson.loads(told[told.index("{\n") :])["webhooks"] if as_json else told  # before it, what was logged


@pytest.fixture
async def connected(pool: Pool, migrated: str, tmp_path: Path) -> AsyncIterator[Connected]:
    cloud = asking.made_company(deals=1)
    company = await company_of(pool, cloud.account.company_id)
    async with receiving() as url, serve(cloud) as rest:
        async with pool.acquire() as connection:
            await Vault([KEY]).put(connection, StoredToken(company.id, "api", TOKEN, rest.url, 1, is_admin=True))
        settings = Settings(
            data_dir=tmp_path, encryption_keys=SecretStr(KEY), webhook_secret=SecretStr(SECRET), public_url=url,
            pipedrive_api_token=SecretStr(TOKEN), pipedrive_api_url=rest.url,
        )  # fmt: skip
        found = Connected(migrated, pool, company, rest, settings)
        foreign = Entrance(f"{url}/another", SECRET + "x").wanted(company.id, 1).told | {"name": "theirs"}
        await rest.subscriptions.create(foreign)
        await found.ensure()
        yield found


async def test_our_webhook_goes_with_the_company_and_that_of_others_stays(
    connected: Connected, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs, ours = connected.ids
    assert await connected.purge(capsys) == {"removed": [ours], "problem": None, "by_hand": None}
    assert connected.ids == [theirs]
    asked = len(connected.rest.log.asked)
    assert await connected.purge(capsys) == {"removed": [ours], "problem": None, "by_hand": None}, "the receipt is kept"
    assert len(connected.rest.log.asked) == asked, "there is no token any more"
    assert f"removed {ours}" in await connected.purge(capsys, as_json=False)


async def test_it_is_found_without_the_secret_it_was_made_with_and_none_is_made(
    connected: Connected, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs, ours = connected.ids
    assert (await connected.purge(capsys, webhook_secret=None, public_url=None))["removed"] == [ours]
    assert connected.ids == [theirs]
    assert not (connected.settings.data_dir / "master-secret").exists()


@pytest.mark.parametrize(
    ("settings", "mischief", "problem"),
    [
        ({"encryption_keys": None}, RestMischief(), "ENCRYPTION_KEYS"),
        ({"encryption_keys": SecretStr(Fernet.generate_key().decode())}, RestMischief(), "ENCRYPTION_KEYS"),
        ({}, RestMischief(closed=True), "account_closed"),
        ({}, RestMischief(forbidden=frozenset({"/v1/webhooks"})), "scope_missing"),
        ({}, RestMischief(slow=1.0, delay=3600), "did not answer"),
    ],
)
async def test_where_it_cannot_be_removed_the_purge_goes_on_and_says_who_has_to(
    connected: Connected,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    settings: dict[str, Any],
    mischief: RestMischief,
    problem: str,
) -> None:
    monkeypatch.setattr(unsubscribing, "WITHIN", 1.0)
    before, connected.rest.mischief = connected.ids, mischief
    found = await connected.purge(capsys, **settings)
    assert problem in found["problem"]
    assert (found["removed"], "Settings > Tools and apps > Webhooks" in found["by_hand"]) == ([], True)
    assert connected.ids == before
    assert await connected.purge(capsys, **settings) == found, "said as often as it is asked"
    assert "Settings > Tools and apps > Webhooks" in await connected.purge(capsys, as_json=False)


async def test_a_company_that_was_never_connected_says_so(
    connected: Connected, capsys: pytest.CaptureFixture[str]
) -> None:
    async with connected.pool.acquire() as connection:
        await connection.execute("DELETE FROM pipemirror.tokens")
    found = await connected.purge(capsys)
    assert (found["problem"], found["by_hand"]) == (unsubscribing.NO_TOKEN, unsubscribing.BY_HAND)


async def test_killed_after_the_webhook_was_removed_the_next_run_finds_none_and_goes_on(
    connected: Connected, capsys: pytest.CaptureFixture[str]
) -> None:
    await purge.mark(connected.pool, connected.company.id)
    await unsubscribing.unsubscribe(connected.settings, connected.pool, connected.company.id)
    theirs, *ours = connected.ids
    assert ours == []
    found = await connected.purge(capsys)
    assert (len(found["removed"]), found["problem"]) == (1, None)
    assert connected.ids == [theirs]


async def test_neither_a_check_that_comes_late_nor_connect_subscribes_a_purged_company(
    connected: Connected, capsys: pytest.CaptureFixture[str]
) -> None:
    await connected.purge(capsys)
    theirs = connected.ids
    assert (await connected.ensure()).findings == (PURGED,)
    with pytest.raises(CompanyInactive):
        await connect_account(connected.dsn, connected.settings, stop=asyncio.Event())
    assert connected.ids == theirs
    async with connected.pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM pipemirror.tokens") == 0
        assert await tokens.of_companies(connection) == []


async def test_nothing_is_deleted_while_a_worker_still_reads_the_account(
    connected: Connected, capsys: pytest.CaptureFixture[str]
) -> None:
    async with alone(connected.pool, connected.company.id) as ours:
        assert ours
        purging_it = asyncio.create_task(connected.purge(capsys))
        async with connected.pool.acquire() as connection:
            await until(lambda: connection.fetchval(WAITS_FOR_THE_WORKER), what="a purge that waits")
            assert await connection.fetchval("SELECT count(*) FROM pipemirror.tokens") == 1
        assert not purging_it.done()
    await purging_it
