"""Custom fields: one canonical value, whichever source tells it and in whichever form."""

from typing import Any

import pytest

from schema.columns import ADDRESS_PARTS
from schema.custom_fields import TYPES, canonical, fuller, is_flat, read_flat, read_typed, split_flat

HASH = "3d0fa3429dfa2d3dec265b4fc5dc8258ab66cdf3"
OTHER = "bdd479c3cfdb9c50bae4fa4929ae944980da55d7"


def address(**parts: str) -> dict[str, str | None]:
    return dict.fromkeys(ADDRESS_PARTS) | parts


BERGEN = address(
    value="Bryggen 7", route="Bryggen", street_number="7", formatted_address="Bryggen 7, 5003 Bergen, Norge"
)

SHAPES: list[tuple[str, dict[str, Any], dict[str, Any], Any, Any]] = [
    ("varchar", {"value": "Zé"}, {"": "Zé"}, "Zé", "Zé"),
    ("varchar_auto", {"value": "Fjordgata"}, {"": "Fjordgata"}, "Fjordgata", "Fjordgata"),
    ("text", {"value": "a\nb 🌲"}, {"": "a\nb 🌲"}, "a\nb 🌲", "a\nb 🌲"),
    ("phone", {"value": "+47 55 90"}, {"": "+47 55 90"}, "+47 55 90", "+47 55 90"),
    ("double", {"value": -12.75}, {"": -12.75}, -12.75, -12.75),
    (
        "monetary",
        {"value": 200.5, "currency": "EUR"},
        {"": 200.5, "currency": "EUR"},
        {"value": 200.5, "currency": "EUR"},
        {"value": 200.5, "currency": "EUR"},
    ),
    ("enum", {"id": 17}, {"": "17"}, 17, 17),
    ("set", {"values": [{"id": 14}, {"id": 13}]}, {"": "14,13"}, [14, 13], [13, 14]),
    (
        "user",
        {"id": 13075973},
        {"": {"id": 13075973, "name": "K", "has_pic": 0, "value": 13075973}},
        13075973,
        13075973,
    ),
    ("org", {"id": 1}, {"": {"name": "Ø", "people_count": 2, "value": 1}}, 1, 1),
    ("people", {"id": 17818}, {"": 17818}, 17818, 17818),
    ("date", {"value": "2026-06-27"}, {"": "2026-06-27"}, "2026-06-27", "2026-06-27"),
    (
        "daterange",
        {"from": "2026-06-06", "until": "2026-06-14"},
        {"": "2026-06-06", "until": "2026-06-14"},
        {"value": "2026-06-06", "until": "2026-06-14"},
        {"value": "2026-06-06", "until": "2026-06-14"},
    ),
    (
        "time",
        {"value": "00:45:00", "timezone_id": 310},
        {"": "00:45:00", "timezone_id": "310"},
        {"value": "00:45:00", "timezone_id": 310, "timezone_name": None},
        {"value": "00:45:00", "timezone_id": 310, "timezone_name": None},
    ),
    (
        "timerange",
        {"from": "00:00:00", "until": "01:15:00", "timezone_id": 310},
        {"": "00:00:00", "until": "01:15:00", "timezone_id": 310},
        {"value": "00:00:00", "until": "01:15:00", "timezone_id": 310, "timezone_name": None},
        {"value": "00:00:00", "until": "01:15:00", "timezone_id": 310, "timezone_name": None},
    ),
    (
        "address",
        {part: value or "" for part, value in BERGEN.items()},
        {"": "Bryggen 7", **{part: value for part, value in BERGEN.items() if part != "value"}},
        BERGEN,
        BERGEN,
    ),
]
"""Type, parts of the v2 wrapper, parts of the v1 value, REST v2 value, canonical value."""


def test_all_sixteen_types_are_shown_here() -> None:
    assert {kind for kind, *_ in SHAPES} == TYPES
    assert len(TYPES) == 16


@pytest.mark.parametrize(("kind", "wrapper", "expected"), [(s[0], s[1], s[4]) for s in SHAPES])
def test_a_v2_wrapper_tells_its_type_and_value(kind: str, wrapper: dict[str, Any], expected: Any) -> None:
    assert read_typed({"type": kind} | wrapper) == (kind, expected)


@pytest.mark.parametrize(("kind", "flat", "expected"), [(s[0], s[2], s[4]) for s in SHAPES])
def test_a_v1_value_of_a_learnt_type_is_the_same_value(kind: str, flat: dict[str, Any], expected: Any) -> None:
    assert read_flat(flat, kind) == (kind, expected)


