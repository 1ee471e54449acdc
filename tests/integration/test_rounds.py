"""However many workers there are, housekeeping is done once; and of a company only what there is to be done."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from rig.events import COMPANY

from runtime.measurements import HOUSEKEEPING_FAILURES
from runtime.metrics import Metrics
from store import companies, fields
from store.companies import ACTIVE, PAUSED, Company
from store.database import Connection, Pool
from worker.applying import provision
from worker.upkeep import housekeeping, partitions
from worker.upkeep.housekeeping import Housekeeping

MINUTE, HOUR = 60.0, 3600.0
OTHER = COMPANY + 1


class Workers:
    """Each with its own housekeeping, on a clock of ours; what they did is in `rounds`, `typed` and `filled`."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.now = 1000.0
        self.rounds = 0
        self.typed: list[int] = []
        self.filled: list[int] = []

    def start(self) -> Housekeeping:
        return Housekeeping(self.pool, Metrics(), journal_days=14, clock=lambda: self.now)

    async def ensure(self, *_: Any) -> None:
        self.rounds += 1

    async def normalise(self, _: Connection, company: Company) -> int | None:
        self.typed.append(company.id)
        return 0

    async def outgrow(self, _: Connection, company: Company) -> int | None:
        self.filled.append(company.id)
        return 0

    async def query(self, text: str) -> None:
        async with self.pool.acquire() as connection:
            await connection.execute(text)

    async def wait(self, seconds: float) -> None:
        """As if so much time had passed, for the workers and for the database."""
        self.now += seconds
        await self.query(f"UPDATE pipemirror.upkeep SET begun_at = begun_at - interval '{seconds} seconds'")
        await self.query(f"UPDATE pipemirror.fields SET learnt_at = learnt_at - interval '{seconds} seconds'")


@pytest.fixture
async def workers(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workers]:
    found = Workers(pool)
    async with pool.acquire() as connection:
        for company_id in (COMPANY, OTHER):
            await provision.provision(connection, company_id, numbered_slugs=True)
    with monkeypatch.context() as watched:
        watched.setattr(partitions, "ensure", found.ensure)
        watched.setattr(housekeeping, "normalise", found.normalise)
        watched.setattr(housekeeping, "outgrow", found.outgrow)
        yield found


async def learn(pool: Pool, company_id: int = COMPANY) -> None:
    async with pool.acquire() as connection:
        await fields.learn(connection, company_id, [("deal", "a" * 40, "enum")])


async def set_state(pool: Pool, state: str) -> None:
    async with pool.acquire() as connection:
        await companies.change_state(connection, COMPANY, state)


async def test_many_workers_have_one_round_a_minute(workers: Workers) -> None:
    houses = [workers.start() for _ in range(4)]
    for _ in range(2):
        for house in houses:
            await house.once(MINUTE)
    assert workers.rounds == 1
    await workers.wait(MINUTE)
    for house in reversed(houses):
        await house.once(MINUTE)
    assert workers.rounds == 2


