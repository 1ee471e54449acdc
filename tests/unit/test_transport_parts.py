"""The pure parts of the transports: waits, turns, and acks with few frames."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.amqp.unacked import Unacked
from runtime.backoff import Backoff
from runtime.rotation import Rotation


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(first=0.1, cap=1.0)
    assert [backoff.delay(attempt, lambda: 0.0) for attempt in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_jitter_cuts_a_wait_by_up_to_half() -> None:
    assert Backoff(first=2.0).delay(0, lambda: 1.0) == 1.0


def test_a_very_long_outage_overflows_nothing() -> None:
    assert Backoff(cap=10.0).delay(1_000_000, lambda: 0.0) == 10.0


def test_lines_take_turns_and_each_keeps_its_order() -> None:
    rotation: Rotation[str] = Rotation()
    for item in ("a1", "a2", "a3", "b1", "c1", "c2"):
        rotation.add(item[0], item)
    assert [rotation.take() for _ in range(7)] == ["a1", "b1", "c1", "a2", "c2", "a3", None]


def test_a_line_that_comes_back_waits_its_turn() -> None:
    rotation: Rotation[str] = Rotation()
    rotation.add("a", "a1")
    rotation.add("b", "b1")
    rotation.take()
    rotation.add("a", "a2")
    assert [rotation.take(), rotation.take()] == ["b1", "a2"]


def test_clearing_returns_what_was_left() -> None:
    rotation: Rotation[str] = Rotation()
    rotation.add("a", "a1")
    rotation.add("b", "b1")
    assert sorted(rotation.clear()) == ["a1", "b1"]
    assert rotation.take() is None


def outstanding(*tags: int) -> Unacked:
    unacked = Unacked()
    for tag in tags:
        unacked.delivered(tag)
    return unacked


def test_a_finished_beginning_is_one_ack_and_the_rest_go_one_by_one() -> None:
    assert outstanding(1, 2, 3, 4, 5, 6).settle([2, 1, 3, 6, 5]) == [(3, True), (5, False), (6, False)]


def test_without_the_first_delivery_nothing_is_acknowledged_with_others() -> None:
    assert outstanding(1, 2, 3).settle([2, 3]) == [(2, False), (3, False)]


def test_a_tag_is_acknowledged_once() -> None:
    unacked = outstanding(1, 2)
    assert unacked.settle([1, 1]) == [(1, True)]
    assert unacked.settle([1]) == []


@given(
    st.integers(0, 30).flatmap(lambda n: st.lists(st.lists(st.integers(1, n + 2)), max_size=8).map(lambda a: (n, a)))
)
def test_a_broker_that_obeys_the_acks_has_exactly_the_rest(plan: tuple[int, list[list[int]]]) -> None:
    """The broker refuses an ack whose own tag is not outstanding: that would close the channel."""
    number, acks = plan
    unacked = outstanding(*range(1, number + 1))
    broker = set(range(1, number + 1))
    for tags in acks:
        expected = broker - set(tags)
        for tag, multiple in unacked.settle(tags):
            assert tag in broker
            broker -= {other for other in broker if other <= tag} if multiple else {tag}
        assert broker == expected
        assert len(unacked) == len(expected)
