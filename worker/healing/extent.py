"""How far lists reach, so that somebody who waits can be told how long: Pipedrive counts no rows for anybody."""

from pipedrive.errors import ListingRefused
from pipedrive.request import Request
from schema.listing import BY_ID, Listing
from worker.healing.order import Wanted
from worker.healing.walking import Reader


async def highest(reader: Reader, wanted: Wanted) -> dict[str, int]:
    """List -> its highest id, of lists in the order of ids. Each costs a call.

    What has been read up to which id tells how much of the list that is, about: ids grow, and some are gone.
    """
    found = {}
    for _, listings in wanted:
        for listing in listings:
            if listing.order == BY_ID and listing.parent is None:
                found[listing.label] = await _of_list(reader, listing)
    return {label: last for label, last in found.items() if last}


async def _of_list(reader: Reader, listing: Listing) -> int:
    params = {**listing.params, **listing.order, "sort_direction": "desc", "limit": "1"}
    try:
        reply = await reader.client.get(Request("GET", listing.path, params, listing.cost), need=reader.need)
    except ListingRefused:
        return 0  # the walk will tell why
    rows = reply.content.get("data")
    last = rows[0].get("id") if isinstance(rows, list) and rows and isinstance(rows[0], dict) else None
    return last if type(last) is int else 0
