"""A record and its row: what is stored is loaded again, also by a release with more columns."""

from dataclasses import replace
from typing import Any

from schema.change import Change
from schema.columns import TIMESTAMP, parse_time
from schema.entities import BY_NAME
from schema.entity import Entity, event
from schema.reading import existence
from schema.record import Record, fold
from schema.row import load, row
from schema.version import of_event

DEAL = BY_NAME["deal"]
KEY = "seen_time"


def told(entity: Entity, cells: dict[str, Any], at: int) -> Change:
    return Change(entity, 1, of_event(at, 1, "0" * 16, None), cells | existence(entity, None))


def stored(cells: dict[str, Any]) -> dict[str, Any]:
    record = Record()
    fold(record, told(DEAL, cells, 1))
    return row(DEAL, record)


def upgraded() -> Entity:
    return replace(DEAL, columns=(*DEAL.columns, event(KEY, TIMESTAMP)))


def test_a_key_that_becomes_a_column_is_typed_like_one_when_its_row_is_loaded() -> None:
    old = stored({"title": "t", KEY: "2026-01-02T03:04:05Z", "other": 1}) | {KEY: None}

    record = load(upgraded(), old)
    fold(record, told(upgraded(), {"title": "u"}, 2))
    new = row(upgraded(), record)

    assert new[KEY] == parse_time("2026-01-02T03:04:05Z")
    assert new["_extra"] == {"other": 1}


def test_a_value_that_the_new_column_cannot_hold_is_null_in_it() -> None:
    record = load(upgraded(), stored({KEY: {"no": "time"}}) | {KEY: None})

    assert row(upgraded(), record)[KEY] is None


def test_a_version_of_a_column_that_only_a_later_release_has_is_no_obstacle() -> None:
    """It wrote the row, a worker of this release goes on with it."""
    later = Record()
    fold(later, told(upgraded(), {"title": "t", KEY: "2026-01-02T03:04:05Z"}, 1))
    fold(later, told(upgraded(), {"title": "u"}, 2))
    stored_later = row(upgraded(), later)
    assert KEY in stored_later["_versions"]

    record = load(DEAL, {name: value for name, value in stored_later.items() if name != KEY})
    assert fold(record, told(DEAL, {"title": "w", KEY: "2026-02-02T00:00:00Z"}, 3)).changed
    assert row(DEAL, record)["_extra"] == {KEY: "2026-02-02T00:00:00Z"}


def test_what_an_earlier_release_kept_of_a_late_event_is_not_believed_over_the_column() -> None:
    newer, older = parse_time("2026-03-03T00:00:00Z"), "2026-01-01T00:00:00Z"
    record = Record()
    fold(record, told(DEAL, {"title": "t"}, 2))
    fold(record, told(DEAL, {KEY: older}, 1))  # late; it does not see the column
    beside = row(DEAL, record) | {KEY: newer}

    assert row(upgraded(), load(upgraded(), beside))[KEY] == newer
    assert row(upgraded(), load(upgraded(), beside | {KEY: None}))[KEY] == parse_time(older)
