"""On which days which lists are compared, and what reading them costs at least."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from schema.entities import BY_NAME, ENTITIES
from worker.healing.jobs import JOBS
from worker.healing.order import lists
from worker.healing.price import least
from worker.healing.windows import DAYS, is_due

EVERYTHING = {entity.name: (entity, listings) for entity, listings in lists(ENTITIES, frozenset(BY_NAME))}
DEALS, FOLLOWERS, PRODUCTS = (EVERYTHING[name] for name in ("deal", "deal_follower", "deal_product"))


def days_of_four_weeks() -> Counter[str]:
    begin = datetime(2026, 11, 2, tzinfo=UTC)
    days = [begin + timedelta(days=day) for day in range(28)]
    return Counter(name for name, one in EVERYTHING.items() for day in days if is_due(*one, day))


def test_what_can_be_compared_in_parts_or_is_short_has_its_turn_every_day() -> None:
    turns = days_of_four_weeks()
    assert {turns[name] for name in ("deal", "person", "stage", "currency")} == {28}
    assert DAYS > 28


def test_what_costs_a_call_for_each_parent_has_its_turn_once_a_week() -> None:
    turns = days_of_four_weeks()
    dear = {name for name, (entity, listings) in EVERYTHING.items() if all(one.opt_in for one in listings)}
    compared = {name for name in dear if not EVERYTHING[name][0].log}
    assert "deal_follower" in compared
    assert {turns[name] for name in compared} == {4}


def test_what_has_a_job_of_its_own_or_never_changes_has_no_turn() -> None:
    turns = days_of_four_weeks()
    assert not {"deal_field", "deal_change"} & turns.keys()


def test_children_cost_calls_for_those_parents_alone_that_say_they_have_some() -> None:
    rows = {"deals": 1_000, "deal_followers": 40}
    [listing] = FOLLOWERS[1]
    assert listing.parent is not None
    parents = {("deal", listing.parent.counter): 30}
    assert least([FOLLOWERS], rows, parents) == 30 * listing.cost
    assert least([FOLLOWERS], rows, {}) == listing.cost, "of none that are known: for the rows there are"


def test_children_of_many_parents_at_once_cost_a_call_for_as_many() -> None:
    [listing] = PRODUCTS[1]
    assert listing.parent is not None
    parents = {("deal", listing.parent.counter): 3 * listing.parent.batch + 1}
    assert least([PRODUCTS], {}, parents) == 4 * listing.cost
    assert least([PRODUCTS], {"deal_products": 6 * listing.limit}, parents) == 6 * listing.cost


def test_a_list_costs_a_call_for_each_page_and_one_if_it_is_empty() -> None:
    entity, listings = DEALS
    one = replace(listings[0], parent=None)
    assert least([(entity, [one])], {}, {}) == one.cost
    assert least([(entity, [one])], {"deals": 501}, {}) == 2 * one.cost


def test_definitions_and_what_differs_are_looked_for_daily_changes_and_the_webhook_much_more_often() -> None:
    every = {job.name: job.every for job in JOBS}
    assert every["definitions"] == every["reconcile"] == timedelta(days=1)
    assert every["sweep"] == timedelta(minutes=15)
    assert every["subscription"] == timedelta(minutes=30)
    assert every["reconcile whole"] is None, "on demand"
