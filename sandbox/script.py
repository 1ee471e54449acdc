"""What happens in a made-up company: mostly people edit deals and activities, sometimes anything else does."""

from collections.abc import Callable, Mapping
from typing import Final

from sandbox.cloud import Company
from sandbox.events import Event
from sandbox.records import POLLED
from sandbox.shelf import Id

_BUSY: Final[Mapping[str, int]] = {
    "deal": 40,
    "activity": 30,
    "person": 8,
    **dict.fromkeys(("organization", "note", "lead"), 5),
    **dict.fromkeys(("product", "deal_product", "project", "task"), 2),
    **dict.fromkeys(("deal_installment", "board", "phase", "pipeline", "stage", "user", "activity_type"), 1),
}
"""How often something happens to each entity, of about a hundred."""

_MERGEABLE: Final = ("person", "organization", "deal")
_RESTORABLE: Final = ("deal", "person", "organization", "activity", "product")
_PARENTS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "person": (("deal", "person_id"), ("lead", "person_id"), ("activity", "person_id"), ("note", "person_id")),
    "organization": (
        *(("deal", "org_id"), ("person", "org_id"), ("lead", "organization_id")),
        *(("activity", "org_id"), ("note", "org_id")),
    ),
    "deal": (("activity", "deal_id"), ("note", "deal_id"), ("deal_product", "deal_id")),
    "pipeline": (("stage", "pipeline_id"),),
    "stage": (("deal", "stage_id"),),
    "board": (("phase", "board_id"), ("project", "board_id")),
    "phase": (("project", "phase_id"),),
    "project": (("task", "project_id"),),
}
"""Entity -> columns that refer to it."""

_FIXED: Final = frozenset(("user_permission", "currency"))
"""Never deleted."""

_NEEDED_EMPTY: Final = frozenset(("pipeline", "stage", "board", "phase"))
_FEWEST: Final = 2


def step(company: Company) -> list[Event]:
    """One thing that happens, as the events it sends, in true order; at least one."""
    while True:
        happening = company.rng.choices(_HAPPENINGS, _WEIGHTS)[0]
        if events := happening(company):
            return sorted(events, key=lambda event: event.at)


def _some_entity(company: Company) -> str:
    return company.rng.choices(tuple(_BUSY), tuple(_BUSY.values()))[0]


def _edit(company: Company) -> list[Event]:
    entity = _some_entity(company)
    record_id = company.draw.ref(entity)
    event = None if record_id is None else company.edit(entity, record_id)
    return [] if event is None else [event]


def _create(company: Company) -> list[Event]:
    entity = _some_entity(company)
    created = company.create(entity)
    again = company.edit(entity, created.id, again=True) if company.draw.chance(company.same_instant) else None
    return [created] if again is None else [created, again]


def _delete(company: Company) -> list[Event]:
    entity = _some_entity(company)
    record_id = company.draw.ref(entity)
    if record_id is None or entity == "user" or len(company.live[entity]) <= _FEWEST:
        return []
    if entity in _NEEDED_EMPTY and _children(company, entity, record_id):
        return []
    children = _children(company, entity, record_id) if entity == "project" else []
    changed = company.edit(entity, record_id) if company.draw.chance(company.same_instant) else None
    deleted = [company.delete(entity, record_id, again=changed is not None)]
    # Documented for projects: what belongs to a deleted one sends events, too.
    deleted += [company.delete(child, child_id) for child, child_id, _ in children]
    return deleted if changed is None else [changed, *deleted]


def _bulk_edit(company: Company) -> list[Event]:
    entity = company.draw.one_of(("deal", "activity", "person"))
    ids = company.draw.refs(entity, 8)
    return company.edit_all(entity, ids, owner_id=company.draw.ref("user")) if ids else []


def _merge(company: Company) -> list[Event]:
    entity = company.draw.one_of(_MERGEABLE)
    loser, winner = company.draw.ref(entity), company.draw.ref(entity)
    if loser is None or winner is None or loser == winner or len(company.live[entity]) <= _FEWEST:
        return []
    events = company.merge(entity, loser, winner)
    for child, child_id, column in _children(company, entity, loser):
        events.append(company.set(child, child_id, {column: winner}, correlation_id=events[0].correlation_id))
    return events


def _children(company: Company, entity: str, record_id: Id) -> list[tuple[str, Id, str]]:
    return [
        (child, record["id"], column)
        for child, column in _PARENTS.get(entity, ())
        for record in company.live[child]
        if record[column] == record_id
    ]


def _convert(company: Company) -> list[Event]:
    """A lead becomes a deal: the lead is deleted, a deal with its custom fields is created."""
    lead_id = company.draw.ref("lead")
    if lead_id is None or len(company.live["lead"]) <= _FEWEST:
        return []
    lead = company.live["lead"][lead_id]
    taken = {"title": lead["title"], "person_id": lead["person_id"], "org_id": lead["organization_id"]}
    deal = company.create("deal", source_lead_id=lead_id, custom_fields=lead["custom_fields"], **taken)
    return [deal, company.delete("lead", lead_id, correlation_id=deal.correlation_id)]


def _restore(company: Company) -> list[Event]:
    entity = company.draw.one_of(_RESTORABLE)
    record_id = company.deleted[entity].pick(company.rng)
    if record_id is None or record_id in company.merged[entity]:
        return []
    return [company.restore(entity, record_id)]


def _convert_back(company: Company) -> list[Event]:
    """A deal becomes a lead: the deal is deleted once the lead is there."""
    deal_id = company.draw.ref("deal")
    if deal_id is None or len(company.live["deal"]) <= _FEWEST:
        return []
    deal = company.live["deal"][deal_id]
    taken = {"title": deal["title"], "person_id": deal["person_id"], "organization_id": deal["org_id"]}
    lead = company.create("lead", source_deal_id=deal_id, custom_fields=deal["custom_fields"], **taken)
    return [lead, company.delete("deal", deal_id, correlation_id=lead.correlation_id)]


def _silent(company: Company) -> list[Event]:
    """Something that only polling notices: no webhook tells of it."""
    entity = company.draw.one_of(tuple(POLLED))
    record_id = company.draw.ref(entity)
    roll = company.draw.number(0, 2)
    if record_id is None or roll == 0:
        company.try_create(entity)
    elif roll == 1 and POLLED[entity].edited:
        company.edit(entity, record_id)
    elif entity not in _FIXED and len(company.live[entity]) > _FEWEST:
        company.delete(entity, record_id)
    return []


def _deactivate(company: Company) -> list[Event]:
    """A user is never deleted: it becomes inactive, or active again."""
    user_id = company.draw.ref("user")
    if user_id is None:
        return []
    active = not company.live["user"][user_id]["active_flag"]
    return [company.set("user", user_id, {"active_flag": active})]


_HAPPENINGS: Final[tuple[Callable[[Company], list[Event]], ...]] = (
    *(_edit, _create, _delete, _bulk_edit, _merge, _convert, _restore, _deactivate, _convert_back, _silent),
)
_WEIGHTS: Final = (68, 14, 7, 3, 2, 2, 3, 1, 1, 5)
