"""Column types: every form that a source is known to send, and what is refused because no column could hold it."""

import time
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from schema.columns import (
    ADDRESS,
    BIGINT,
    BIGINTS,
    BOOLEAN,
    DATE,
    DURATION,
    INTEGER,
    JSON,
    NUMERIC,
    SMALLINT,
    TEXT,
    TEXTS,
    TIME_OF_DAY,
    TIMESTAMP,
    UUID,
    UUIDS,
    Type,
    microseconds,
    parse_time,
    renamed_items,
    to_json,
)

LEAD = "5f0c9a10-17b2-11f1-9e21-6b3a1c7d2e40"
NOON = datetime(2026, 3, 4, 12, 0, 5, tzinfo=UTC)
ALL = [
    ADDRESS, BIGINT, BIGINTS, BOOLEAN, DATE, DURATION, INTEGER, JSON, NUMERIC, SMALLINT, TEXT, TEXTS,
    TIME_OF_DAY, TIMESTAMP, UUID, UUIDS,
]  # fmt: skip


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param("2026-03-04T12:00:05Z", NOON, id="v2 and REST v2"),
        pytest.param("2026-03-04T12:00:05.675Z", NOON.replace(microsecond=675_000), id="leads, with milliseconds"),
        pytest.param("2026-03-04 12:00:05", NOON, id="v1 and users: no zone means UTC"),
        pytest.param("2026-03-04 12:00:05.123456", NOON.replace(microsecond=123_456), id="v1 with microseconds"),
        pytest.param("2026-03-04T13:30:05+01:30", NOON, id="another zone"),
        pytest.param("2026-03-04", datetime(2026, 3, 4, tzinfo=UTC), id="a day alone"),
        pytest.param(1_772_625_605, NOON, id="unix seconds"),
        pytest.param("1772625605", NOON, id="unix seconds as text"),
        pytest.param(1_772_625_605_250, NOON.replace(microsecond=250_000), id="unix milliseconds"),
        pytest.param(1_772_625_605_250_001, NOON.replace(microsecond=250_001), id="unix microseconds"),
        pytest.param(1_772_625_605.5, NOON.replace(microsecond=500_000), id="unix seconds with a fraction"),
        pytest.param(-1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), id="before 1970"),
        pytest.param("", None, id="empty, as v1 writes a time that is not set"),
        pytest.param("0000-00-00 00:00:00", None, id="zero time"),
        pytest.param("0000-00-00", None, id="zero day"),
    ],
)
def test_a_time_is_read_in_every_format_pipedrive_has_sent(told: Any, expected: datetime | None) -> None:
    assert parse_time(told) == expected


