"""What is held of many companies is applied in turns, and how much is left is shown meanwhile."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from rig.events import COMPANY, START, envelope, v2_body
from rig.waiting import until

from runtime.health import Condition
from runtime.measurements import HELD_COMPANIES, HELD_EVENTS
from runtime.metrics import Metrics
from schema.envelope import Envelope
from schema.errors import CompanyHeld
from store import held
from store.database import Pool
from worker.applying import parking
from worker.applying.applier import Applier, share
from worker.applying.held_companies import HeldCompanies
from worker.upkeep import readmission
from worker.upkeep.readmission import Readmission

BUSY, QUIET = COMPANY, COMPANY + 1
CHUNK = 2


class Rounds:
    """Readmission in portions of two events, watched; what is applied goes nowhere."""

    def __init__(self, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pool = pool
        self.now = 0.0
        self.metrics = Metrics()
        self.companies = HeldCompanies()
        self.applied: list[int] = []
        self.counted = 0
        self.at_apply: Callable[[], None] = lambda: None
        counts = held.counts

        async def applies(_: Applier, company_id: int, envelopes: Sequence[Envelope]) -> None:
            self.applied += [company_id] * len(envelopes)
            self.at_apply()

        async def counting(*given: Any) -> dict[int, int]:
            self.counted += 1
            return await counts(*given)

        monkeypatch.setattr(readmission, "_CHUNK", CHUNK)
        monkeypatch.setattr(Applier, "apply_company", applies)
        monkeypatch.setattr(held, "counts", counting)
        applier = Applier(pool, self.metrics, share(self.metrics, numbered_slugs=True))
        self.readmission = Readmission(pool, applier, self.companies, self.metrics, clock=lambda: self.now)

    async def hold(self, company_id: int, number: int) -> None:
        bodies = [v2_body("deal", n, START + n, {"title": "held"}, company_id=str(company_id)) for n in range(number)]
        async with self.pool.acquire() as connection:
            await held.keep(connection, [parking.to_hold(envelope(body, company_id)) for body in bodies])

    async def once(self) -> None:
        await asyncio.wait_for(self.readmission.once(), 20)

    def told(self) -> list[Condition]:
        return list(self.readmission.conditions())

    def shown(self) -> tuple[float | None, float | None]:
        return self.metrics.value(HELD_COMPANIES), self.metrics.value(HELD_EVENTS)


@pytest.fixture
def rounds(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Rounds:
    return Rounds(pool, monkeypatch)


async def test_a_company_with_few_held_events_does_not_wait_for_all_of_another_one(rounds: Rounds) -> None:
    await rounds.hold(BUSY, 3 * CHUNK)
    await rounds.hold(QUIET, 1)
    await rounds.once()
    assert rounds.applied == [BUSY] * CHUNK + [QUIET] + [BUSY] * 2 * CHUNK


async def test_what_is_left_is_shown_while_the_round_lasts(rounds: Rounds) -> None:
    seen = []

    def look() -> None:
        seen.append((*rounds.shown(), [condition.reason for condition in rounds.companies.conditions()]))
        rounds.now += 60

    rounds.at_apply = look
    await rounds.hold(BUSY, 2 * CHUNK)
    await rounds.once()

    unknown = f"company {BUSY}: another worker could not write its tables"
    assert seen == [(1, 4, [f"{unknown}; 4 events wait"]), (1, 2, [f"{unknown}; 2 events wait"])]
    assert rounds.shown() == (0, 0)
    assert list(rounds.companies.conditions()) == []


async def test_held_events_are_counted_seldom(rounds: Rounds) -> None:
    """To count them is to read them all, and there may be many."""
    await rounds.hold(BUSY, 20 * CHUNK)
    await rounds.once()
    assert rounds.applied == [BUSY] * 20 * CHUNK
    assert rounds.counted == 2, "at the start, and when they were gone"


async def test_which_companies_have_held_events_is_told_whatever_their_number(rounds: Rounds) -> None:
    for company_id in (5, 1, 3):
        await rounds.hold(company_id, company_id)
    async with rounds.pool.acquire() as connection:
        assert await held.waiting(connection) == {1, 3, 5}
        await connection.execute("DELETE FROM pipemirror.held")
        assert await held.waiting(connection) == set()


async def test_a_table_that_cannot_be_read_is_told_until_it_can(rounds: Rounds) -> None:
    await rounds.hold(BUSY, 1)
    async with rounds.pool.acquire() as connection:
        await connection.execute("ALTER TABLE pipemirror.held RENAME TO hidden")
        trying = asyncio.create_task(rounds.readmission.run(every=0.01))
        await until(lambda: bool(rounds.told()), what="told")
        [told] = rounds.told()
        assert (told.code, told.blocking) == ("readmission_failed", False)
        assert "pipemirror.held" in told.reason
        await connection.execute("ALTER TABLE pipemirror.hidden RENAME TO held")
    await until(lambda: not rounds.told(), what="no longer told")
    assert rounds.applied == [BUSY]
    trying.cancel()
    await asyncio.wait((trying,), timeout=10)


def test_a_company_whose_first_events_are_on_their_way_stays_held() -> None:
    companies = HeldCompanies()
    companies.add(BUSY, CompanyHeld("its tables are locked"))
    companies.keep_only({})
    assert BUSY in companies, "the table was read before they were there"
    companies.keep_only({BUSY: 1})
    companies.keep_only({})
    assert BUSY in companies
    companies.keep_only({})
    assert BUSY not in companies
