"""Waits that grow, and words that are not said each time."""

from runtime.backoff import Backoff, Repeated, Seldom


def test_waits_double_up_to_a_cap_and_are_cut_by_chance() -> None:
    backoff = Backoff(first=0.1, cap=1.0)
    assert [backoff.delay(attempt, lambda: 0.0) for attempt in range(5)] == [0.1, 0.2, 0.4, 0.8, 1.0]
    assert backoff.delay(10_000, lambda: 0.5) == 0.75


def test_the_same_is_told_again_only_after_a_while() -> None:
    now = 0.0
    seldom = Seldom(60, lambda: now)
    assert [seldom.due("a"), seldom.due("a"), seldom.due("b")] == [True, False, True]
    now = 59.9
    assert not seldom.due("a")
    now = 60.0
    assert [seldom.due("a"), seldom.due("a"), seldom.due("b")] == [True, False, True]


def test_words_of_long_ago_are_not_kept() -> None:
    now = 0.0
    seldom = Seldom(60, lambda: now)
    for number in range(1000):
        now = number * 30.0
        seldom.due(str(number))
    assert len(seldom._next) <= 3


def test_what_was_not_told_is_counted_in_what_is() -> None:
    now = 0.0
    repeated = Repeated(60, lambda: now)
    assert [repeated.due("a"), repeated.due("a"), repeated.due("b"), repeated.due("a")] == [1, 0, 1, 0]
    now = 60.0
    assert [repeated.due("a"), repeated.due("b"), repeated.due("a")] == [3, 1, 0]