@pytest.mark.parametrize(
    "told", ["yesterday", "2026-02-30T00:00:00Z", "12:00", True, ["2026-03-04"], {}, float("nan"), 10**19, "9" * 500]
)
def test_what_is_no_time_is_refused(told: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_time(told)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_a_time_without_a_zone_is_utc_wherever_the_process_runs(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", zone)
        time.tzset()
        found = parse_time("2026-03-04 12:00:05")
    time.tzset()
    assert found == NOON


def test_microseconds_are_exact_where_a_float_would_not_be() -> None:
    assert microseconds(datetime(5138, 11, 16, 9, 46, 39, 999_999, tzinfo=UTC)) == 99_999_999_999_999_999
    assert microseconds(datetime(2026, 3, 4, 14, 0, 5, tzinfo=timezone(timedelta(hours=2)))) == 1_772_625_605_000_000


@pytest.mark.parametrize(
    ("kind", "told", "expected"),
    [
        pytest.param(BIGINT, 14208771, 14208771, id="id"),
        pytest.param(BIGINT, "14208771", 14208771, id="id as text"),
        pytest.param(BIGINT, 14208771.0, 14208771, id="id as a float"),
        pytest.param(BIGINT, -(2**63), -(2**63), id="smallest bigint"),
        pytest.param(BIGINT, "", None, id="empty text"),
        pytest.param(BIGINT, False, None, id="PHP's false for none"),
        pytest.param(BIGINT, {"id": 7, "name": "Kari"}, 7, id="a user as an object"),
        pytest.param(BIGINT, {"id": 99, "value": 7, "name": "Kari"}, 7, id="v1 reference: value counts"),
        pytest.param(BIGINT, {"value": None}, None, id="reference to nobody"),
        pytest.param(SMALLINT, "3", 3, id="visible_to of events"),
        pytest.param(INTEGER, "-4", -4, id="negative as text"),
        pytest.param(NUMERIC, 0.1, Decimal("0.1"), id="decimals are those of the text"),
        pytest.param(NUMERIC, "-1250.750", Decimal("-1250.750"), id="number as text"),
        pytest.param(NUMERIC, 10**30, Decimal(10) ** 30, id="large number"),
        pytest.param(NUMERIC, "", None, id="no number"),
        pytest.param(BOOLEAN, 1, True, id="v1's one"),
        pytest.param(BOOLEAN, "0", False, id="v1's zero as text"),
        pytest.param(BOOLEAN, False, False, id="false"),
        pytest.param(BOOLEAN, "", None, id="neither"),
        pytest.param(TEXT, "ÅL-0001", "ÅL-0001", id="text"),
        pytest.param(TEXT, "", "", id="an empty text is a text"),
        pytest.param(TEXT, 15, "15", id="v1 category"),
        pytest.param(TEXT, {"ø": [1]}, '{"ø":[1]}', id="an object where text was"),
        pytest.param(DATE, "2024-02-29", date(2024, 2, 29), id="day"),
        pytest.param(DATE, "2024-02-29T10:00:00Z", date(2024, 2, 29), id="the day of a time"),
        pytest.param(DATE, "0000-00-00", None, id="zero day"),
        pytest.param(DATE, "", None, id="no day"),
        pytest.param(TIME_OF_DAY, "08:45:00", "08:45:00", id="REST"),
        pytest.param(TIME_OF_DAY, "08:45", "08:45:00", id="v1 without seconds"),
        pytest.param(TIME_OF_DAY, {"timezone_id": 318, "value": "08:45"}, "08:45:00", id="v2 event"),
        pytest.param(TIME_OF_DAY, {"timezone_id": None, "value": ""}, None, id="v2 event of an activity saved again"),
        pytest.param(TIME_OF_DAY, "", None, id="v1 without a time"),
        pytest.param(DURATION, "01:30", timedelta(hours=1, minutes=30), id="HH:MM"),
        pytest.param(DURATION, "26:00:05", timedelta(hours=26, seconds=5), id="more than a day"),
        pytest.param(DURATION, {"timezone_id": None, "value": "0:05"}, timedelta(minutes=5), id="v2 event"),
        pytest.param(DURATION, {"timezone_id": None, "value": ""}, None, id="v2 event without one"),
        pytest.param(UUID, LEAD.upper(), uuid.UUID(LEAD), id="uuid"),
        pytest.param(UUID, "", None, id="no uuid"),
        pytest.param(JSON, {"amount": 1, "currency": None}, {"amount": 1, "currency": None}, id="as it is"),
    ],
)
def test_a_value_is_read_in_every_form_of_its_type(kind: Type, told: Any, expected: Any) -> None:
    found = kind.of(told)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param([5, 9], [5, 9], id="v2 label_ids"),
        pytest.param(5, [5], id="label of a v2 person"),
        pytest.param("37", [37], id="one label as text"),
        pytest.param("24,7", [24, 7], id="v1 labels of a deal, in their order"),
        pytest.param("24, 7,", [24, 7], id="with blanks"),
        pytest.param([{"id": 5, "label": "Hot"}, {"id": 9, "label": "Cold"}], [5, 9], id="with their names"),
        pytest.param(["5", None], [5], id="texts and nothing"),
        pytest.param("", [], id="empty text"),
        pytest.param(None, [], id="null"),
    ],
)
def test_labels_are_a_list_of_ids_whatever_their_form(told: Any, expected: list[int]) -> None:
    assert BIGINTS.of(told) == expected


def test_labels_of_leads_are_uuids() -> None:
    assert UUIDS.of([LEAD]) == [uuid.UUID(LEAD)]
    assert UUIDS.of(None) == []
    assert TEXTS.of(["inbox", None, 7]) == ["inbox", "7"]
    assert TEXTS.of("inbox,sent") == ["inbox", "sent"]
    assert TEXTS.of(None) == []


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param("Bryggen 7, Bergen", {"value": "Bryggen 7, Bergen"}, id="one line, as events tell it"),
        pytest.param("", None, id="empty line"),
        pytest.param(
            {"value": "Bryggen 7", "route": "", "country": "Norge", "type": "address"},
            {"value": "Bryggen 7", "route": None, "country": "Norge"},
            id="object: empty parts are null, its type is no part",
        ),
    ],
)
def test_an_address_is_an_object_whatever_its_form(told: Any, expected: Any) -> None:
    assert ADDRESS.of(told) == expected


