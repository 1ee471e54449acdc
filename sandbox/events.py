"""What happened to one record, before anybody decides in which version it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sandbox.shelf import Id, Record

Version = Literal["v1", "v2"]
Action = Literal["create", "change", "delete"]

V1_ENTITIES = frozenset(
    ("activity", "deal", "note", "organization", "person", "pipeline", "product", "stage", "user", "activity_type")
)
V2_ONLY = frozenset(("lead", "deal_product", "deal_installment", "board", "phase", "project", "task"))


V2_DEFINITIONS = frozenset(
    f"{entity}_field" for entity in ("deal", "lead", "person", "organization", "product", "project")
)


def versions(entity: str) -> frozenset[Version]:
    """The webhook versions that tell of this entity: none, of what only polling notices."""
    if entity == "activity_type":
        return frozenset(("v1",))
    if entity in V1_ENTITIES:
        return frozenset(("v1", "v2"))
    return frozenset(("v2",)) if entity in V2_ONLY | V2_DEFINITIONS else frozenset()


@dataclass(frozen=True, slots=True)
class Account:
    """Who sends: what stands in the `meta` of every event of one subscription.

    field_types         custom field's hash -> its type
    lists_empty_fields  v2's `data.custom_fields` names the empty ones, with null (recorded) or not (documentation)
    """

    company_id: int
    host: str
    webhook_id: int
    owner_id: int
    field_types: Mapping[str, str]
    lists_empty_fields: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One change of one record.

    at           event time, microseconds since 1970; v2 tells it in milliseconds, cut
    before       the record before it, None on create
    after        the record after it, None on delete
    event_id     unique, told by v2 only
    merged_to    of a loser's delete: the winner's id
    loser        of a winner's change: the last state of the record that was merged into it
    names        names of the records it refers to (owner, person, org, deal), which v1 repeats
    permitted    ids of the users who may see the record
    """

    entity: str
    id: Id
    action: Action
    at: int
    before: Record | None
    after: Record | None
    user_id: int
    event_id: str
    correlation_id: str
    is_bulk: bool = False
    change_source: Literal["app", "api"] = "app"
    merged_to: Id | None = None
    loser: Record | None = None
    names: Mapping[str, str | None] = field(default_factory=dict)
    permitted: tuple[int, ...] = ()
