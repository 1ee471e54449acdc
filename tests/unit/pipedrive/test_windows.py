"""How many requests may go within two seconds."""

from pipedrive.quota import Quota
from pipedrive.windows import LATE, LOWEST, MARGIN, SLICE, WINDOW, Window

NOW = 1_795_348_800.0


def filled(window: Window, now: float) -> Window:
    while window.free:
        window = window.taken(now)
    return window


def test_the_smallest_plan_is_assumed_until_more_is_told() -> None:
    assert Window().free == LOWEST
    assert Window().told(Quota(480, 479), known=1, now=NOW).free == 480


def test_a_full_window_opens_again_when_two_seconds_have_passed() -> None:
    full = filled(Window(), NOW)
    assert full.at(NOW + WINDOW).free == 0
    wait = full.wait(NOW)
    assert WINDOW <= wait <= WINDOW + MARGIN + SLICE + 1e-3
    assert full.at(NOW + wait + 1e-6).free == LOWEST


def test_the_state_does_not_grow_with_the_number_of_requests() -> None:
    window = Window(limit=10_000)
    for number in range(9000):
        window = window.taken(NOW + number / 4500)
    assert len(window.at(NOW + 2).ours) <= (WINDOW + MARGIN) / SLICE + 2


def test_requests_of_somebody_else_with_the_same_token_are_counted_once() -> None:
    window = filled(Window(limit=100), NOW)
    window = Window(limit=100, ours=window.ours[:0]).taken(NOW)
    for _ in range(10):  # each of the answers says the same
        window = window.told(Quota(100, 59), known=1, now=NOW + 0.1)
    assert window.free == 59
    assert window.at(NOW + 2.3).free == 100


def test_answers_that_overtake_each_other_are_not_taken_for_somebody_else() -> None:
    window = Window(limit=100).taken(NOW)
    assert window.told(Quota(100, 91), known=1, now=NOW).free == 99


def test_those_granted_after_a_request_and_counted_before_it_are_ours() -> None:
    """Of a small window a few are much."""
    window = Window()
    for _ in range(9):
        window = window.taken(NOW)
    assert window.told(Quota(LOWEST, LOWEST - 9), known=1, now=NOW).free == LOWEST - 9
    assert window.told(Quota(LOWEST, LOWEST - 9 - 5), known=1, now=NOW).free == LOWEST - 9 - 5, (
        "somebody else's are not"
    )


def test_what_comes_late_is_not_taken_for_somebody_else() -> None:
    window = filled(Window(), NOW).at(NOW + WINDOW + MARGIN + SLICE)
    assert (window.free, window.known) == (LOWEST, LOWEST)

    window = window.taken(NOW + WINDOW + MARGIN + SLICE)
    # Pipedrive has met half of those before just now, and counts them.
    assert window.told(Quota(LOWEST, 9), window.known, NOW + WINDOW + MARGIN + SLICE).free == LOWEST - 1
    assert window.at(NOW + WINDOW + MARGIN + SLICE + LATE).known == 1


def test_a_lower_limit_is_believed_too() -> None:
    window = filled(Window(limit=80), NOW).told(Quota(40, 0), known=80, now=NOW)
    assert (window.limit, window.free) == (40, 0)
    assert window.wait(NOW) > 0


def test_what_makes_no_sense_changes_nothing() -> None:
    window = Window().taken(NOW)
    assert window.told(Quota(), 1, NOW) == window
    assert window.told(Quota(0, 0), 1, NOW) == window
    assert window.told(Quota(10**9, None), 1, NOW).limit == 10_000


def test_a_clock_that_is_set_back_does_not_stop_the_work() -> None:
    full = filled(Window(), NOW)
    assert full.at(NOW - 3600).free == LOWEST
    assert full.at(NOW - 0.01).free == 0
