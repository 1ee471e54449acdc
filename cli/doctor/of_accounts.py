"""Pipedrive: each connected company's account, as it answers now and as workers left it.

Nothing of a token is ever part of a finding.
"""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cli.doctor.finding import Finding, elsewhere, fail, ok, warn
from cli.output import plain
from cli.reading import asking_as, vault
from cli.remedies import remedy_of
from pipedrive.account import Account, account_of
from pipedrive.budget import Need
from pipedrive.errors import BlockedByPipedrive, BudgetExhausted, PipedriveUnavailable, RateLimited
from pipedrive.request import WHO_AM_I
from runtime.backoff import Backoff
from runtime.settings import Settings
from schema.errors import Misconfigured, Problem, TokensUnreadable
from store import companies, healing
from store.companies import ACTIVE, PURGED, Company
from store.database import Pool, create_pool
from store.tokens import StoredToken

WITHIN: Final = 8.0
"""Seconds that Pipedrive is given to answer; all accounts are asked side by side."""

_CONNECTIONS: Final = 4
_QUICK: Final = Backoff(first=0.1, cap=0.4)
_CONNECT: Final = "Set PIPEDRIVE_API_TOKEN and run `pipemirror connect`: it reads the whole account."
_ENSURE: Final = "Mend what is named, then `pipemirror webhooks ensure`; until then changes come with sweeps."
_STAYS: Final = frozenset({"failing", "not_admin", "not_removed"})
"""Findings about a webhook that a check cannot mend."""

_ACCEPTED: Final = "accepted"

Told = Mapping[str, Any]
"""What `store.healing` tells of a company."""


async def of_accounts(settings: Settings, dsn: str, *, within: float = WITHIN) -> list[Finding]:
    """Of every company that is mirrored; `within` so many seconds all accounts must have answered."""
    pool = await create_pool(dsn, size=_CONNECTIONS, application="pipemirror doctor")
    try:
        async with pool.acquire() as connection:
            known = [one for one in await companies.all_companies(connection) if one.state != PURGED]
            now = datetime.now(UTC)
            told = {one.id: await healing.of_company(connection, one.id, now) for one in known}
        connected = [one for one in known if told[one.id]["token"] is not None]
        if not connected:
            return [_unconnected(settings)]
        asked = (_token(settings, pool, one, told[one.id]["token"], within) for one in connected)
        tokens = await asyncio.gather(*asked)
    finally:
        await pool.close()
    others = [one for one in known if one not in connected]
    found = [elsewhere(_of(one), "only what webhooks tell is mirrored", _CONNECT) for one in others]
    for company, token in zip(connected, tokens, strict=True):
        found += [token, *left_by_workers(company, told[company.id])]
    return found


def _unconnected(settings: Settings) -> Finding:
    if settings.pipedrive_api_token is not None:
        advice = "Run `pipemirror connect`: it stores the token, and reads the account."
        return warn("Pipedrive", "PIPEDRIVE_API_TOKEN is set, but no account is connected", advice)
    return elsewhere("Pipedrive", "no account is connected: only what webhooks tell is mirrored", _CONNECT)


def _of(company: Company) -> str:
    return f"company {company.id}"


async def _token(settings: Settings, pool: Pool, company: Company, told: Told, within: float) -> Finding:
    """Whether it can be read, and Pipedrive accepts it: now, and when it was used last."""
    name = f"{_of(company)}: token"
    try:
        async with pool.acquire() as connection:
            token = await vault(settings).get(connection, company.id)
    except Misconfigured as problem:
        return fail(name, problem.reason, TokensUnreadable.remedy)
    assert token is not None
    if company.state != ACTIVE:
        found = elsewhere(name, f"readable; not tried, as the company is {company.state}")
    else:
        found = await _asked(settings, pool, name, token, within)
    if told["refused_at"] is None:
        return found
    before = f"refused since {plain(told['refused_at'])}: {told['code']}: {told['reason']}; workers leave it alone"
    if found.found.startswith(_ACCEPTED):
        return fail(name, f"{before}. Now it is accepted", "Run `pipemirror connect` again: workers then go on.")
    return fail(name, before, remedy_of(told["code"]))


