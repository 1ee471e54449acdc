"""Who may send when: verdicts of the ledger, and tasks that wait for theirs."""

import asyncio
from typing import Any

import pytest

from pipedrive.allowance import Allowance, InMemory
from pipedrive.budget import Need, Terms
from pipedrive.errors import BlockedByPipedrive, BudgetExhausted
from pipedrive.ledger import PROBE_SECONDS, Ask, Change, Granted, Ledger, News, Refused, Shut, T, Verdict, Wait, decide
from pipedrive.quota import DAY, Quota
from pipedrive.request import WHO_AM_I
from schema.errors import DatabaseUnavailable

NOW = 1_795_348_800.0
MIDNIGHT = (NOW // DAY + 1) * DAY
TERMS = Terms()
LIVE, SWEEP, BULK = Ask(Need.LIVE, 1), Ask(Need.SWEEP, 10), Ask(Need.BULK, 10)


def verdict(ledger: Ledger, ask: Ask, now: float = NOW) -> Verdict:
    return decide(ledger, [ask], now, TERMS)[1][0]


def test_as_many_as_the_window_holds_may_go_at_once_and_the_rest_waits() -> None:
    _, verdicts = decide(Ledger(), [BULK] * 25, NOW, TERMS)
    assert verdicts[:20] == [Granted(known=20)] * 20
    assert all(isinstance(one, Wait) and one.seconds >= 2 for one in verdicts[20:])


def test_a_full_window_hides_nobody_that_the_day_is_over() -> None:
    ledger, _ = decide(Ledger(), [Ask(Need.BULK, 600)] * 20, NOW, TERMS)
    refused = verdict(ledger, BULK)
    assert isinstance(refused, Refused)
    assert (refused.shut, refused.until) == (Shut.DAILY, MIDNIGHT)
    assert isinstance(verdict(ledger, LIVE), Wait)


@pytest.mark.parametrize(("shut", "problem"), [(Shut.DAILY, BudgetExhausted), (Shut.BLOCKED, BlockedByPipedrive)])
def test_while_an_account_is_shut_all_are_told_until_when(shut: Shut, problem: type[Any]) -> None:
    ledger = Ledger().refused(shut, 100, NOW)
    for ask in (LIVE, SWEEP, BULK):
        refused = verdict(ledger, ask, NOW + 99)
        assert isinstance(refused, Refused)
        told = refused.problem()
        assert isinstance(told, problem)
        assert told.until == NOW + 100


def test_after_a_burst_all_go_on_by_themselves() -> None:
    ledger = Ledger().refused(Shut.BURST, 3, NOW)
    assert verdict(ledger, LIVE, NOW + 1) == Wait(2)
    assert isinstance(verdict(ledger, LIVE, NOW + 3), Granted)


def test_one_finds_out_whether_an_account_may_be_asked_again() -> None:
    ledger, verdicts = decide(Ledger().refused(Shut.DAILY, 100, NOW), [LIVE, BULK], NOW + 100, TERMS)
    assert [isinstance(one, Granted) and one.probe for one in verdicts] == [True, False]
    assert ledger.budget.total == WHO_AM_I.cost
    # Nobody else, in whatever process, until it is answered.
    assert isinstance(verdict(ledger, LIVE, NOW + 101), Wait)
    granted = verdict(ledger.opened(), LIVE, NOW + 101)
    assert isinstance(granted, Granted)
    assert not granted.probe


def test_a_probe_that_is_never_answered_is_made_by_the_next() -> None:
    ledger, _ = decide(Ledger().refused(Shut.BLOCKED, 100, NOW), [LIVE], NOW + 100, TERMS)
    again = verdict(ledger, LIVE, NOW + 100 + PROBE_SECONDS)
    assert isinstance(again, Granted)
    assert again.probe


def test_a_probe_that_is_refused_shuts_again() -> None:
    ledger, _ = decide(Ledger().refused(Shut.DAILY, 100, NOW), [LIVE], NOW + 100, TERMS)
    assert isinstance(verdict(ledger.refused(Shut.DAILY, 900, NOW + 101), LIVE, NOW + 900), Refused)


def test_what_is_less_serious_does_not_shorten_what_is_more() -> None:
    blocked = Ledger().refused(Shut.BLOCKED, 1800, NOW)
    assert blocked.refused(Shut.BURST, 2, NOW) == blocked
    assert blocked.refused(Shut.BLOCKED, 60, NOW) == blocked
    assert Ledger().refused(Shut.BURST, 2, NOW).refused(Shut.DAILY, 900, NOW).shut is Shut.DAILY


def test_what_answers_tell_is_kept_whatever_their_order() -> None:
    news = [News(Quota(80, 79, 60_000, 59_000), 1), News(Quota(), 2)]
    ledger = Ledger().told(news, NOW)
    assert (ledger.window.limit, ledger.budget.limit, ledger.budget.left) == (80, 60_000, 59_000)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


async def settled() -> None:
    """All tasks have gone as far as they can without time passing."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_most_urgent_goes_first_whoever_came_first() -> None:
    clock = Clock()
    allowance = Allowance(InMemory(clock), TERMS, chance=lambda: 0.0)
    order: list[str] = []

    async def ask(name: str, need: Need) -> None:
        await allowance.take(need, 1)
        order.append(name)

    for number in range(20):
        await ask(f"before {number}", Need.BULK)
    waiting = [asyncio.create_task(ask(need.value, need)) for need in (Need.BULK, Need.SWEEP, Need.LIVE)]
    await settled()
    assert len(order) == 20
    clock.now += 3
    allowance.learn(Quota(21, 1), Granted(20))  # news of the limit wakes who waits
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert order[20:] == ["live", "sweep", "bulk"]
    await allowance.aclose()


async def test_a_limit_that_turns_out_higher_is_used_at_once() -> None:
    allowance = Allowance(InMemory(Clock()), TERMS)  # its time stands still
    granted = await allowance.take(Need.BULK, 1)
    asking = [asyncio.create_task(allowance.take(Need.BULK, 1)) for _ in range(100)]
    await settled()
    assert sum(task.done() for task in asking) == 19
    allowance.learn(Quota(480, 479), granted)
    await asyncio.wait_for(asyncio.gather(*asking), 5)
    await allowance.aclose()


async def test_those_who_wait_share_one_look_into_the_books() -> None:
    class Counted(InMemory):
        amended = 0

        async def amend(self, change: Change[T]) -> T:
            self.amended += 1
            return await super().amend(change)

    books = Counted(Clock())
    allowance = Allowance(books, TERMS)
    await asyncio.gather(*(allowance.take(Need.BULK, 1) for _ in range(20)))
    assert books.amended == 1


async def test_who_gives_up_while_waiting_disturbs_nobody() -> None:
    clock = Clock()
    allowance = Allowance(InMemory(clock), TERMS, chance=lambda: 0.0)
    await asyncio.gather(*(allowance.take(Need.BULK, 1) for _ in range(20)))
    waiting = [asyncio.create_task(allowance.take(Need.BULK, 1)) for _ in range(3)]
    await settled()
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    clock.now += 3
    allowance.learn(Quota(21, 1), Granted(20))
    await asyncio.wait_for(asyncio.gather(*waiting[1:]), 5)
    await allowance.aclose()


async def test_the_end_of_the_day_is_a_problem_for_each_that_asks_and_not_for_the_others() -> None:
    allowance = Allowance(InMemory(Clock()), Terms(daily=1000))
    await allowance.take(Need.BULK, 390)
    for _ in range(2):
        with pytest.raises(BudgetExhausted) as problem:
            await allowance.take(Need.BULK, 20)
        assert problem.value.until == MIDNIGHT
    assert await allowance.take(Need.LIVE, 20) == Granted(known=2)


async def test_books_out_of_reach_are_told_to_all_and_opened_again_for_the_next() -> None:
    class Torn(InMemory):
        torn = True

        async def amend(self, change: Change[T]) -> T:
            if self.torn:
                raise DatabaseUnavailable("gone")
            return await super().amend(change)

    books = Torn(Clock())
    allowance = Allowance(books, TERMS)
    results = await asyncio.gather(*(allowance.take(Need.LIVE, 1) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [DatabaseUnavailable] * 3
    books.torn = False
    assert await allowance.take(Need.LIVE, 1) == Granted(known=1)


async def test_at_the_end_nobody_is_left_waiting() -> None:
    allowance = Allowance(InMemory(Clock()), TERMS)
    waiting = [asyncio.create_task(allowance.take(Need.BULK, 1)) for _ in range(25)]
    await settled()
    await allowance.aclose()
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert sum(isinstance(result, asyncio.CancelledError) for result in results) == 5
