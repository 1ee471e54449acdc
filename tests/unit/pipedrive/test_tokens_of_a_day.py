"""What of an account's tokens we may spend, and for what."""

import pytest

from pipedrive.budget import Budget, Need, Terms
from pipedrive.quota import DAY, Quota

NOW = 1_795_348_800.0
TERMS = Terms(share=0.5)


def spent(budget: Budget, need: Need, terms: Terms, cost: int = 10) -> int:
    """Tokens that this need gets until it gets no more."""
    total = 0
    while not budget.lacks(need, cost, terms):
        budget = budget.paid(need, cost)
        total += cost
        assert total < 10**7
    return total


def test_a_share_of_the_smallest_plan_is_ours_and_each_need_leaves_a_part_to_what_is_more_urgent() -> None:
    budget = Budget().at(NOW)
    assert spent(budget, Need.LIVE, TERMS) == 15_000
    assert spent(budget, Need.SWEEP, TERMS) == 14_250
    assert spent(budget, Need.BULK, TERMS) == 12_000


def test_what_bulk_has_left_is_there_for_live_needs() -> None:
    budget = Budget().at(NOW).paid(Need.BULK, 12_000)
    assert budget.lacks(Need.BULK, 10, TERMS)
    assert spent(budget, Need.LIVE, TERMS) == 3_000


@pytest.mark.parametrize(
    ("seats", "terms", "told", "daily"),
    [
        (1, Terms(), None, 30_000),
        (10, Terms(), None, 300_000),
        (0, Terms(), None, 30_000),
        (10, Terms(daily=90_000), None, 90_000),
        (10, Terms(daily=90_000), 150_000, 150_000),
    ],
)
def test_what_is_told_counts_then_what_is_set_then_what_is_certain(
    seats: int, terms: Terms, told: int | None, daily: int
) -> None:
    assert Budget(seats=seats).told(Quota(tokens_limit=told)).daily(terms) == daily


def test_work_stops_before_the_account_is_empty_whoever_emptied_it() -> None:
    budget = Budget().at(NOW).told(Quota(tokens_limit=30_000, tokens_left=3_100))
    assert spent(budget, Need.BULK, TERMS) == 100
    assert spent(budget, Need.SWEEP, TERMS) == 1_600
    assert spent(budget, Need.LIVE, TERMS) == 2_500


def test_what_was_told_ages_with_what_we_spend() -> None:
    budget = Budget().at(NOW).told(Quota(tokens_limit=30_000, tokens_left=3_100)).paid(Need.LIVE, 60)
    assert spent(budget, Need.BULK, TERMS) == 40
    assert spent(budget.told(Quota(tokens_left=3_100)), Need.BULK, TERMS) == 100


def test_a_limit_of_nothing_is_not_believed() -> None:
    budget = Budget().at(NOW).told(Quota(tokens_limit=0, tokens_left=0))
    assert (budget.daily(TERMS), budget.lacks(Need.BULK, 10, TERMS)) == (30_000, "")


def test_sweeps_are_so_far_apart_that_they_spend_a_third_of_our_share() -> None:
    of_one_seat = Budget().apart(180, Terms(0.5))
    assert round(DAY / of_one_seat) == round(15_000 / 3 / 180)
    assert Budget(seats=4).apart(180, Terms(0.5)) < 900
    assert Budget().apart(0, Terms(0.0)) == 0


def test_a_new_day_has_its_tokens_and_keeps_what_was_told_of_the_limit() -> None:
    budget = Budget().at(NOW).told(Quota(tokens_limit=60_000, tokens_left=10)).paid(Need.BULK, 1_000)
    assert budget.lacks(Need.LIVE, 1, TERMS)
    assert budget.at(NOW + DAY / 2 - 1) == budget
    renewed = budget.at(NOW + DAY)
    assert (renewed.total, renewed.left, renewed.limit) == (0, None, 60_000)
    assert not renewed.lacks(Need.BULK, 10, TERMS)


def test_why_a_request_may_not_be_paid_is_told() -> None:
    assert Budget().paid(Need.BULK, 12_000).lacks(Need.BULK, 1, TERMS) == (
        "12000 of our 15000 tokens of today are spent, the rest is for what is more urgent"
    )
    low = Budget().told(Quota(tokens_limit=30_000, tokens_left=100))
    assert low.lacks(Need.LIVE, 1, TERMS) == "only 100 of the account's tokens of today are left, by whomever spent"
