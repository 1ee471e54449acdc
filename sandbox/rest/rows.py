"""A record as the REST API tells it: v2 mostly as it is, v1 with times without a zone and custom fields spread flat."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from sandbox.cloud import Company
from sandbox.fields import CARRIERS
from sandbox.records import ALL
from sandbox.rest.spelled import SPELLED
from sandbox.rest.view import View
from sandbox.shelf import Record

Column = Callable[[Company, Record], Any]


def row(view: View, entity: str, record: Record, asked: Collection[str] = ()) -> Record:
    """What a list or a get says of a record."""
    hidden = ALL[entity].asked_for - frozenset(asked)
    every = whole(view, entity, record).items()
    told = {column: value for column, value in every if column not in hidden and column[0] != "_"}
    return SPELLED[entity](view.company, told) if entity in SPELLED else told


def whole(view: View, entity: str, record: Record) -> Record:
    """Every column the API has of it, in the sandbox's own spelling: what a mirror must come to."""
    more = {column: tell(view.company, record) for column, tell in _ONLY_HERE.get(entity, {}).items()}
    found = {**record, **more}
    if entity in view.company.fields:
        values = record.get("custom_fields", {})
        found["custom_fields"] = {field.code: values.get(field.code) for field in view.company.fields[entity]}
    if entity == "user":
        found["is_you"] = record["id"] == view.user_id
    return found


def _address(company: Company, record: Record, prefix: str) -> str:
    return f"company{company.account.company_id}+{prefix}{record['id']}@pipedrivemail.example"


def _bcc(prefix: str) -> Column:
    return lambda company, record: _address(company, record, prefix)


def _day(column: str) -> Column:
    return lambda _company, record: record[column] and record[column][:10]


def _sometimes(every: int, value: Any) -> Column:
    return lambda _company, record: value if record["id"] % every == 0 else None


def _titled(column: str, entity: str, name: str) -> Column:
    """The embedded name of a record that a note is about."""

    def told(company: Company, record: Record) -> Record | None:
        title = company.draw.column(entity, record[column], name)
        return None if title is None else {name: title}

    return told


def _author(company: Company, record: Record) -> Record:
    name, email = (company.draw.column("user", record["user_id"], column) for column in ("name", "email"))
    return {"email": email, "icon_url": None, "is_you": False, "name": name}


_ONLY_HERE: Final[Mapping[str, Mapping[str, Column]]] = {
    "deal": {
        "local_won_date": _day("won_time"),
        "local_lost_date": _day("lost_time"),
        "local_close_date": _day("close_time"),
        "smart_bcc_email": _bcc("deal"),
    },
    "lead": {"cc_email": _bcc("lead")},
    "person": {
        "postal_address": lambda _company, _record: None,
        "notes": _sometimes(3, "Met at the fair — ring twice"),
        "im": lambda _company, _record: [],
        "birthday": _sometimes(4, "1980-02-29"),
        "job_title": _sometimes(2, "Geschäftsführer"),
        "marketing_status": lambda _company, _record: "no_consent",
        "doi_status": lambda _company, _record: None,
        "smart_bcc_email": _bcc("person"),
    },
    "organization": {"smart_bcc_email": _bcc("org")},
    "note": {
        "deal": _titled("deal_id", "deal", "title"),
        "organization": _titled("org_id", "organization", "name"),
        "person": _titled("person_id", "person", "name"),
        "project": _titled("project_id", "project", "title"),
        "task": _titled("task_id", "task", "title"),
        "user": _author,
        "pinned_to_lead_flag": lambda _company, _record: False,
    },
    "note_comment": {"company_id": lambda company, _record: company.account.company_id},
    "call_log": {"company_id": lambda company, _record: company.account.company_id},
    "product_image": {"company_id": lambda company, _record: str(company.account.company_id)},
}
"""Columns that no event tells and that follow from the others, or from nothing."""


def columns(entity: str) -> frozenset[str]:
    """All that the API has of an entity."""
    shape = ALL[entity]
    times = (column for column in (shape.created, shape.updated) if column)
    custom = ("custom_fields",) if entity in (*CARRIERS, "lead") else ()
    found = (*shape.key, *shape.columns, *times, *_ONLY_HERE.get(entity, ()), *custom)
    return frozenset(column for column in found if column[0] != "_")
