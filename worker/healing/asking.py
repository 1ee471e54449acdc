"""What is asked of Pipedrive: again, where the answer is null; and how far it reaches that there is no answer."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final

from pipedrive import paging
from pipedrive.budget import Need
from pipedrive.client import Client, Reply
from pipedrive.errors import AnswerUnreadable, ListingRefused, PipedriveUnavailable
from pipedrive.paging import Page
from pipedrive.request import WHO_AM_I
from schema.errors import Problem
from schema.listing import NOTHING, Listing

ATTEMPTS: Final = 4


async def page_of(
    client: Client,
    listing: Listing,
    position: str,
    params: Mapping[str, str] = NOTHING,
    parents: Sequence[Any] = (),
    *,
    need: Need,
) -> tuple[Page, Reply]:
    """Raise as Client.get and paging.page, AnswerUnreadable only when it was asked again.

    Of v1 null is an empty list, too: it is believed when it is told twice. Not of children, of whom most have none.
    """
    asked = paging.request(listing, position, params, parents)
    doubted = listing.parent is None
    for attempt in range(1, ATTEMPTS + 1):
        reply = await client.get(asked, need=need)
        try:
            page = paging.page(listing, position, reply.content)
        except AnswerUnreadable:
            if attempt == ATTEMPTS:
                raise
            continue
        if not (doubted and paging.is_null(listing, reply.content)):
            break
        doubted = False
    return page, reply


async def refusal(client: Client, work: Awaitable[object], *, need: Need) -> Problem | None:
    """Why `work` with one list could not be done, if that concerns this list alone: the others need not wait for it.

    Raise what concerns more: AccountRefused, NotNow.
    """
    try:
        await work
    except ListingRefused as problem:
        return problem
    except (PipedriveUnavailable, AnswerUnreadable) as problem:
        # It is this list alone if the account answers otherwise.
        await client.get(WHO_AM_I, need=need)
        return problem
    return None
