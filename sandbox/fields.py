"""Custom fields of a made-up account: their definitions, and values in one canonical shape.

varchar varchar_auto text phone   text
double                            number
monetary                          {value, currency}
enum                              option id
set                               option ids, ascending
date                              'YYYY-MM-DD'
daterange                         {value, until}
time                              {value, timezone_id, timezone_name}
timerange                         {value, until, timezone_id, timezone_name}
address                           value and ten parts, None for an empty part
user org people                   id
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sandbox.draw import Draw

TYPES: Final = (
    *("varchar", "varchar_auto", "text", "double", "monetary", "enum", "set", "date", "daterange"),
    *("time", "timerange", "address", "phone", "user", "org", "people"),
)
"""All that can be created in Pipedrive."""

CARRIERS: Final = ("deal", "person", "organization", "product", "project")
"""Entities with custom fields of their own. Leads have those of deals."""

ADDRESS_PARTS: Final = (
    *("street_number", "route", "sublocality", "locality", "subpremise"),
    *("admin_area_level_1", "admin_area_level_2", "country", "postal_code", "formatted_address"),
)


@dataclass(frozen=True, slots=True)
class Field:
    """`code` is 40 hex digits; `options` are the ids of an enum or a set."""

    code: str
    type: str
    options: tuple[int, ...] = ()


def define(draw: Draw) -> dict[str, tuple[Field, ...]]:
    """One field of each type per carrier; leads inherit those of deals."""
    option = 1
    defined: dict[str, tuple[Field, ...]] = {}
    for entity in CARRIERS:
        fields = []
        for kind in TYPES:
            options = tuple(range(option, option + 4)) if kind in {"enum", "set"} else ()
            option += len(options)
            fields.append(Field(draw.hash40(), kind, options))
        defined[entity] = tuple(fields)
    return {**defined, "lead": defined["deal"]}


def address(draw: Draw) -> dict[str, str | None]:
    """A Pipedrive address: one line, and parts of which some are missing."""
    number, city, country = str(draw.number(1, 200)), draw.one_of(("Tallinn", "São Paulo", "東京", "Kraków")), "Estonia"
    line = f"Example tee {number}, {city}"
    parts: dict[str, str | None] = dict.fromkeys(("value", *ADDRESS_PARTS))
    parts |= {"value": line, "formatted_address": f"{line}, {country}", "locality": city, "country": country}
    if draw.chance(0.7):
        parts |= {"street_number": number, "route": "Example tee", "postal_code": f"{draw.number(10_000, 99_999)}"}
    return parts


def value(draw: Draw, field: Field) -> Any:
    """A canonical value; None leaves the field empty, and so does a reference while there is nothing to refer to."""
    return None if draw.chance(0.35) else _VALUES[field.type](draw, field)


def _with_zone(draw: Draw, **times: str) -> dict[str, Any]:
    zone_id, zone_name = draw.zone()
    return {**times, "timezone_id": zone_id, "timezone_name": zone_name}


def _range(draw: Draw) -> dict[str, str]:
    first, last = sorted((draw.day(), draw.day()))
    return {"value": first, "until": last}


_VALUES: Final[Mapping[str, Callable[[Draw, Field], Any]]] = {
    "varchar": lambda draw, _: draw.sentence(),
    "varchar_auto": lambda draw, _: draw.sentence(),
    "text": lambda draw, _: draw.text() or None,
    "phone": lambda draw, _: draw.phone(),
    "double": lambda draw, _: draw.money(),
    "monetary": lambda draw, _: {"value": draw.money(), "currency": draw.currency()},
    "enum": lambda draw, field: draw.one_of(field.options),
    "set": lambda draw, field: draw.some_of(field.options, 3) or None,
    "date": lambda draw, _: draw.day(),
    "daterange": lambda draw, _: _range(draw),
    "time": lambda draw, _: _with_zone(draw, value=draw.clock()),
    "timerange": lambda draw, _: _with_zone(draw, value=draw.clock(), until=draw.clock()),
    "address": lambda draw, _: address(draw),
    "user": lambda draw, _: draw.ref("user"),
    "org": lambda draw, _: draw.ref("organization"),
    "people": lambda draw, _: draw.ref("person"),
}


def values(draw: Draw, fields: tuple[Field, ...]) -> dict[str, Any]:
    """Every field of the account, as REST v2 lists them: null where empty."""
    return {field.code: value(draw, field) for field in fields}