async def _asked(settings: Settings, pool: Pool, name: str, token: StoredToken, within: float) -> Finding:
    try:
        async with asyncio.timeout(within), asking_as(settings, pool, token, retry=_QUICK) as client:
            account = account_of((await client.get(WHO_AM_I, need=Need.LIVE)).content)
    except (BudgetExhausted, RateLimited, BlockedByPipedrive) as problem:
        return warn(name, f"readable; {problem.code}: {problem.reason}", problem.remedy)
    except TimeoutError:
        return fail(name, f"Pipedrive did not answer within {within:.0f} s", PipedriveUnavailable.remedy)
    except Problem as problem:
        return fail(name, f"{problem.code}: {problem.reason}", problem.remedy)
    return accepted(name, token.company_id, account)


def accepted(name: str, company_id: int, account: Account) -> Finding:
    if account.company_id != company_id:
        advice = "Do not mix databases of two companies: `connect` with the token of this one."
        return fail(name, f"opens company {account.company_id}", advice)
    found = f"{_ACCEPTED}, as user {account.user_id}"
    if account.is_admin is False:
        advice = "Use the token of a top-level admin: what others keep to themselves is not mirrored."
        return warn(name, f"{found}, who is no admin", advice)
    return ok(name, f"{found}, {'an admin' if account.is_admin else 'whose rights are not told'}")


def left_by_workers(company: Company, told: Told) -> Iterator[Finding]:
    """Of one connected company: how live stands, what may be missing, what fails, what may still be asked."""
    of = _of(company)
    yield _webhook(f"{of}: webhook", told["webhook"])
    if told["gap"] is not None:
        since = f"may be missing since {plain(told['gap']['since'])}: {', '.join(told['gap']['reasons'])}"
        yield warn(f"{of}: events", since, "The next sweep finds them; `pipemirror sweep` at once.")
    yield _jobs(f"{of}: jobs", told["jobs"])
    if told["tokens"] is not None:
        yield _budget(f"{of}: tokens of the day", told["tokens"])


def _webhook(name: str, told: Told | None) -> Finding:
    if told is None:
        advice = "Set PUBLIC_URL, then `pipemirror webhooks ensure`."
        return warn(name, "none was ever made: changes come with sweeps", advice)
    checked = f"checked {plain(told['checked_at'])}"
    words = [f"{one['code']}: {one['words']}" for one in told["findings"]]
    if told["id"] is None:
        return warn(name, f"live is off, {checked}: {'; '.join(words)}", _ENSURE)
    lasting = [one for one, finding in zip(words, told["findings"], strict=True) if finding["code"] in _STAYS]
    if lasting:
        advice = "See docs/operations.md, The subscription."
        return warn(name, f"webhook {told['id']}, {checked}: {'; '.join(lasting)}", advice)
    return ok(name, f"webhook {told['id']} tells of everything, {checked}")


def _jobs(name: str, told: list[Told]) -> Finding:
    if not told:
        advice = "Start `pipemirror up`, or a worker with the same ENCRYPTION_KEYS."
        return warn(name, "no worker has looked after it yet", advice)
    failing = [job for job in told if job["code"] is not None]
    if failing:
        words = "; ".join(f"{job['job']}: {job['code']}: {job['reason']}" for job in failing)
        remedies = dict.fromkeys(remedy_of(job["code"]) for job in failing)
        return warn(name, words, " ".join(remedies))
    return ok(name, f"{len(told)}, none fails")


def _budget(name: str, told: Told) -> Finding:
    of = f"{told['daily']:,}" if told["daily"] else f"{told['daily_at_least']:,} or more"
    spent = f"{told['spent']:,} of the account's {of} are spent by us"
    if told["shut_until"] is not None:
        advice = "Wait: it goes on by itself. See docs/operations.md, What may be asked of Pipedrive."
        return warn(name, f"{spent}; nothing is asked until {plain(told['shut_until'])}", advice)
    return ok(name, spent)
