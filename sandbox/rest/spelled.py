"""How v1 spells what v2 would tell plainly: times without a zone, numbers and flags as text, references as objects."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox import v1
from sandbox.cloud import Company
from sandbox.shelf import Record

Spelling = Callable[[Company, Record], Record]


def _bare(_company: Company, record: Record) -> Record:
    """Times in UTC, without a zone."""
    return {column: v1.bare(value) if _is_time(column) else value for column, value in record.items()}


def _is_time(column: str) -> bool:
    return column.endswith("_time") or column in {"time", "created", "modified", "last_login"}


def _as(spell: Callable[[Any], Any], *columns: str) -> Spelling:
    def spelled(_company: Company, record: Record) -> Record:
        return {**record, **{column: spell(record[column]) for column in columns}}

    return spelled


def _both(first: Spelling, second: Spelling) -> Spelling:
    return lambda company, record: second(company, first(company, record))


def _lead(company: Company, record: Record) -> Record:
    """Custom fields stand flat beside the columns, and only those that have a value."""
    told = {column: value for column, value in record.items() if column != "custom_fields"}
    told["visible_to"] = str(told["visible_to"])
    types = company.account.field_types
    for code, value in record["custom_fields"].items():
        told |= {key: part for key, part in v1.flat(code, types[code], value).items() if part is not None}
    return told


def _participant(company: Company, record: Record) -> Record:
    """The person stands there twice: as a reference, and whole."""
    deal, name = record["related_item_id"], company.draw.column("person", record["person_id"], "name")
    contact = {"active_flag": True, "name": name, "email": [], "phone": [], "value": record["person_id"]}
    return _bare(company, record) | {
        "person_id": contact,
        "person": {"id": record["person_id"], "company_id": company.account.company_id, "name": name},
        "related_item_data": {"deal_id": deal, "title": company.draw.column("deal", deal, "title")},
        "added_by_user_id": {"id": record["added_by_user_id"], "value": record["added_by_user_id"]},
    }


def _relationship(company: Company, record: Record) -> Record:
    """Organizations as objects. What is calculated takes the side of the owner."""
    owner, linked = (
        {"name": company.draw.column("organization", record[column], "name"), "value": record[column]}
        for column in ("rel_owner_org_id", "rel_linked_org_id")
    )
    return _bare(company, record) | {
        "rel_owner_org_id": owner,
        "rel_linked_org_id": linked,
        "active_flag": str(record["active_flag"]).lower(),
        "calculated_type": record["type"],
        "calculated_related_org_id": linked["value"],
        "related_organization_name": linked["name"],
    }


def _mail(_company: Company, record: Record) -> Record:
    """Flags are 0 and 1."""
    return {column: int(value) if isinstance(value, bool) else value for column, value in record.items()}


SPELLED: Final[Mapping[str, Spelling]] = {
    **dict.fromkeys(("user", "note", "activity_type", "file", "lead_field", "deal_change", "person_change"), _bare),
    **dict.fromkeys(("organization_change", "participant_change"), _bare),
    "lead": _lead,
    "product": _as(str, "visible_to"),
    "deal_participant": _participant,
    "organization_relationship": _relationship,
    "role": _as(str, "assignment_count", "sub_role_count"),
    "call_log": _as(str, "duration"),
    "team": _both(_bare, _as(int, "active_flag", "deleted_flag")),
    "filter": _both(_bare, _as(str, "visible_to")),
    **dict.fromkeys(("mail_thread", "mail_message"), _mail),
}