@pytest.mark.parametrize(("kind", "rest", "expected"), [(s[0], s[3], s[4]) for s in SHAPES])
def test_a_rest_value_is_the_same_value(kind: str, rest: Any, expected: Any) -> None:
    assert canonical(kind, rest) == expected


@pytest.mark.parametrize(("kind", "expected"), [(s[0], s[4]) for s in SHAPES])
def test_a_canonical_value_read_again_is_itself(kind: str, expected: Any) -> None:
    """Values kept as received are read again once their type is known; some are canonical already."""
    assert canonical(kind, expected) == expected


@pytest.mark.parametrize(("kind", "flat", "expected"), [(s[0], s[2], s[4]) for s in SHAPES if len(s[2]) > 1])
def test_the_parts_of_a_v1_value_tell_its_type_where_none_was_learnt(
    kind: str, flat: dict[str, Any], expected: Any
) -> None:
    assert read_flat(flat, None) == (kind, expected)


@pytest.mark.parametrize(("kind", "flat"), [(s[0], s[2]) for s in SHAPES if len(s[2]) == 1])
def test_a_lone_v1_value_of_unknown_type_is_kept_as_received(kind: str, flat: dict[str, Any]) -> None:
    assert read_flat(flat, None) == (None, flat[""]), kind


@pytest.mark.parametrize("kind", sorted(TYPES))
@pytest.mark.parametrize("unset", [None, ""], ids=["null", "empty text"])
def test_what_is_not_set_is_null_in_every_type(kind: str, unset: Any) -> None:
    assert canonical(kind, unset) is None


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        pytest.param("varchar", {"value": ""}, id="empty text"),
        pytest.param("date", "0000-00-00", id="zero day"),
        pytest.param("date", {"value": None}, id="no day"),
        pytest.param("enum", {"id": None}, id="no option"),
        pytest.param("set", [], id="no options"),
        pytest.param("set", {"values": []}, id="no options in v2"),
        pytest.param("set", {"values": None}, id="null options in v2"),
        pytest.param("monetary", {"value": None, "currency": "EUR"}, id="a currency without an amount"),
        pytest.param("time", {"value": "", "timezone_id": 310}, id="a zone without a time"),
        pytest.param("timerange", {"from": None, "until": None, "timezone_id": 310}, id="a zone without a range"),
        pytest.param("daterange", {"from": "0000-00-00", "until": ""}, id="two zero days"),
        pytest.param("address", dict.fromkeys(ADDRESS_PARTS, ""), id="an address of empty parts"),
        pytest.param("address", {}, id="an address of no parts"),
    ],
)
def test_what_holds_no_value_is_null(kind: str, told: Any) -> None:
    assert canonical(kind, told) is None


@pytest.mark.parametrize(
    ("kind", "told", "expected"),
    [
        pytest.param("double", "500", 500, id="whole number as text"),
        pytest.param("double", "-0.50", -0.5, id="decimal as text"),
        pytest.param("monetary", "1999.99", {"value": 1999.99, "currency": None}, id="amount without currency"),
        pytest.param("monetary", 0, {"value": 0, "currency": None}, id="zero is an amount"),
        pytest.param("enum", "123", 123, id="option as text"),
        pytest.param("enum", {"id": 123, "label": "Hot"}, 123, id="option with its label"),
        pytest.param("set", [{"id": 456, "label": "b"}, {"id": 123, "label": "a"}], [123, 456], id="with labels"),
        pytest.param("set", 7, [7], id="a single option"),
        pytest.param("set", "7", [7], id="a single option as text"),
        pytest.param("user", {"value": 5}, 5, id="reference by value"),
        pytest.param("daterange", {"value": "2026-06-06"}, {"value": "2026-06-06", "until": None}, id="an open end"),
        pytest.param("daterange", {"until": "2026-06-06"}, {"value": None, "until": "2026-06-06"}, id="an open start"),
        pytest.param(
            "time",
            {"value": "09:00:00", "timezone_id": 318, "timezone_name": "Europe/London"},
            {"value": "09:00:00", "timezone_id": 318, "timezone_name": "Europe/London"},
            id="REST knows the zone's name",
        ),
        pytest.param("address", "Bryggen 7", address(value="Bryggen 7"), id="one line"),
        pytest.param("json", {"a": [1]}, {"a": [1]}, id="a type that is not known is left as it is"),
    ],
)
def test_further_forms_are_understood(kind: str, told: Any, expected: Any) -> None:
    found = canonical(kind, told)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("double", "about 12"), ("double", "Infinity"), ("double", "NaN"), ("double", True), ("double", [1]),
        ("double", {"amount": 5}),
        ("enum", "hot"), ("enum", {"label": "Hot"}), ("enum", 1.5), ("enum", True),
        ("set", "a,b"), ("set", {"options": [1]}), ("set", [[1]]), ("set", [True]),
        ("user", "kari@example.com"), ("monetary", {"value": "much", "currency": "EUR"}),
        ("varchar", {"text": "Zé"}), ("date", {"day": 1}), ("time", {"value": "09:00:00", "timezone_id": "Oslo"}),
    ],
)  # fmt: skip
def test_a_value_that_has_not_the_form_of_its_type_is_kept_as_received(kind: str, told: Any) -> None:
    assert canonical(kind, told) == told


