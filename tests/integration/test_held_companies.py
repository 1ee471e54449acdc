"""One company whose tables cannot be made or written holds up nobody else, and loses nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from rig.events import COMPANY, START, envelope, v2_body

from runtime.backoff import Backoff
from runtime.measurements import EVENTS, HELD_COMPANIES, HELD_EVENTS
from runtime.metrics import Metrics
from schema.envelope import Envelope
from store import dead_letters
from store.companies import Company
from store.database import Connection, Pool, touch_shared
from worker.applying import mirror, parking, persistence, provision, suspect
from worker.applying.applier import TRIES, Applier, share
from worker.applying.breaker import BreakerOpen
from worker.applying.held_companies import HeldCompanies
from worker.upkeep.readmission import Readmission

OTHER = 99
QUICK = Backoff(0.001, 0.002)


class Worker:
    """What `worker.app` puts together of these parts, on a clock of ours."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.metrics = Metrics()
        self.held = HeldCompanies()
        self.now = 0.0
        self.applier = Applier(
            pool, self.metrics, share(self.metrics, numbered_slugs=True, held=self.held), backoff=QUICK
        )
        again = Applier(pool, self.metrics, share(self.metrics, numbered_slugs=True), backoff=QUICK, tries=1)
        self.readmission = Readmission(pool, again, self.held, self.metrics, clock=lambda: self.now)

    async def apply(self, *envelopes: Envelope) -> None:
        await asyncio.wait_for(self.applier.apply(envelopes), 20)

    async def readmit(self) -> None:
        self.now += 1000
        await asyncio.wait_for(self.readmission.once(), 20)

    def told(self) -> list[tuple[str, bool]]:
        parts = (self.applier, self.held)
        return [(found.code, found.blocking) for part in parts for found in part.conditions()]


@pytest.fixture
def worker(pool: Pool) -> Worker:
    return Worker(pool)


def deal(record_id: int, company_id: int = COMPANY, **data: Any) -> Envelope:
    body = v2_body("deal", record_id, START, {"title": f"deal {record_id}"} | data, company_id=str(company_id))
    return envelope(body, company_id)


async def deals(pool: Pool, company_id: int = COMPANY) -> list[int]:
    async with pool.acquire() as connection:
        rows = await connection.fetch(f"SELECT id FROM pipedrive_{company_id}_raw.deals ORDER BY id")
    return [row["id"] for row in rows]


async def waiting(pool: Pool) -> int:
    async with pool.acquire() as connection:
        found: int = await connection.fetchval("SELECT count(*) FROM pipemirror.held")
    return found


@asynccontextmanager
async def rights_lost(pool: Pool) -> AsyncIterator[None]:
    async with pool.acquire() as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f'REVOKE CREATE ON DATABASE "{name}" FROM CURRENT_USER')
    yield
    async with pool.acquire() as connection:
        await connection.execute(f'GRANT CREATE ON DATABASE "{name}" TO CURRENT_USER')


async def test_a_company_that_cannot_be_provisioned_waits_and_the_others_go_on(pool: Pool, worker: Worker) -> None:
    await worker.apply(deal(1, OTHER))
    async with rights_lost(pool):
        await worker.apply(deal(1), deal(2, OTHER), deal(2))
        await worker.apply(deal(3), deal(3, OTHER))
        await worker.readmit()

        assert await deals(pool, OTHER) == [1, 2, 3]
        assert await waiting(pool) == 3
        assert worker.told() == [("company_held", False)]
        assert worker.metrics.value(EVENTS, "held") == 3
        assert (worker.metrics.value(HELD_COMPANIES), worker.metrics.value(HELD_EVENTS)) == (1, 3)

    await worker.readmit()
    assert await deals(pool) == [1, 2, 3]
    await worker.apply(deal(4))
    assert await deals(pool) == [1, 2, 3, 4]
    await worker.readmit()
    assert await waiting(pool) == 0
    assert worker.told() == []
    async with pool.acquire() as connection:
        assert await dead_letters.open_letters(connection) == []


