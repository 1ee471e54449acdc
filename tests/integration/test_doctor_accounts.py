"""What the doctor says of Pipedrive: each connected company's account, and what is not connected."""

import asyncio
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from rig import asking
from rig.mirrored import company_of

from cli.doctor.finding import Finding
from cli.doctor.of_accounts import of_accounts
from pipedrive.errors import BudgetExhausted, TokenInvalid
from pipedrive.ledger import Shut
from pipedrive.request import WHO_AM_I
from runtime.settings import Settings
from sandbox.cloud import Company as Cloud
from sandbox.rest.mischief import RestMischief
from sandbox.rest.server import TOKEN, serve
from store import companies, gaps, jobs, subscriptions, tokens, upkeep
from store.allowances import InPostgres
from store.companies import PAUSED, Company
from store.database import Pool
from store.tokens import StoredToken, Vault

KEY = Fernet.generate_key().decode()
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, encryption_keys=SecretStr(KEY))


@pytest.fixture
def cloud() -> Cloud:
    return asking.made_company(deals=1)


@pytest.fixture
async def company(pool: Pool, cloud: Cloud) -> Company:
    return await company_of(pool, cloud.account.company_id)


async def connected(pool: Pool, company: Company, url: str = NOWHERE, token: str = TOKEN) -> None:
    async with pool.acquire() as connection:
        await Vault([KEY]).put(connection, StoredToken(company.id, "api", token, url, 1, is_admin=True))


async def look(settings: Settings, dsn: str) -> dict[str, Finding]:
    found = {finding.name: finding for finding in await of_accounts(settings, dsn)}
    assert TOKEN not in str(found)
    return found


async def token_line(settings: Settings, dsn: str, company: Company) -> Finding:
    return (await look(settings, dsn))[f"company {company.id}: token"]


@pytest.mark.usefixtures("company")
async def test_without_a_connected_account_it_names_the_command(settings: Settings, migrated: str) -> None:
    found = (await look(settings, migrated))["Pipedrive"]
    assert (found.verdict, "webhooks" in found.found) == ("not applicable", True)
    assert "pipemirror connect" in found.advice
    given = settings.model_copy(update={"pipedrive_api_token": SecretStr(TOKEN)})
    found = (await look(given, migrated))["Pipedrive"]
    assert (found.verdict, "PIPEDRIVE_API_TOKEN is set" in found.found) == ("warn", True)


async def test_an_account_that_is_well_is_all_green_and_asked_once(
    settings: Settings, migrated: str, pool: Pool, company: Company, cloud: Cloud
) -> None:
    async with serve(cloud) as rest:
        await connected(pool, company, rest.url)
        async with pool.acquire() as connection:
            await subscriptions.checked(connection, company.id, 7, [{"code": "missing", "words": "made"}], well=True)
            await jobs.want(connection, company.id, "sweep")
        await InPostgres(pool, company.id).amend(lambda ledger, _: (ledger, None))
        found = await look(settings, migrated)
        assert rest.log.calls() == {WHO_AM_I.path: 1}
    assert {finding.verdict for finding in found.values()} == {"ok"}, found
    assert {name.partition(": ")[2] for name in found} == {"token", "webhook", "jobs", "tokens of the day"}


async def test_one_that_is_not_connected_beside_one_that_is_is_told(
    settings: Settings, migrated: str, pool: Pool, company: Company
) -> None:
    await connected(pool, company)
    other = await company_of(pool, company.id + 1)
    found = (await look(settings, migrated))[f"company {other.id}"]
    assert (found.verdict, "connect" in found.advice) == ("not applicable", True)


@pytest.mark.parametrize("keys", [None, Fernet.generate_key().decode()])
async def test_keys_that_are_missing_or_others_are_told_and_nothing_is_asked_or_made(
    settings: Settings, migrated: str, pool: Pool, company: Company, cloud: Cloud, *, keys: str | None
) -> None:
    blind = settings.model_copy(update={"encryption_keys": None if keys is None else SecretStr(keys)})
    async with serve(cloud) as rest:
        await connected(pool, company, rest.url)
        found = await token_line(blind, migrated, company)
        assert not rest.log.asked
    assert (found.verdict, "ENCRYPTION_KEYS" in found.found, "ENCRYPTION_KEYS" in found.advice) == ("fail", True, True)
    assert list(settings.data_dir.iterdir()) == []


async def test_a_token_that_is_not_accepted_any_more(
    settings: Settings, migrated: str, pool: Pool, company: Company, cloud: Cloud
) -> None:
    async with serve(cloud, tokens=["another"]) as rest:
        await connected(pool, company, rest.url)
        found = await token_line(settings, migrated, company)
    assert (found.verdict, "token_invalid" in found.found) == ("fail", True)
    assert found.advice == TokenInvalid.remedy


