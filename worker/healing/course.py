"""The steps of a walk as plain values: what is asked, how it stands after a page, whether it may end early."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pipedrive.client import Reply
from pipedrive.paging import Page
from pipedrive.position import BEGINNING
from schema.columns import TIMESTAMP, instant
from schema.entity import Entity
from schema.listing import Listing
from schema.rest import Row
from store.walks import DONE, Walk
from worker.applying.loading import Loaded


def params(listing: Listing, since: datetime | None, until: datetime | None = None) -> dict[str, str]:
    """Rows in an order in which a walk misses nothing, from when on and until when."""
    delta = listing.delta
    if delta is None or (since is None and until is None):
        return dict(listing.order)
    asked = {delta.since: since, delta.until: until}
    # Times to the second, and in no other form: anything else is refused.
    told = {name: f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for name, at in asked.items() if name and at}
    return {**delta.params, **told}


def is_enough(page: Page, walk: Walk, entity: Entity, listing: Listing) -> bool:
    """A list that can only be read newest first is read until what is known comes."""
    if walk.since is None or listing.delta is None or listing.delta.since is not None:
        return False
    oldest = min(_times(entity, page.rows), default=None)
    return oldest is not None and oldest < walk.since


def advanced(walk: Walk, page: Page, reply: Reply, loaded: Loaded, *, entity: Entity, cost: int) -> Walk:
    """How it stands once the page is written."""
    began = instant(reply.began)
    # A time to come is no word of what is known: who believed it would ask for nothing until then.
    newest = [*(min(at, began) for at in _times(entity, page.rows)), *([walk.newest] if walk.newest else [])]
    last = loaded.refused[-1] if loaded.refused else None
    return replace(
        walk,
        position=page.next or BEGINNING,
        reached=next((one for one in loaded.ids[-1:] if isinstance(one, int)), walk.reached),
        began_at=walk.began_at or began,
        newest=max(newest, default=None),
        rows=walk.rows + len(page.rows) - page.repeated,
        made=walk.made + loaded.made,
        refused=walk.refused + len(loaded.refused) + page.strange,
        calls=walk.calls + 1,
        tokens=walk.tokens + cost,
        code=last.code if last else walk.code,
        reason=last.reason if last else walk.reason,
    )


def past(walk: Walk, parents: Sequence[Any]) -> Walk:
    """How it stands when there is nothing more to read of these parents, or of the list if it has none."""
    if not parents:
        return replace(walk, state=DONE)
    return replace(walk, parent=str(parents[-1]), position=BEGINNING)


def _times(entity: Entity, rows: Iterable[Row]) -> list[datetime]:
    """When each was updated, as far as that can be read."""
    found: list[datetime] = []
    for row in rows:
        with suppress(ValueError):
            told: Any = row.get(entity.updated)
            at = None if told is None else TIMESTAMP.read(told)
            if at is not None:
                found.append(at)
    return found
