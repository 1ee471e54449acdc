"""Two plain objects of the worker: when a batch is full, and when the fault is ours."""

import pytest

from runtime.transport import Message
from schema.envelope import Envelope
from schema.errors import CompanyHeld
from worker.applying.breaker import Breaker, BreakerOpen
from worker.batch import Batch, Limits

LIMITS = Limits(events=3, messages=4, size=100, age=5.0)


def batch_of(*sizes: int) -> Batch:
    batch = Batch(LIMITS, began=10.0)
    for size in sizes:
        body = bytes(size)
        batch.add(Message(body, 0, "lane", given_up=False, tag=None), [Envelope(1, 0, body)])
    return batch


@pytest.mark.parametrize(
    ("sizes", "full"),
    [((), False), ((10, 10), False), ((10, 10, 10), True), ((60, 40), True)],
    ids=["empty", "partly full", "full of events", "full of bytes"],
)
def test_a_batch_is_full_by_events_or_bytes(sizes: tuple[int, ...], full: bool) -> None:
    assert batch_of(*sizes).full is full


def test_a_batch_is_old_after_its_time() -> None:
    assert [batch_of(10).is_old(now) for now in (10.0, 14.9, 15.0)] == [False, False, True]


def test_failures_of_many_records_within_the_window_open_the_breaker() -> None:
    breaker = Breaker(most=3, window=60.0)
    breaker.failed(1, "a", 0.0)
    breaker.failed(1, "b", 1.0)
    with pytest.raises(BreakerOpen):
        breaker.failed(1, "c", 2.0)


def test_failures_of_one_company_alone_hold_that_company_if_others_are_written() -> None:
    breaker = Breaker(most=3, window=60.0)
    breaker.written(2, 0.0)
    breaker.failed(1, "a", 1.0)
    breaker.failed(1, "b", 2.0)
    with pytest.raises(CompanyHeld, match="company 1: 3 records"):
        breaker.failed(1, "c", 3.0)
    with pytest.raises(CompanyHeld):
        breaker.failed(1, "c", 4.0)
    with pytest.raises(BreakerOpen):
        breaker.failed(2, "a", 5.0)


@pytest.mark.parametrize(("written", "at"), [(1, 2.0), (2, -60.0)], ids=["it alone", "others long ago"])
def test_without_a_sign_that_others_are_written_the_breaker_opens(written: int, at: float) -> None:
    breaker = Breaker(most=2, window=60.0)
    breaker.written(written, at)
    breaker.failed(1, "a", 1.0)
    with pytest.raises(BreakerOpen):
        breaker.failed(1, "b", 2.0)


def test_one_record_that_fails_again_and_again_does_not() -> None:
    breaker = Breaker(most=3, window=60.0)
    for second in range(50):
        breaker.failed(1, "a", float(second))


def test_failures_far_apart_do_not() -> None:
    breaker = Breaker(most=3, window=60.0)
    for number in range(20):
        breaker.failed(1, f"record {number}", number * 31.0)