async def test_a_company_that_cannot_be_provisioned_is_tried_by_one_writer_for_all(
    pool: Pool, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A try may take as long as somebody keeps a lock, and each writer has a part of the company's events."""
    tries = 0
    make = provision.provision

    async def counted(*given: Any, **named: Any) -> Company:
        nonlocal tries
        tries += 1
        return await make(*given, **named)

    monkeypatch.setattr(provision, "provision", counted)
    shared = share(worker.metrics, numbered_slugs=True, held=worker.held)
    writers = [Applier(pool, worker.metrics, shared, backoff=QUICK) for _ in range(4)]
    async with rights_lost(pool):
        parts = [writer.apply([deal(number)]) for number, writer in enumerate(writers)]
        await asyncio.wait_for(asyncio.gather(*parts), 20)
        assert tries == TRIES
        assert await waiting(pool) == 4


async def test_no_company_is_held_for_what_keeps_all_of_them_waiting(
    pool: Pool, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same error as for a company's own tables, but of the journal."""
    await worker.apply(deal(1), deal(1, OTHER))
    asked = asyncio.Event()

    async def noted(connection: Connection) -> None:
        try:
            await touch_shared(connection)
        finally:
            asked.set()

    monkeypatch.setattr(persistence, "touch_shared", noted)
    known = share(worker.metrics, numbered_slugs=True, held=worker.held)
    unhurried = Applier(pool, worker.metrics, known, backoff=Backoff(1.0, 1.0), tries=1)
    async with pool.acquire() as connection:
        await connection.execute("REVOKE ALL ON pipemirror.events FROM CURRENT_USER")
    applying = asyncio.create_task(unhurried.apply([deal(2), deal(2, OTHER)]))
    await asyncio.wait_for(asked.wait(), 10)
    async with pool.acquire() as connection:
        await connection.execute("GRANT ALL ON pipemirror.events TO CURRENT_USER")

    await asyncio.wait_for(applying, 10)
    assert (await deals(pool), await deals(pool, OTHER), await waiting(pool)) == ([1, 2], [1, 2], 0)
    assert unhurried.waits_for is None
    assert worker.told() == []


async def test_something_in_the_way_of_provisioning_does_not_end_the_worker(pool: Pool, worker: Worker) -> None:
    """Somebody made a view where a table of ours belongs."""
    async with pool.acquire() as connection:
        await connection.execute(f"CREATE SCHEMA pipedrive_{COMPANY}_raw")
        await connection.execute(f"CREATE VIEW pipedrive_{COMPANY}_raw.deals AS SELECT 1 AS id")
    await worker.apply(deal(1), deal(1, OTHER))

    assert await deals(pool, OTHER) == [1]
    assert worker.told() == [("company_held", False)]
    async with pool.acquire() as connection:
        await connection.execute(f"DROP VIEW pipedrive_{COMPANY}_raw.deals")
    await worker.readmit()
    assert await deals(pool) == [1]


async def test_a_company_without_one_of_its_tables_waits_for_it(pool: Pool, worker: Worker) -> None:
    await worker.apply(deal(1), deal(1, OTHER))
    async with pool.acquire() as connection:
        await connection.execute(f"ALTER TABLE pipedrive_{COMPANY}_raw.deals RENAME TO hidden")
    await worker.apply(deal(2), deal(2, OTHER))
    assert await deals(pool, OTHER) == [1, 2]
    assert worker.told() == [("company_held", False)]

    async with pool.acquire() as connection:
        await connection.execute(f"ALTER TABLE pipedrive_{COMPANY}_raw.hidden RENAME TO deals")
    await worker.readmit()
    assert await deals(pool) == [1, 2]


async def test_what_crashes_over_one_held_company_does_not_keep_the_next_one_waiting(
    pool: Pool, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rights_lost(pool):
        await worker.apply(deal(1), deal(1, OTHER))
    apply_company = Applier.apply_company

    async def crashes(self: Applier, company_id: int, envelopes: Any) -> None:
        if company_id == OTHER:
            raise RuntimeError
        await apply_company(self, company_id, envelopes)

    with monkeypatch.context() as broken:
        broken.setattr(Applier, "apply_company", crashes)
        await worker.readmit()
    assert await deals(pool) == [1]
    assert await waiting(pool) == 1
    await worker.readmit()
    assert await deals(pool, OTHER) == [1]


async def test_a_stop_gives_back_what_was_just_tried(
    pool: Pool, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a deployment would leave it alone for the minutes of a lease, and suspect it of having killed a worker."""
    async with rights_lost(pool):
        await worker.apply(deal(1))
    begun = asyncio.Event()

    async def never(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Applier, "apply_company", never)
    trying = asyncio.create_task(worker.readmission.run())
    await asyncio.wait_for(begun.wait(), 10)
    trying.cancel()
    await asyncio.wait((trying,), timeout=10)
    assert trying.cancelled()
    async with pool.acquire() as connection:
        [claim] = await connection.fetch("SELECT claimed_at, claims FROM pipemirror.held")
    assert (claim["claimed_at"], claim["claims"]) == (None, 0)


@pytest.mark.parametrize(
    ("alteration", "reason"),
    [
        ("ADD CHECK (title NOT LIKE 'deal%')", "20 records failed"),
        ("ADD COLUMN mine text NOT NULL", "20 records failed"),
        ("ALTER COLUMN title TYPE integer USING NULL", "deals.title is integer instead of text"),
    ],
)
async def test_a_table_that_somebody_altered_holds_its_company_alone(
    pool: Pool, worker: Worker, alteration: str, reason: str
) -> None:
    await worker.apply(deal(1), deal(1, OTHER))
    async with pool.acquire() as connection:
        await connection.execute(f"DELETE FROM pipedrive_{COMPANY}_raw.deals")
        await connection.execute(f"ALTER TABLE pipedrive_{COMPANY}_raw.deals {alteration}")

    await worker.apply(*(deal(number, company) for company in (COMPANY, OTHER) for number in range(2, 60)))

    assert await deals(pool, OTHER) == [*range(1, 60)]
    assert await waiting(pool) == 58
    [told] = worker.held.conditions()
    assert reason in told.reason
    async with pool.acquire() as connection:
        assert len(await dead_letters.open_letters(connection)) == (19 if "failed" in reason else 0)


async def test_a_breaker_that_opens_over_held_events_ends_trying(
    pool: Pool, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a bug of ours would fill the dead letters after all, a few of them in each round."""
    async with rights_lost(pool):
        await worker.apply(*(deal(n) for n in range(1, 21)))

    async def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(mirror, "write", broken)
    with pytest.raises(BreakerOpen):
        await asyncio.wait_for(worker.readmission.run(every=0.01), 20)
    assert await waiting(pool) == 20


async def test_a_message_that_comes_again_is_held_once(pool: Pool, worker: Worker) -> None:
    async with rights_lost(pool):
        await worker.apply(deal(1))
        await worker.apply(deal(1))
        assert await waiting(pool) == 1
    await worker.readmit()
    assert await deals(pool) == [1]


async def test_what_is_held_and_can_never_be_written_becomes_a_dead_letter(pool: Pool, worker: Worker) -> None:
    async with rights_lost(pool):
        await worker.apply(deal(1), deal(2, value="a lot"))
    await worker.readmit()

    assert await deals(pool) == [1]
    assert await waiting(pool) == 0
    async with pool.acquire() as connection:
        assert [letter["code"] for letter in await dead_letters.open_letters(connection)] == ["bad_value"]


async def test_another_worker_takes_over_what_is_held(pool: Pool, worker: Worker) -> None:
    """The first one learns by itself that nothing is held any more."""
    async with rights_lost(pool):
        await worker.apply(deal(1))
    other = Worker(pool)
    await other.readmit()
    assert await deals(pool) == [1]

    await worker.readmit()
    assert COMPANY in worker.held, "its events may be on their way there"
    await worker.readmit()
    assert COMPANY not in worker.held


async def test_a_held_event_that_kills_workers_is_given_up(
    pool: Pool, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies leaves its claim; the next one applies each claimed event by itself, and counts."""
    async with rights_lost(pool):
        await worker.apply(deal(1), deal(2))
    killer = parking.digest(deal(1))
    write = mirror.write

    async def dies(connection: Any, company: Any, changes: Any) -> Any:
        changes = list(changes)
        if any(change.id == 1 for change in changes):
            raise KeyboardInterrupt  # as the end of the process: nothing after it runs
        return await write(connection, company, changes)

    monkeypatch.setattr(mirror, "write", dies)
    for _ in range(suspect.MOST_ATTEMPTS + 1):
        died = Worker(pool)
        try:
            await died.readmission.once()
        except KeyboardInterrupt:
            async with pool.acquire() as connection:  # the lease passes
                await connection.execute("UPDATE pipemirror.held SET claimed_at = now() - interval '1 hour'")
    await worker.readmit()

    assert await deals(pool) == [2]
    async with pool.acquire() as connection:
        [letter] = await dead_letters.open_letters(connection)
        assert letter["code"] == "crashed_worker"
        assert await connection.fetchval("SELECT count(*) FROM pipemirror.suspects WHERE digest = $1", killer) == 0
    assert await waiting(pool) == 0
