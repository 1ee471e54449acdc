"""Loading an account: a record's first row is the same whether it is read by a plan or folded."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schema.entities import HEARD
from schema.entity import Entity
from schema.errors import BadContent
from schema.fresh import _folded, fresh
from schema.rest import Answer, Row

HASHES = ("a" * 40, "b" * 40, "c" * 40)
TYPES = {HASHES[0]: "enum", HASHES[1]: "daterange"}
NOW = datetime(2026, 5, 27, tzinfo=UTC)
LEAD_ID = "5b3fe4a0-1b7d-11ee-8f5c-5f1e2a3b4c5d"

VALUES: dict[str, list[Any]] = {
    "bigint": [None, 7, "8", {"id": 9}, {"value": 10}, "no number", 2**70],
    "integer": [None, 0, "3", 2**40],
    "smallint": [None, "3", 7],
    "numeric": [None, 1, 2.5, "3.25", "", True],
    "text": [None, "", "text", 5, ["a"]],
    "boolean": [None, True, 0, "1"],
    "timestamptz": [None, "2026-01-02T03:04:05Z", "2026-01-02 03:04:05", "", "no time"],
    "date": [None, "2026-01-02", "0000-00-00"],
    "interval": [None, "01:30", ""],
    "uuid": [None, LEAD_ID, ""],
    "bigint[]": [None, [], [1, 2], "3,4"],
    "uuid[]": [None, [], [LEAD_ID]],
    "jsonb": [None, {"value": "x"}, [1], "line"],
}

custom_values = st.sampled_from([None, 5, "6", "text", "", {"value": "2026-01-01", "until": None}, {"value": None}])
pairs = [(Answer(entity, 1_780_000_000_000_000, "backfill", TYPES)) for entity in HEARD.values()]


def value(draw: st.DrawFn, kind: str) -> Any:
    """Mostly null: with fifty columns one that cannot be read would else always be among them."""
    return draw(st.sampled_from(VALUES[kind])) if draw(st.integers(0, 9)) == 0 else VALUES[kind][0]


@st.composite
def rows(draw: st.DrawFn, entity: Entity) -> Row:
    names = [column.name for column in entity.columns]
    left_out = draw(st.sets(st.sampled_from(names), max_size=3)) if draw(st.booleans()) else set()
    row: dict[str, Any] = {"id": LEAD_ID if entity.name == "lead" else draw(st.sampled_from([1, "2"]))}
    row |= {c.name: value(draw, c.type.sql) for c in entity.columns if c.name not in left_out}
    for column in entity.columns:
        if column.aliases and draw(st.integers(0, 19)) == 0:
            row[column.aliases[0]] = draw(st.sampled_from(VALUES[column.type.sql]))
    row |= draw(
        st.dictionaries(st.sampled_from(["new_key", "is_deleted", "active_flag", "address_country"]), st.booleans())
    )
    told = draw(st.dictionaries(st.sampled_from([*HASHES, "birthday"]), custom_values))
    if draw(st.booleans()):
        row["custom_fields"] = draw(st.sampled_from([told, told, None]))
    elif entity.flat_fields:
        row |= told
    return row


def outcome(read: Any, answer: Answer, row: Row) -> Any:
    try:
        return read(answer, row, NOW)
    except BadContent as problem:
        return problem.code, problem.reason


@settings(max_examples=400)
@given(st.data())
def test_a_row_read_by_a_plan_is_the_row_of_the_folded_change(data: st.DataObject) -> None:
    answer = data.draw(st.sampled_from(pairs))
    row = data.draw(rows(answer.entity))

    assert outcome(fresh, answer, row) == outcome(_folded, answer, row)
