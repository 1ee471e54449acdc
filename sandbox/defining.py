"""Changes of field definitions while the account lives. Each returns the events that Pipedrive announced for it.

What those events are called, and what they carry, is documented nowhere: they are told as `deal_field` and so on, in
the shape of the REST API. Fields of leads are those of deals, and change with them, without an event of their own.
"""

from typing import Final

from sandbox.cloud import Company
from sandbox.events import Event
from sandbox.fields import Field
from sandbox.polled.definitions import as_of_leads, custom, option
from sandbox.records import stamp
from sandbox.shelf import Record

_WITH_OPTIONS: Final = ("enum", "set")


def add_field(company: Company, entity: str, kind: str, name: str) -> Event:
    """A new custom field, empty in every record. `event.id` is its hash."""
    options = _numbers(company, 3) if kind in _WITH_OPTIONS else ()
    field = Field(company.draw.hash40(), kind, options)
    _carry(company, entity, (*company.fields[entity], field))
    company.types[field.code] = kind
    record = custom(field, name, _now(company))
    event = company.create(f"{entity}_field", **record)
    if entity == "deal":
        now = _now(company)
        lead = as_of_leads(record, len(company.live["lead_field"]) + 1)
        company.live["lead_field"].put(lead | {"add_time": now, "update_time": now})
    return event


def rename_field(company: Company, entity: str, code: str, name: str) -> Event:
    return _redefine(company, entity, code, {"field_name": name})


def delete_field(company: Company, entity: str, code: str) -> Event:
    """Its values are gone with it, and no record's update time tells."""
    _carry(company, entity, tuple(field for field in company.fields[entity] if field.code != code))
    for carrier in (entity, "lead") if entity == "deal" else (entity,):
        for shelf in (company.live[carrier], company.deleted[carrier]):
            for record in list(shelf):
                values = {hash_: value for hash_, value in record["custom_fields"].items() if hash_ != code}
                shelf.put({**record, "custom_fields": values})
    if entity == "deal":
        company.delete("lead_field", code)
    return company.delete(f"{entity}_field", code)


def add_option(company: Company, entity: str, code: str, label: str) -> Event:
    """The newest of the definition's options is the new one."""
    (number,) = _numbers(company, 1)
    options = company.live[f"{entity}_field"][code]["options"]
    return _options(company, entity, code, [*options, option(number, label, _now(company))])


def rename_option(company: Company, entity: str, code: str, number: int, label: str) -> Event:
    changed = {"label": label, "update_time": _now(company)}
    options = company.live[f"{entity}_field"][code]["options"]
    return _options(company, entity, code, [one | changed if one["id"] == number else one for one in options])


def delete_option(company: Company, entity: str, code: str, number: int) -> Event:
    """Records that have it keep its id, which no definition explains any more."""
    options = company.live[f"{entity}_field"][code]["options"]
    return _options(company, entity, code, [one for one in options if one["id"] != number])


def _options(company: Company, entity: str, code: str, options: list[Record]) -> Event:
    numbers = tuple(one["id"] for one in options)
    fields = company.fields[entity]
    changed = tuple(Field(code, field.type, numbers) if field.code == code else field for field in fields)
    _carry(company, entity, changed)
    return _redefine(company, entity, code, {"options": options})


def _redefine(company: Company, entity: str, code: str, columns: Record) -> Event:
    event = company.set(f"{entity}_field", code, columns)
    if entity == "deal":
        field = company.live["deal_field"][code]
        known = company.live["lead_field"][code]
        told = as_of_leads(field, known["id"])
        company.live["lead_field"].put({**known, **told, "update_time": _now(company)})
    return event


def _carry(company: Company, entity: str, fields: tuple[Field, ...]) -> None:
    """Leads have the fields of deals."""
    company.fields[entity] = fields
    if entity == "deal":
        company.fields["lead"] = fields


def _numbers(company: Company, count: int) -> tuple[int, ...]:
    """Ids that no option ever had."""
    first = company.next_option
    company.next_option += count
    return tuple(range(first, company.next_option))


def _now(company: Company) -> str:
    return stamp(company.now())
