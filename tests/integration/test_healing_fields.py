"""One value of a custom field is one text in the table, whichever of Pipedrive's four ways of writing it told it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest
from rig import events
from rig.mirrored import apply, company_of

from schema.columns import ADDRESS_PARTS
from schema.custom_fields import TYPES
from schema.entities import BY_NAME
from schema.event import Event, read
from schema.record import Record, fold
from schema.rest import Answer, change_of
from schema.row import load as as_record
from schema.row import row as as_row
from store.companies import Company
from store.database import Pool
from worker.applying.loading import load

CODE = "c" * 40
MINUTE = 60_000_000
DEAL, LEAD = BY_NAME["deal"], BY_NAME["lead"]


@dataclass(frozen=True)
class Told:
    """A value as REST v2, webhooks v2 (without the type) and v1 write it; v1 by the suffix of each of its keys.

    v1   of both, webhooks and the REST API's leads; those leave out what is empty
    has  what the table has, as JSON text without spaces
    """

    kind: str
    rest: Any
    wrapped: Mapping[str, Any] | None
    v1: Mapping[str, Any]
    has: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.has}"


PLACE = {
    "value": "Rua 5, Porto",
    **dict.fromkeys(ADDRESS_PARTS),
    "locality": "Porto",
    "country": "Portugal",
    "formatted_address": "Rua 5, Porto, Portugal",
}
IN_V1 = {"" if part == "value" else part: value for part, value in PLACE.items()}
PARTS = sorted(PLACE, key=lambda part: (len(part), part))
PLACE_TEXT = (
    "{" + ", ".join(f'"{part}": ' + ("null" if PLACE[part] is None else f'"{PLACE[part]}"') for part in PARTS) + "}"
)

ZONE = {"timezone_id": 318}
NAMED = {**ZONE, "timezone_name": "Europe/London"}
NINE = '{"value": "09:00:00", "timezone_id": 318, "timezone_name": "Europe/London"}'
LONG = '{"until": "10:00:00", "value": "09:00:00", "timezone_id": 318, "timezone_name": "Europe/London"}'

TEXTS = ("varchar", "varchar_auto", "text", "phone")
VALUES = (
    *(Told(kind, "Zoë 5", {"value": "Zoë 5"}, {"": "Zoë 5"}, '"Zoë 5"') for kind in TEXTS),
    Told("double", 12.5, {"value": 12.5}, {"": "12.50"}, "12.5"),
    Told("double", 10, {"value": 10.0}, {"": "10"}, "10"),
    Told("double", 0, {"value": 0}, {"": 0}, "0"),
    Told("monetary", {"value": 9, "currency": "EUR"}, {"value": 9, "currency": "EUR"}, {"": "9.00", "currency": "EUR"},
         '{"value": 9, "currency": "EUR"}'),
    Told("enum", 27, {"id": 27}, {"": "27"}, "27"),
    Told("set", [27, 28], {"values": [{"id": 28}, {"id": 27}]}, {"": "28,27"}, "[27, 28]"),
    Told("set", [27], {"values": [{"id": 27}]}, {"": "27"}, "[27]"),
    Told("date", "2026-03-04", {"value": "2026-03-04"}, {"": "2026-03-04"}, '"2026-03-04"'),
    Told("daterange", {"value": "2026-03-04", "until": "2026-03-05"}, {"from": "2026-03-04", "until": "2026-03-05"},
         {"": "2026-03-04", "until": "2026-03-05"}, '{"until": "2026-03-05", "value": "2026-03-04"}'),
    Told("time", {"value": "09:00:00", **NAMED}, {"value": "09:00:00", **ZONE}, {"": "09:00:00", **ZONE}, NINE),
    Told("timerange", {"value": "09:00:00", "until": "10:00:00", **NAMED},
         {"from": "09:00:00", "until": "10:00:00", **ZONE}, {"": "09:00:00", "until": "10:00:00", **ZONE}, LONG),
    Told("address", PLACE, {name: part or "" for name, part in PLACE.items()}, IN_V1, PLACE_TEXT),
    *(Told(kind, 31, {"id": 31}, {"": {"id": 31, "value": 31, "name": "Ada"}}, "31") for kind in ("user", "org")),
    Told("people", 31, {"id": 31}, {"": "31"}, "31"),
)  # fmt: skip

EMPTY = (
    *(Told(kind, None, None, {"": None}) for kind in sorted(TYPES)),
    *(Told(kind, "", {"value": ""}, {"": ""}) for kind in ("varchar", "varchar_auto", "text", "phone", "double")),
    Told("date", "0000-00-00", {"value": "0000-00-00"}, {"": "0000-00-00"}),
    Told("set", [], {"values": []}, {"": ""}),
    Told("enum", None, {"id": None}, {"": ""}),
    Told(
        "monetary", {"value": None, "currency": "EUR"}, {"value": None, "currency": "EUR"}, {"": "", "currency": "EUR"}
    ),
    Told("daterange", {"value": None, "until": None}, {"from": None, "until": None}, {"": None, "until": None}),
    Told("time", {"value": None, **NAMED}, {"value": None, **ZONE}, {"": None, **ZONE}),
    Told(
        "timerange",
        {"value": "", "until": "", **NAMED},
        {"from": "", "until": "", **ZONE},
        {"": "", "until": "", **ZONE},
    ),
    Told("address", dict.fromkeys(PLACE), dict.fromkeys(PLACE, ""), dict.fromkeys(IN_V1)),
)


def test_all_sixteen_types_are_told_here_with_a_value_and_without() -> None:
    """Else what follows would leave one out unnoticed."""
    assert len(TYPES) == 16
    assert {value.kind for value in VALUES} == {value.kind for value in EMPTY} == TYPES


def flat(value: Told) -> dict[str, Any]:
    return {f"{CODE}_{suffix}" if suffix else CODE: part for suffix, part in value.v1.items()}


def webhook(value: Told, at: int, *, v1: bool = False, entity: str = "deal", record_id: Any = 1) -> Event:
    """Told `at` microseconds after the start."""
    moment = events.START + at
    if v1:
        return v1_event(value, moment, record_id)
    wrapped = None if value.wrapped is None else {"type": value.kind, **value.wrapped}
    data = {"update_time": moment // 1_000_000, "custom_fields": {CODE: wrapped}}
    return read_by(events.v2_body(entity, record_id, moment, data), value)


def v1_event(value: Told, moment: int, record_id: int) -> Event:
    told = {"id": record_id, "update_time": as_text(moment), **flat(value)}
    meta = {"v": 1, "action": "updated", "object": "deal", "id": record_id, "company_id": events.COMPANY,
            "timestamp": moment // 1_000_000, "timestamp_micro": moment, "user_id": 1}  # fmt: skip
    body = {"v": 1, "event": "updated.deal", "meta": meta, "current": told, "previous": None, "retry": 0}
    return read_by(json.dumps(body).encode(), value)


def as_text(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment // 1_000_000, UTC):%Y-%m-%d %H:%M:%S}"


def read_by(body: bytes, value: Told) -> Event:
    found = read(events.envelope(body), lambda _: {CODE: value.kind})
    assert isinstance(found, Event), found
    return found


def answer(value: Told, at: int, entity: Any = DEAL) -> Answer:
    return Answer(entity, events.START + at + 2 * MINUTE, "sweep", {CODE: value.kind})


def listed(value: Told, at: int, record_id: int = 1) -> dict[str, Any]:
    """A row of REST v2 that was updated `at`."""
    moment = f"{as_text(events.START + at).replace(' ', 'T')}Z"
    return {"id": record_id, "update_time": moment, "is_deleted": False, "custom_fields": {CODE: value.rest}}


async def loaded(pool: Pool, company: Company, told: Answer, row: dict[str, Any]) -> None:
    async with pool.acquire() as connection, connection.transaction():
        found = await load(connection, company, told, [row])
    assert found is not None
    assert found.refused == []


async def text(pool: Pool, company: Company, table: str = "deals") -> str | None:
    async with pool.acquire() as connection:
        found: str | None = await connection.fetchval(
            f"SELECT nullif(custom_fields -> $1, 'null')::text FROM \"{company.slug}_raw\".{table}", CODE
        )
    return found


LEAD_ID = "5b3fe4a0-1b7d-11ee-8f5c-5f1e2a3b4c5d"


@pytest.mark.parametrize("value", [*VALUES, *EMPTY], ids=str)
async def test_every_source_writes_the_same_text(pool: Pool, value: Told) -> None:
    company, found = await company_of(pool), {}
    company.types = {"deal": {CODE: value.kind}}
    slug = company.slug

    async def emptied() -> None:
        async with pool.acquire() as connection:
            await connection.execute(f'TRUNCATE "{slug}_raw".deals, "{slug}_raw".leads')

    await loaded(pool, company, answer(value, 0), listed(value, 0))
    found["REST v2"] = await text(pool, company)
    for name, v1 in (("webhook v2", False), ("webhook v1", True)):
        await apply(pool, company, webhook(value, 5 * MINUTE + v1, v1=v1))
        found[f"{name} after REST"] = await text(pool, company)
        await emptied()
        await apply(pool, company, webhook(value, 6 * MINUTE + v1, v1=v1))
        await loaded(pool, company, answer(value, 6 * MINUTE), listed(value, 6 * MINUTE))
        found[f"REST after {name}"] = await text(pool, company)
    assert found == dict.fromkeys(found, value.has)

    await apply(pool, company, webhook(value, 7 * MINUTE, entity="lead", record_id=LEAD_ID))
    by_event = await text(pool, company, "leads")
    await emptied()
    lead = {
        "id": LEAD_ID,
        "update_time": as_text(events.START),
        **{k: v for k, v in flat(value).items() if v is not None},
    }
    await loaded(pool, company, answer(value, 0, LEAD), lead)
    nameless = value.has and value.has.replace('"Europe/London"', "null")
    assert (by_event, await text(pool, company, "leads")) == (nameless, nameless), "neither tells a zone's name"


def ended(record: Record) -> Any:
    fields = as_row(DEAL, record)["custom_fields"]
    return fields.get(CODE)


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_set_cleared_and_set_again_by_any_source_in_any_order_ends_the_same(value: Told) -> None:
    nothing = Told(value.kind, None, None, dict.fromkeys(value.v1))
    changes = [
        *webhook(value, 0).changes,
        change_of(answer(value, 0), listed(value, 0)),
        *webhook(nothing, 10 * MINUTE, v1=True).changes,
        change_of(answer(nothing, 10 * MINUTE), listed(nothing, 10 * MINUTE)),
        *webhook(value, 20 * MINUTE, v1=True).changes,
    ]
    for last, ends in ((5, value.has), (4, None), (3, None), (2, value.has)):
        for order in permutations(changes[:last]):
            record = Record()
            for change in order:
                fold(record, change)
                kept = {"_revision": 1, "_synced_at": None} | as_row(DEAL, record)
                record = as_record(DEAL, kept)
            assert (ended(record) is None) == (ends is None), [change.version for change in order]
            if ends is not None:
                assert without_name(ended(record)) == without_name(ended_alone(changes[last - 1]))


def ended_alone(change: Any) -> Any:
    record = Record()
    fold(record, change)
    return ended(record)


def without_name(value: Any) -> Any:
    return {**value, "timezone_name": None} if isinstance(value, dict) and "timezone_name" in value else value
