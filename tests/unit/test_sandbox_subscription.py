"""Pipedrive's rules for a webhook that fails, and the booking of what is lost."""

import dataclasses
import random
from itertools import count

import pytest

from sandbox.cloud import Company
from sandbox.events import Event
from sandbox.ledger import Counters, Ledger
from sandbox.mischief import Mischief
from sandbox.subscription import BAN, PATIENCE, Subscription

START = 1_795_000_000_000_000


def fail(subscription: Subscription, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        subscription.failed(now, 1)


def test_ten_failed_first_attempts_ban_for_half_an_hour() -> None:
    subscription = Subscription(0.0)
    fail(subscription, 9)
    assert subscription.admits(1)
    fail(subscription, 1)
    assert not subscription.admits(1)
    assert not subscription.admits(1_799)
    assert subscription.admits(1_800)
    assert subscription.bans == 1


def test_after_a_ban_ten_more_are_needed() -> None:
    subscription = Subscription(0.0)
    fail(subscription, 10)
    assert subscription.admits(BAN)
    fail(subscription, 9, BAN)
    assert subscription.admits(BAN)
    fail(subscription, 1, BAN)
    assert not subscription.admits(BAN)


def test_failed_retries_do_not_count() -> None:
    subscription = Subscription(0.0)
    for attempt in (2, 3, 4) * 10:
        subscription.failed(0, attempt)
    assert subscription.admits(1)


def test_a_success_does_not_take_strikes_back() -> None:
    subscription = Subscription(0.0)
    fail(subscription, 9)
    subscription.succeeded(1)
    fail(subscription, 1, 2)
    assert not subscription.admits(3)


def test_three_days_without_success_delete_the_webhook_for_good() -> None:
    subscription = Subscription(0.0)
    assert subscription.admits(PATIENCE - 1)
    subscription.succeeded(100)
    assert subscription.admits(PATIENCE + 99)
    assert not subscription.admits(PATIENCE + 100)
    assert subscription.deleted
    subscription.succeeded(PATIENCE + 101)
    assert not subscription.admits(PATIENCE + 102)


def test_time_can_be_scaled() -> None:
    subscription = Subscription(0.0, scale=0.001)
    fail(subscription, 10)
    assert not subscription.admits(1.7)
    assert subscription.admits(1.8)


@pytest.fixture
def events() -> list[Event]:
    ticks = count(START, 400_000)
    company = Company(random.Random(1), 7, lambda: next(ticks))
    created = company.announce()[-1]
    return [created, company.set(created.entity, created.id, {"title": "a"})]


def test_a_lost_event_unsettles_its_record_until_a_later_one_arrives(events: list[Event]) -> None:
    first, second, *_ = events
    ledger = Ledger()
    ledger.lose(first, "dropped")
    assert ledger.unsettled() == {(first.entity, first.id)}
    ledger.acked(second)
    assert ledger.unsettled() == frozenset()


def test_an_earlier_event_does_not_make_up_for_a_later_one(events: list[Event]) -> None:
    first, second, *_ = events
    ledger = Ledger()
    ledger.lose(second, "gave_up")
    ledger.acked(first)
    assert ledger.unsettled() == {(first.entity, first.id)}


def test_a_lost_delete_is_not_made_up_for_by_the_change_of_the_same_instant() -> None:
    ticks = count(START, 400_000)
    company = Company(random.Random(1), 7, lambda: next(ticks), same_instant=1.0)
    changed, gone = company.set("deal", 1, {"title": "a"}), company.delete("deal", 1, again=True)
    ledger = Ledger()
    ledger.acked(changed)
    ledger.lose(gone, "dropped")
    assert changed.at == gone.at
    assert ledger.unsettled() == {("deal", 1)}


def test_where_events_tell_only_changes_nothing_makes_up_for_a_lost_one(events: list[Event]) -> None:
    first, second, *_ = events
    ledger = Ledger(whole_states=False)
    ledger.lose(first, "dropped")
    ledger.acked(second)
    assert ledger.unsettled() == {(first.entity, first.id)}


@pytest.mark.parametrize("seed", range(6))
def test_a_lost_merge_unsettles_the_loser_too_whichever_of_both_happened_first(seed: int) -> None:
    ticks = count(START, 400_000)
    events = Company(random.Random(seed), 7, lambda: next(ticks), deals=5).merge("person", 1, 2)
    won = next(event for event in events if event.loser is not None)
    gone = next(event for event in events if event.merged_to is not None)
    ledger = Ledger()
    ledger.lose(won, "banned")
    ledger.acked(gone)
    assert ledger.unsettled() == {("person", 1), ("person", 2)}
    assert (ledger.counters.lost, ledger.counters.banned) == (1, 1)


def test_a_percentile_is_absent_until_something_was_measured() -> None:
    counters = Counters()
    assert counters.percentile(0.5) is None
    counters.response_seconds.extend(n / 100 for n in range(100))
    assert counters.percentile(0.5) == 0.5
    assert counters.percentile(1) == 0.99


def test_a_share_of_v1_decides_which_versions_are_subscribed_to() -> None:
    assert Mischief().versions == {"v2"}
    assert Mischief(v1=1).versions == {"v1"}
    assert dataclasses.replace(Mischief(), v1=0.2).versions == {"v1", "v2"}
