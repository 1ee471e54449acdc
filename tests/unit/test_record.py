"""A record and its row: what is stored is loaded again, also by a release with more columns."""

from dataclasses import replace
from typing import Any

from schema.change import Change
from schema.columns import TIMESTAMP, parse_time
from schema.entities import BY_NAME, Entity, event
from schema.reading import existence
from schema.record import Record, fold, load, row
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
