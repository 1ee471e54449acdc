"""Limits that hold whatever processes ask for, and whenever."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from pipedrive.budget import PARTS, Need, Terms
from pipedrive.ledger import Ask, Granted, Ledger, Refused, decide
from pipedrive.quota import DAY, Quota
from pipedrive.windows import WINDOW

NOW = 1_795_348_800.0

Step = tuple[float, list[Ask]]

asks = st.builds(Ask, st.sampled_from(Need), st.sampled_from([1, 2, 10, 20, 40]))
steps = st.lists(
    st.tuples(st.one_of(st.floats(0, 0.05), st.floats(0, 5)), st.lists(asks, max_size=40)), min_size=1, max_size=40
)


def granted(ledger: Ledger, schedule: Sequence[Step], terms: Terms) -> tuple[Ledger, list[tuple[float, Ask]]]:
    """When which request was granted. Each step may be of another process: they share nothing but the ledger."""
    now, found = NOW, []
    for pause, asked in schedule:
        now += pause
        ledger, verdicts = decide(ledger, asked, now, terms)
        found += [(now, ask) for ask, verdict in zip(asked, verdicts, strict=True) if isinstance(verdict, Granted)]
    return ledger, found


@settings(deadline=None)  # how long an example takes is up to the machine
@given(steps, st.integers(1, 60))
def test_no_two_seconds_hold_more_requests_than_the_limit(schedule: list[Step], limit: int) -> None:
    start = Ledger().told([], NOW)
    start, _ = decide(start, [], NOW, Terms())
    ledger = Ledger(window=start.window.told(Quota(limit), 0, NOW))
    _, found = granted(ledger, schedule, Terms(daily=10**9))
    for end, _ in found:
        assert sum(end - WINDOW < when <= end for when, _ in found) <= limit


@settings(deadline=None)  # how long an example takes is up to the machine
@given(steps, st.floats(0.01, 1), st.integers(1000, 5000))
def test_no_day_costs_more_than_our_share_and_what_is_urgent_keeps_its_part(
    schedule: list[Step], share: float, daily: int
) -> None:
    terms = Terms(share, daily)
    ledger = Ledger().told([], NOW)
    spent = 0
    for pause, asked in schedule:
        # Time enough for the window, so that the budget is what decides.
        ledger, found = granted(ledger, [(pause, [ask]) for ask in asked[:20]], terms)
        for _, ask in found:
            spent += ask.cost
            assert spent <= daily * share * PARTS[ask.need]


@settings(deadline=None)
@given(st.lists(asks, max_size=60), st.integers(0, 5000))
def test_what_others_have_spent_is_never_added_to_until_nothing_is_left(asked: list[Ask], left: int) -> None:
    ledger = Ledger().told([], NOW)
    ledger, _ = decide(ledger, [], NOW, Terms())
    ledger = Ledger(budget=ledger.budget.told(Quota(tokens_limit=30_000, tokens_left=left)))
    _, found = granted(ledger, [(0, asked)], Terms(share=1))
    assert not found or sum(ask.cost for _, ask in found) <= left - 600


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(1, 90_000), min_size=1, max_size=30))
def test_work_that_always_waits_as_told_always_goes_on(pauses: list[float]) -> None:
    """Who is refused comes back at the time he was told, and gets something then."""
    ledger, now, ask = Ledger(), NOW, Ask(Need.BULK, 5000)
    for pause in pauses:
        now += pause
        ledger, (verdict,) = decide(ledger, [ask], now, Terms())
        if isinstance(verdict, Refused):
            assert now < verdict.until <= now + DAY
            now = verdict.until
            ledger, (verdict,) = decide(ledger, [ask], now, Terms())
            assert isinstance(verdict, Granted)
