"""Lag: from when to when, by entity, and whose clock is wrong."""

from rig.events import COMPANY, START, event, v2_body

from runtime.measurements import CLOCK_AHEAD, EVENT_TO_ROW_SECONDS, RECEIPT_TO_ROW_SECONDS
from runtime.metrics import Metrics
from schema.event import Event
from worker.applying.lag import TOLD_FOR, LagWatch

SECOND = 1_000_000
NOW = START / SECOND


def happened(entity: str, ago: float, received_ago: float) -> Event:
    body = v2_body(entity, 1, START - int(ago * SECOND), {"name": "x"})
    return event(body, COMPANY, START - int(received_ago * SECOND))


class Watched:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.now = NOW
        self.watch = LagWatch(self.metrics, lambda: self.now)

    def total(self, metric: object, entity: str) -> float:
        text = self.metrics.render().decode()
        [line] = [line for line in text.splitlines() if line.startswith(f'{metric}_sum{{entity="{entity}"}}')]
        return float(line.rpartition(" ")[2])


def test_each_lag_counts_from_its_own_beginning_and_by_entity() -> None:
    watched = Watched()
    watched.watch.committed([happened("deal", 5, 2), happened("person", 7, 3), happened("deal", 1, 1)])

    assert watched.metrics.value(EVENT_TO_ROW_SECONDS, "deal") == 2
    assert watched.total(EVENT_TO_ROW_SECONDS.name, "deal") == 6
    assert watched.total(RECEIPT_TO_ROW_SECONDS.name, "deal") == 3
    assert watched.total(EVENT_TO_ROW_SECONDS.name, "person") == 7
    assert list(watched.watch.conditions()) == []


def test_entities_that_pipedrive_invents_are_one_label() -> None:
    """Names come from outside: one label each would be as many series as somebody likes."""
    watched = Watched()
    watched.watch.committed([happened(f"gadget{number}", 1, 1) for number in range(50)])
    assert watched.metrics.value(EVENT_TO_ROW_SECONDS, "unknown") == 50


def test_a_clock_that_is_ahead_is_counted_told_and_no_negative_lag() -> None:
    watched = Watched()
    watched.watch.committed([happened("deal", -20, 1), happened("deal", 3, -0.2)])

    assert watched.metrics.value(CLOCK_AHEAD, "pipedrive") == 1
    assert watched.metrics.value(CLOCK_AHEAD, "receiver") == 1
    assert watched.total(EVENT_TO_ROW_SECONDS.name, "deal") == 3
    [told] = watched.watch.conditions()
    assert (told.code, told.blocking) == ("clock_skew", False)
    assert "pipedrive is 20.0 s ahead" in told.reason

    watched.now += TOLD_FOR
    assert list(watched.watch.conditions()) == []


def test_a_wrong_clock_is_forgotten_also_when_it_was_set_back_meanwhile() -> None:
    watched = Watched()
    watched.watch.committed([happened("deal", -20, 1)])
    watched.now -= 3_600
    assert list(watched.watch.conditions()) == []


def test_an_event_without_a_time_of_its_own_has_only_our_share_of_the_lag() -> None:
    watched = Watched()
    found = event(v2_body("gadget", 1, START, {"name": "x"}, timestamp=None), COMPANY, START - SECOND)
    assert found.occurred_at is None
    watched.watch.committed([found])
    assert watched.metrics.value(EVENT_TO_ROW_SECONDS, "unknown") in {None, 0}
    assert watched.metrics.value(RECEIPT_TO_ROW_SECONDS, "unknown") == 1