async def test_a_round_that_failed_is_told_by_all_workers_until_one_succeeds(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        raise RuntimeError

    first, second = workers.start(), workers.start()
    with monkeypatch.context() as broken:
        broken.setattr(partitions, "ensure", crash)
        with pytest.raises(RuntimeError):
            await first.once(MINUTE)
    await second.once(MINUTE)
    assert [condition.code for condition in second.conditions()] == ["housekeeping_failed"]

    await workers.wait(MINUTE)
    await second.once(MINUTE)
    await first.once(MINUTE)
    assert list(first.conditions()) == list(second.conditions()) == []


async def test_values_are_given_their_types_only_after_types_were_learnt(workers: Workers, pool: Pool) -> None:
    """For a while more than once: a worker may still write without a type that it had not read."""
    house = workers.start()
    await house.once()
    assert workers.typed == [], "nothing is known"
    await learn(pool)
    await house.once()
    await workers.wait(5 * MINUTE)
    await house.once()
    assert workers.typed == [COMPANY] * 2
    await workers.wait(11 * MINUTE)
    await house.once()
    assert workers.typed == [COMPANY] * 3, "begun so late that nobody writes without it any more"
    for _ in range(3):
        await workers.wait(MINUTE)
        await house.once()
    assert workers.typed == [COMPANY] * 3

    await learn(pool, OTHER)
    await house.once()
    assert workers.typed[3:] == [OTHER]
    await workers.wait(25 * HOUR)
    await house.once()
    assert workers.typed[4:] == [COMPANY, OTHER], "once a day for whatever else left values behind"


async def test_types_learnt_of_a_paused_company_wait_until_it_is_resumed(workers: Workers, pool: Pool) -> None:
    house = workers.start()
    await learn(pool)
    await set_state(pool, PAUSED)
    await house.once()
    await workers.wait(HOUR)
    assert workers.typed == []
    await set_state(pool, ACTIVE)
    await house.once()
    assert workers.typed == [COMPANY]


async def test_what_ended_for_a_pause_is_not_noted_as_done(
    workers: Workers, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = workers.start()
    await learn(pool)

    async def paused_meanwhile(*_: object) -> None:
        return None

    with monkeypatch.context() as broken:
        broken.setattr(housekeeping, "normalise", paused_meanwhile)
        broken.setattr(housekeeping, "outgrow", paused_meanwhile)
        await house.once()
    await workers.wait(MINUTE)
    await house.once()
    assert workers.typed == [COMPANY]
    assert workers.filled == [COMPANY, OTHER]


async def test_tables_are_read_for_new_columns_after_a_start_and_an_hour_later_whoever_does_it(
    workers: Workers,
) -> None:
    """Within the hour a worker of the earlier release may have written; after it, nothing is left to look for."""
    houses = [workers.start() for _ in range(3)]
    for hours in range(4):
        for house in houses:
            await house.once(MINUTE)
        assert workers.filled == [COMPANY, OTHER] * min(hours + 1, 2)
        await workers.wait(HOUR + MINUTE)


async def test_a_worker_that_starts_again_and_again_reads_tables_once_an_hour(workers: Workers) -> None:
    for _ in range(30):
        await workers.start().once(MINUTE)
        await workers.wait(5 * MINUTE)
    assert 3 <= len(workers.filled) / 2 <= 4, "within two and a half hours"


async def test_another_catalogue_has_its_own_columns(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    house = workers.start()
    await house.once()
    monkeypatch.setattr("schema.ddl.fingerprint", lambda: "that of a newer release")
    await workers.start().once()
    assert workers.filled == [COMPANY, OTHER] * 2


async def test_a_company_that_cannot_be_mended_is_told_between_the_tries_too(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def missing(connection: Connection, company: Company) -> int | None:
        if company.id == COMPANY:
            raise asyncpg.UndefinedTableError
        return await workers.outgrow(connection, company)

    house = workers.start()
    with monkeypatch.context() as broken:
        broken.setattr(housekeeping, "outgrow", missing)
        with pytest.raises(asyncpg.UndefinedTableError):
            await house.once()
    await workers.wait(MINUTE)
    await house.once()
    assert [condition.code for condition in house.conditions()] == ["housekeeping_failed"]
    assert workers.filled == [OTHER], "its tables are not read every minute"
    await workers.wait(10 * MINUTE)
    await house.once()
    assert workers.filled == [OTHER, COMPANY]
    assert list(house.conditions()) == []


async def test_failures_of_others_are_counted_by_each_worker(workers: Workers) -> None:
    """The alert looks at one worker at a time."""
    metrics = Metrics()
    house = Housekeeping(workers.pool, metrics, journal_days=14)
    await house.once()
    await workers.query("UPDATE pipemirror.upkeep SET failure = 'something' WHERE work = 'round'")
    await house.once(MINUTE)
    assert metrics.value(HOUSEKEEPING_FAILURES) == 1