async def test_a_refusal_of_before_stays_until_it_is_connected_again(
    settings: Settings, migrated: str, pool: Pool, company: Company, cloud: Cloud
) -> None:
    async with serve(cloud) as rest:
        await connected(pool, company, rest.url)
        async with pool.acquire() as connection:
            stored = await Vault([KEY]).get(connection, company.id)
            assert stored is not None
            await tokens.refused(connection, stored, TokenInvalid("unknown to Pipedrive"))
        found = await token_line(settings, migrated, company)
        assert (found.verdict, "Now it is accepted" in found.found) == ("fail", True)
        assert "token_invalid: unknown to Pipedrive" in found.found
        assert "connect" in found.advice
        rest.mischief = RestMischief(closed=True)
        found = await token_line(settings, migrated, company)
    assert (found.verdict, "Now it is" in found.found, found.advice) == ("fail", False, TokenInvalid.remedy)


async def test_a_user_who_is_no_admin_and_a_token_of_another_company(
    settings: Settings, migrated: str, pool: Pool, company: Company, cloud: Cloud
) -> None:
    other = await company_of(pool, company.id + 1)
    async with serve(cloud, user_id=2) as rest:
        await connected(pool, company, rest.url)
        await connected(pool, other, rest.url)
        found = await look(settings, migrated)
    assert found[f"company {company.id}: token"].verdict == "warn"
    assert "no admin" in found[f"company {company.id}: token"].found
    foreign = found[f"company {other.id}: token"]
    assert (foreign.verdict, f"opens company {company.id}" in foreign.found) == ("fail", True)


async def test_a_paused_company_is_not_asked_and_a_purged_one_is_not_spoken_of(
    settings: Settings, migrated: str, pool: Pool, company: Company, cloud: Cloud
) -> None:
    async with serve(cloud) as rest:
        await connected(pool, company, rest.url)
        async with pool.acquire() as connection:
            await companies.change_state(connection, company.id, PAUSED)
        found = await token_line(settings, migrated, company)
        assert (found.verdict, "paused" in found.found) == ("not applicable", True)
        async with pool.acquire() as connection:
            await companies.purged(connection, company.id)
        assert set(await look(settings, migrated)) == {"Pipedrive"}
        assert not rest.log.asked


async def test_a_pipedrive_that_is_out_of_reach_or_silent_holds_it_up_no_longer_than_its_bound(
    settings: Settings, migrated: str, pool: Pool, company: Company, cloud: Cloud
) -> None:
    await connected(pool, company)
    found = await token_line(settings, migrated, company)
    assert (found.verdict, "pipedrive_unavailable" in found.found) == ("fail", True)
    async with serve(cloud, mischief=RestMischief(slow=1.0, delay=3600)) as rest, asyncio.timeout(60):
        await connected(pool, company, rest.url)
        (found, *_) = await of_accounts(settings, migrated, within=0.5)
    assert (found.verdict, "did not answer" in found.found) == ("fail", True)


async def test_tokens_of_the_day_that_are_spent_are_told_and_nothing_is_asked(
    settings: Settings, migrated: str, pool: Pool, company: Company, cloud: Cloud
) -> None:
    await InPostgres(pool, company.id).amend(lambda ledger, now: (ledger.refused(Shut.DAILY, 900, now), None))
    async with serve(cloud) as rest:
        await connected(pool, company, rest.url)
        found = await look(settings, migrated)
        assert not rest.log.asked
    token, budget = found[f"company {company.id}: token"], found[f"company {company.id}: tokens of the day"]
    assert (token.verdict, "budget_exhausted" in token.found) == ("warn", True)
    assert (budget.verdict, "nothing is asked until" in budget.found) == ("warn", True)


async def test_what_workers_left_is_told(settings: Settings, migrated: str, pool: Pool, company: Company) -> None:
    await connected(pool, company)
    found = await look(settings, migrated)

    def of(what: str) -> Finding:
        return found[f"company {company.id}: {what}"]

    assert (of("webhook").verdict, "none was ever made" in of("webhook").found) == ("warn", True)
    assert (of("jobs").verdict, "no worker" in of("jobs").found) == ("warn", True)
    off = [{"code": "not_reachable", "words": "Pipedrive cannot reach it"}]
    async with pool.acquire() as connection:
        await subscriptions.checked(connection, company.id, None, off, well=False)
        await gaps.note(connection, company.id, await upkeep.now(connection), "webhook: missing")
        await jobs.want(connection, company.id, "sweep")
        due_at = await upkeep.now(connection)
        await jobs.failed(connection, company.id, "sweep", BudgetExhausted("all is spent", 0), due_at)
    found = await look(settings, migrated)
    assert (of("webhook").verdict, "live is off" in of("webhook").found) == ("warn", True)
    assert "not_reachable: Pipedrive cannot reach it" in of("webhook").found
    assert "webhook: missing" in of("events").found
    assert (of("jobs").verdict, of("jobs").found) == ("warn", "sweep: budget_exhausted: all is spent")
    assert of("jobs").advice == BudgetExhausted.remedy
    async with pool.acquire() as connection:
        await subscriptions.checked(connection, company.id, 7, [{"code": "failing", "words": "503"}], well=False)
    found = await look(settings, migrated)
    assert (of("webhook").verdict, "failing: 503" in of("webhook").found) == ("warn", True)