def test_keys_that_differ_between_the_sources_are_told_as_rest_names_them() -> None:
    kind = renamed_items({"primary_flag": "primary"})
    assert kind.of([{"person_id": 1, "primary_flag": True}, "odd"]) == [{"person_id": 1, "primary": True}, "odd"]
    assert kind.of("odd") == "odd"
    assert kind.of(None) is None


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.sql)
def test_null_is_null_except_that_a_list_is_empty(kind: Type) -> None:
    assert kind.of(None) == ([] if kind.sql.endswith("[]") else None)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (BIGINT, "seven"), (BIGINT, 1.5), (BIGINT, 2**63), (BIGINT, "9" * 39), (BIGINT, "9" * 5000), (BIGINT, [7]),
        (BIGINT, True), (BIGINT, float("inf")), (BIGINT, "1_000"), (BIGINT, "١٢"),
        (INTEGER, 2**31), (SMALLINT, -(2**15) - 1),
        (NUMERIC, "12,5"), (NUMERIC, "NaN"), (NUMERIC, float("inf")), (NUMERIC, "1e9999"), (NUMERIC, True),
        (NUMERIC, {}),
        (BOOLEAN, "yes"), (BOOLEAN, 2), (BOOLEAN, []),
        (DATE, "29.02.2024"), (DATE, "2023-02-29"), (DATE, 20240229),
        (DURATION, "an hour"), (DURATION, "01:61"), (DURATION, {"value": 90}),
        (UUID, "no-uuid"), (UUID, 7),
        (BIGINTS, "24;7"), (BIGINTS, [24, "x"]), (UUIDS, ["24"]),
    ],
)  # fmt: skip
def test_what_a_column_cannot_hold_is_refused(kind: Type, told: Any) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)):
        kind.of(told)


@pytest.mark.parametrize("kind", [BIGINT, NUMERIC, BOOLEAN, TIMESTAMP, DATE, DURATION, UUID], ids=lambda kind: kind.sql)
def test_a_refusal_does_not_quote_the_value(kind: Type) -> None:
    """It may be personal data, and reasons go to logs."""
    with pytest.raises(ValueError, match=r".") as refused:
        kind.of("kari@example.com")
    assert "kari" not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (NOON, "2026-03-04T12:00:05Z"),
        (NOON.replace(microsecond=675_000), "2026-03-04T12:00:05.675000Z"),
        (datetime(2026, 3, 4, 14, 0, 5, tzinfo=timezone(timedelta(hours=2))), "2026-03-04T12:00:05Z"),
        (date(2024, 2, 29), "2024-02-29"),
        (timedelta(hours=26, minutes=5), "26:05:00"),
        (uuid.UUID(LEAD), LEAD),
        (Decimal("18250.50"), 18250.5),
        (Decimal("100.0"), 100),
        ([uuid.UUID(LEAD), None, 3], [LEAD, None, 3]),
        (("a", True), ["a", True]),
        ({"amount": 1}, {"amount": 1}),
        (None, None),
    ],
)
def test_a_column_value_becomes_json_as_rest_would_write_it(value: Any, expected: Any) -> None:
    found = to_json(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (TIMESTAMP, "2026-03-04T12:00:05.675Z"), (DATE, "2024-02-29"), (DURATION, "26:05:00"), (UUID, LEAD),
        (NUMERIC, -0.1), (NUMERIC, 10**15), (BIGINTS, [3, 1]), (UUIDS, [LEAD]), (BOOLEAN, False), (TEXT, ""),
    ],
)  # fmt: skip
def test_json_read_again_is_the_same_value(kind: Type, told: Any) -> None:
    """The history stores values as JSON and is read back when it must be told anew."""
    value = kind.of(told)
    assert kind.of(to_json(value)) == value


def test_what_is_no_column_value_has_no_json() -> None:
    with pytest.raises(TypeError, match="set is no column value"):
        to_json({1})
