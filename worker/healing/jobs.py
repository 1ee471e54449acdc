"""What is done for each company now and then: each job, how often, and what it comes to.

In this order where several are due at once: what is cheap and keeps others from being needed comes first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, Final

from pipedrive.budget import Need
from pipedrive.errors import AnswerUnreadable, PipedriveUnavailable
from schema.entities import ENTITIES
from schema.entity import Entity
from schema.listing import Listing
from store import jobs, reconciled, upkeep, walks
from store.database import Connection, Pool
from store.walks import FAILED, RECONCILE
from worker.healing.accounts import Account, Accounts
from worker.healing.again import ask_again
from worker.healing.backfill import backfill, left
from worker.healing.drift import Drift
from worker.healing.live import SWITCHED_OFF, Entrance
from worker.healing.order import lists
from worker.healing.reconcile import Window, reconcile
from worker.healing.subscribing import ensure
from worker.healing.sweep import sweep
from worker.healing.walking import Reader
from worker.healing.windows import is_due, window_of

Result = dict[str, Any]

_PASSING: Final = frozenset({PipedriveUnavailable.code, AnswerUnreadable.code})
"""Why a list could not be read for the moment, as opposed to what a person has to change."""

STINT: Final = timedelta(minutes=10)
"""For so long a backfill goes on before it lets pass what else is due for the company, such as a sweep."""

_NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Means:
    """What the jobs of all companies are done with.

    opted_in  entities that are read although each of their parents costs a call
    entrance  where webhooks come in; None if nobody said
    """

    pool: Pool
    accounts: Accounts
    opted_in: frozenset[str] = frozenset()
    entrance: Entrance | None = None


@dataclass(frozen=True, slots=True)
class Undertaken:
    """For whom a job is done, and by what."""

    means: Means
    account: Account

    def reader(self, need: Need) -> Reader:
        return self.means.accounts.reader(self.account, need)


class Length(IntEnum):
    """What a job holds up while it is done.

    MOMENT  nothing: it is done even while another process reads the company's lists
    WHILE   who else wants to read this company's lists: it asks for what changed, or for short lists
    LONG    the same; as it may read all there is, companies with something shorter to do do not wait for it
    """

    MOMENT = 0
    WHILE = 1
    LONG = 2


@dataclass(frozen=True, slots=True)
class Job:
    """every  from its beginning to its next one; None: only when somebody wants it
    first  after a company was first met: what a backfill has just read need not be read again
    """

    name: str
    every: timedelta | None
    do: Callable[[Undertaken], Awaitable[Result]]
    length: Length = Length.LONG
    first: timedelta = timedelta()


async def check_subscription(undertaken: Undertaken) -> Result:
    """That one webhook of ours tells of everything. Raise LiveOff where there is none and should be one."""
    means, account = undertaken.means, undertaken.account
    if means.entrance is None:
        return {}
    live = await ensure(account.client, means.pool, account.company.id, means.entrance)
    if live.problem is not None and live.findings[-1] != SWITCHED_OFF:
        raise live.problem
    return {"webhook": live.webhook, "findings": [finding.code for finding in live.findings]}


async def resume_backfill(undertaken: Undertaken) -> Result:
    """A backfill that was interrupted, by whomever it was begun; what was wanted since; once a day what was refused."""
    reader, opted_in = undertaken.reader(Need.BULK), undertaken.means.opted_in
    wanted = await reader.persist(lambda connection: left(connection, reader.company.id, opted_in))
    if not wanted:
        return {}
    try:
        async with asyncio.timeout(STINT.total_seconds()) as stint:
            return {"rows": sum(walk.rows for walk in await backfill(reader, wanted))}
    except TimeoutError:
        if not stint.expired():
            raise
    return {"goes_on": True}


async def read_definitions(undertaken: Undertaken) -> Result:
    """Fields and their options: what values mean. A renamed field is an update of its row."""
    reader = undertaken.reader(Need.SWEEP)
    wanted = lists([entity for entity in ENTITIES if entity.definitions is not None])
    return _counted(await reconcile(reader, wanted, repair=True))


async def sweep_changes(undertaken: Undertaken) -> Result:
    """`later`: entities that may hold changes which nobody has read yet; `each_time`: tokens of every such sweep."""
    ended = await sweep(undertaken.reader(Need.SWEEP), lists(ENTITIES, undertaken.means.opted_in))
    return {
        "rows": sum(walk.rows for walk in ended),
        "tokens": sum(walk.tokens for walk in ended),
        "each_time": sum(walk.tokens for walk in ended if walk.since is not None),
        "failed": sorted({f"{walk.entity}: {walk.code}" for walk in ended if walk.code}),
        "later": sorted({walk.entity for walk in ended if walk.state == FAILED and walk.code in _PASSING}),
    }


async def reconcile_a_part(undertaken: Undertaken) -> Result:
    """Of what can be asked for by the time of its update a part, another one each day; of the rest all, in turn."""
    reader = undertaken.reader(Need.BULK)
    await ask_again(reader)
    day = (await reader.persist(upkeep.now)).astimezone(UTC)
    # Where a day's tokens do not last, it is the others' turn on the next one; also where they do not last for one.
    last = await reader.persist(lambda connection: walks.started_at(connection, reader.company.id, RECONCILE))
    wanted = sorted(lists(ENTITIES, undertaken.means.opted_in), key=lambda one: last.get(one[0].name, _NEVER))
    drifts: list[Drift] = []
    trusted = undertaken.account.token.is_admin is not False
    for entity, listings in wanted:
        if is_due(entity, listings, day):
            window = await _window(reader, entity, listings, day)
            drifts += await reconcile(reader, [(entity, listings)], repair=True, trusted=trusted, window=window)
    return _counted(drifts)


async def _window(reader: Reader, entity: Entity, listings: Sequence[Listing], day: datetime) -> Window:
    return await reader.persist(lambda connection: window_of(connection, reader.company.slug, entity, listings, day))


async def reconcile_whole(undertaken: Undertaken) -> Result:
    """All there is, wanted when the database was set back; but not again what was done since it was wanted.

    So it ends although it may take more than the tokens of a day, or a worker's life.
    """
    reader = undertaken.reader(Need.BULK)

    async def work(connection: Connection) -> set[str]:
        wanted_at = await jobs.wanted_at(connection, reader.company.id, RECONCILE_WHOLE.name)
        return await reconciled.whole_since(connection, reader.company.id, wanted_at or _NEVER)

    done = await reader.persist(work)
    wanted = [one for one in lists(ENTITIES, undertaken.means.opted_in) if one[0].name not in done]
    trusted = undertaken.account.token.is_admin is not False
    drifts = await reconcile(reader, wanted, repair=True, trusted=trusted)
    later = [drift.entity for drift in drifts if drift.unread.partition(":")[0] in _PASSING]
    if later:
        raise PipedriveUnavailable(f"could not be compared, the others were: {', '.join(later)}")
    return _counted(drifts)


def _counted(drifts: Sequence[Drift]) -> Result:
    return {
        "rows": sum(drift.rows for drift in drifts),
        "differed": {drift.entity: drift.total for drift in drifts if drift.total},
        "doubted": {drift.entity: drift.doubted for drift in drifts if drift.doubted},
        "failed": [f"{drift.entity}: {drift.unread}" for drift in drifts if drift.unread],
        "tokens": sum(drift.tokens for drift in drifts),
    }


SWEEP: Final = Job("sweep", timedelta(minutes=15), sweep_changes, Length.WHILE)
DEFINITIONS: Final = Job("definitions", timedelta(days=1), read_definitions, Length.WHILE, first=timedelta(days=1))
RECONCILE_WHOLE: Final = Job("reconcile whole", None, reconcile_whole)

JOBS: Final = (
    Job("subscription", timedelta(minutes=30), check_subscription, Length.MOMENT),
    DEFINITIONS,
    SWEEP,
    Job("backfill", STINT, resume_backfill),
    Job("reconcile", timedelta(days=1), reconcile_a_part, first=timedelta(days=1)),
    RECONCILE_WHOLE,
)
