"""What a purged company leaves at Pipedrive: our webhooks, which would go on posting to an address for nothing."""

import asyncio
import secrets
from typing import Final

from cli.reading import asking_as, vault
from runtime.backoff import Backoff
from runtime.keys import has_secret, signing_secrets
from runtime.settings import Settings
from schema.errors import Problem
from store import purges
from store.database import Pool
from store.tokens import StoredToken
from worker.healing.live import Entrance
from worker.healing.subscribing import remove

WITHIN: Final = 20.0
"""Seconds that Pipedrive is given: a company is purged whether it answers or not."""

NO_TOKEN: Final = "no token of the company is stored"  # noqa: S105 - says that there is none
BY_HAND: Final = "delete it in Pipedrive: Settings > Tools and apps > Webhooks"

_QUICK: Final = Backoff(first=0.2, cap=2.0)


async def unsubscribe(settings: Settings, found: Pool, company_id: int) -> None:
    """Remove our webhooks of a company that is being purged, as far as its token allows; the receipt says how far.

    Before anything is deleted: without the token, and what is known of the webhooks, there is no way. A purge that is
    given again finds none, and the receipt keeps what came of the first one.
    """
    removed: list[int] = []
    problem: str | None = NO_TOKEN
    try:
        async with asyncio.timeout(WITHIN):
            async with found.acquire() as connection:
                token = await vault(settings).get(connection, company_id)
            if token is not None:
                removed, problem = await _removed(settings, found, token), None
    except TimeoutError:
        problem = f"Pipedrive did not answer within {WITHIN:.0f} s"
    except Problem as refused:
        problem = f"{refused.code}: {refused.reason}"
    async with found.acquire() as connection:
        if problem == NO_TOKEN:
            await purges.not_asked_for_webhooks(connection, company_id, problem)
        else:
            await purges.saw_webhooks(connection, company_id, removed, problem)


async def _removed(settings: Settings, found: Pool, token: StoredToken) -> list[int]:
    # Those that this installation made are known by their addresses, too: without a secret they are found all the same.
    secret = signing_secrets(settings)[0] if has_secret(settings) else secrets.token_hex()
    wanted = Entrance(settings.public_url or "", secret).wanted(token.company_id, token.user_id)
    async with asking_as(settings, found, token, retry=_QUICK) as client:
        return await remove(client, found, token.company_id, wanted)
