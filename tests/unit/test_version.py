"""Versions: which of two assertions is newer. Their total order is proved in tests/property/test_fold.py."""

from itertools import permutations, product

import pytest

from schema.version import (
    CHANGE,
    CREATE,
    DELETE,
    LATEST,
    SETTLED,
    Version,
    explains,
    is_read,
    moment,
    newer,
    of_absence,
    of_event,
    of_read,
)

AT = 1_772_625_605_426_000
SECOND = 1_000_000
UPDATED = AT // SECOND
TIE, LATER_TIE = "0" * 16, "f" * 16


def event(at: int = AT, rank: int = CHANGE, tie: str = TIE, updated: int | None = UPDATED) -> Version:
    return of_event(at, rank, tie, updated)


def gone(updated: int, began: int) -> Version:
    return of_absence(of_read(updated, 0), began)


def test_a_version_is_text_that_people_can_read() -> None:
    assert event(rank=DELETE) == "01772625605426000.2.0000000000000000.1772625605"
    assert event(updated=None) == "01772625605426000.1.0000000000000000."
    assert of_read(UPDATED, AT) == "r01772625605.01772625605426000"
    assert of_read(None, AT) == "r00000000000.01772625605426000"
    assert gone(UPDATED, AT) == "r01772625605.01772625605426000-"


@pytest.mark.parametrize(
    ("older", "younger"),
    [
        pytest.param(event(AT), event(AT + 1), id="time decides"),
        pytest.param(event(AT, DELETE, LATER_TIE), event(AT + 1, CREATE), id="time decides before rank and content"),
        pytest.param(event(9 * SECOND), event(10 * SECOND), id="numbers of different length"),
        pytest.param(event(AT), event(LATEST), id="the last moment"),
        pytest.param(event(rank=CREATE), event(rank=CHANGE), id="change beats create"),
        pytest.param(event(rank=CHANGE), event(rank=DELETE), id="delete beats change"),
        pytest.param(event(rank=CHANGE, tie=LATER_TIE), event(rank=DELETE), id="rank decides before content"),
        pytest.param(event(tie=TIE), event(tie=LATER_TIE), id="content decides the rest"),
        pytest.param(event(updated=UPDATED + 9), event(AT + 1, updated=UPDATED - 9), id="update_time orders no events"),
        pytest.param(of_read(UPDATED, AT), of_read(UPDATED + 1, AT - 9), id="reads: update_time first"),
        pytest.param(of_read(UPDATED, AT), of_read(UPDATED, AT + 1), id="reads: then the clock"),
        pytest.param(of_read(None, AT + 9), of_read(UPDATED, AT), id="reads: without update_time is oldest"),
        pytest.param(event(), of_read(UPDATED + 1, 0), id="a read that saw a later change"),
        pytest.param(
            of_read(UPDATED - 1, AT + 10 * SETTLED), event(), id="a read that saw an earlier state, however late"
        ),
        pytest.param(of_read(UPDATED, AT + SETTLED), event(), id="of one second: a read within replica lag"),
        pytest.param(event(), of_read(UPDATED, AT + SETTLED + 1), id="of one second: a read after it"),
        pytest.param(of_read(None, AT + SETTLED), event(), id="no update_time: the clock decides"),
        pytest.param(event(), of_read(None, AT + SETTLED + 1), id="no update_time: a later read"),
        pytest.param(event(updated=None), of_read(UPDATED, AT + SETTLED + 1), id="an event that tells none"),
        pytest.param(event(), gone(UPDATED - 9, AT + SETTLED + 1), id="gone: what happened before, known or not"),
        pytest.param(event(updated=UPDATED - 1), gone(UPDATED, AT), id="gone: what was known, however soon"),
        pytest.param(gone(UPDATED, AT + SETTLED), event(), id="gone: not what may have happened since"),
        pytest.param(of_read(UPDATED, AT), gone(UPDATED, AT + 1), id="gone: what was read before"),
        pytest.param(
            of_read(UPDATED + 9, AT), gone(UPDATED, AT + SETTLED + 1), id="gone: what was read before, known or not"
        ),
        pytest.param(gone(UPDATED, AT), of_read(UPDATED, AT + 1), id="gone, and there again"),
        pytest.param(
            gone(UPDATED + 9, AT), event(AT + 9 * SECOND, updated=UPDATED + 5), id="gone: what is known and was later"
        ),
    ],
)
def test_the_newer_assertion_wins(older: Version, younger: Version) -> None:
    assert newer(younger, older)
    assert not newer(older, younger)


def test_anything_is_newer_than_nothing_and_nothing_newer_than_itself() -> None:
    for version in (event(), of_read(UPDATED, AT)):
        assert newer(version, None)
        assert not newer(version, version)


def test_events_order_as_text_so_that_the_database_may_order_them_too() -> None:
    told = [
        event(at, rank, tie)
        for at, rank, tie in product((SECOND, AT, LATEST), (CREATE, CHANGE, DELETE), (TIE, LATER_TIE))
    ]
    assert told == sorted(told)
    for one, other in permutations(told, 2):
        assert newer(one, other) == (one > other)


def test_the_moment_of_a_version_is_when_the_change_happened() -> None:
    assert moment(event()) == AT
    assert moment(of_read(UPDATED, AT + 99)) == UPDATED * SECOND
    assert moment(of_read(None, AT)) == AT
    assert moment(gone(UPDATED, AT)) == AT, "its last update was before"


def test_reads_are_told_from_events() -> None:
    assert is_read(of_read(None, 0))
    assert not is_read(event())


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        pytest.param(of_read(UPDATED, AT - SECOND), True, id="it saw this very change, before the event came"),
        pytest.param(of_read(UPDATED - 1, AT + SECOND), False, id="it saw the state before"),
        pytest.param(of_read(UPDATED + 1, AT + SECOND), False, id="it saw a later change"),
        pytest.param(of_read(None, AT), True, id="no update_time: it began after the event"),
        pytest.param(of_read(None, AT - 1), False, id="no update_time: it began before the event"),
    ],
)
def test_an_event_explains_the_read_that_saw_its_change(read: Version, expected: bool) -> None:
    assert explains(event(), read) is expected