@pytest.mark.parametrize("value", [None, "Zé", 5, [1], {"value": 5, "currency": "EUR"}, {"type": 7}, {"type": None}])
def test_what_is_not_wrapped_tells_no_type(value: Any) -> None:
    assert read_typed(value) == (None, value)


@pytest.mark.parametrize(("told", "kept"), [("", None), (None, None), (0, 0), (False, False), ("0", "0")])
def test_of_unknown_values_only_the_empty_text_is_null(told: Any, kept: Any) -> None:
    assert read_flat({"": told}, None) == (None, kept)


def test_what_was_learnt_counts_more_than_the_parts() -> None:
    """`<hash>_until` may stand beside a field of any type once Pipedrive adds such parts."""
    assert read_flat({"": "5", "until": None}, "double") == ("double", 5)


def test_a_part_without_its_field_is_no_value() -> None:
    assert read_flat({"currency": "EUR"}, None) == ("monetary", None)


def test_the_fields_of_a_v1_object_are_gathered_with_their_parts() -> None:
    told = {
        "id": 1, HASH: 500, f"{HASH}_currency": "USD", OTHER: None, f"{OTHER}_admin_area_level_1": "Vestland",
        HASH.upper(): 1, HASH[:-1]: 2, f"{HASH}0": 3, f"{HASH}-x": 4,
    }  # fmt: skip
    assert split_flat(told) == {
        HASH: {"": 500, "currency": "USD"},
        OTHER: {"": None, "admin_area_level_1": "Vestland"},
    }
    assert {key for key in told if is_flat(key)} == {HASH, f"{HASH}_currency", OTHER, f"{OTHER}_admin_area_level_1"}


def test_of_a_type_of_tomorrow_a_lone_part_stands_bare_and_several_stay_together() -> None:
    """As REST would write it."""
    assert read_typed({"type": "int", "value": 5}) == ("int", 5)
    assert read_typed({"type": "duo", "id": 5, "value": 6}) == ("duo", {"id": 5, "value": 6})


LONDON = {"value": "09:00:00", "timezone_id": 318, "timezone_name": "Europe/London"}
STREET = {"value": "Street 1", "locality": "Tallinn", "country": "Estonia"}
NAMELESS = LONDON | {"timezone_name": None}


@pytest.mark.parametrize(
    ("value", "known", "becomes"),
    [
        (NAMELESS, LONDON, LONDON),
        (NAMELESS | {"value": "10:00:00"}, LONDON, LONDON | {"value": "10:00:00"}),
        (NAMELESS | {"timezone_id": 310}, LONDON, NAMELESS | {"timezone_id": 310}),
        (LONDON, NAMELESS, LONDON),
        (NAMELESS | {"timezone_id": None}, LONDON | {"timezone_id": None}, NAMELESS | {"timezone_id": None}),
        (None, LONDON, None),
        (NAMELESS, None, NAMELESS),
        ({"value": 1}, LONDON, {"value": 1}),
        ("text", "other", "text"),
        ({"value": "Street 1"}, STREET, STREET),
        ({"value": "Street 2"}, STREET, {"value": "Street 2"}),
        (STREET | {"country": None}, STREET, STREET | {"country": None}),
        (STREET, {"value": "Street 1"}, STREET),
        ({"value": 5}, {"value": 5, "currency": "EUR"}, {"value": 5}),
    ],
)
def test_who_tells_less_of_the_same_means_what_is_known_of_it(value: Any, known: Any, becomes: Any) -> None:
    """Webhooks tell a zone by its number and some addresses by one line, REST the zone's name and all parts."""
    assert fuller(value, known) == becomes
