"""Pipedrive's own logs: who changed what, and when. Each is asked for record by record, so none is read unasked."""

from typing import Final

from schema.catalogue import contacts, deals, products, projects
from schema.columns import BIGINT, BOOLEAN, JSON, TEXT, TIMESTAMP
from schema.entity import WEEK, Column, Entity, event, key
from schema.listing import Listing, Parent

_VALUES: Final = (
    event("field_key", TEXT),
    event("old_value", TEXT),
    event("new_value", TEXT),
    event("actor_user_id", BIGINT, ref="user"),
    event("time", TIMESTAMP),
    event("change_source", TEXT),
    event("change_source_user_agent", TEXT),
    event("is_bulk_update_flag", BOOLEAN),
)


def _log(name: str, *listings: Listing, columns: tuple[Column, ...]) -> Entity:
    return Entity(
        name,
        plural=f"{name}s",
        key=key(id=TEXT),
        log=True,
        webhook=False,
        updated="time",
        created="time",
        listings=listings,
        cadence=WEEK,
        columns=columns,
    )


def _values_of(of: str, column: str) -> Entity:
    """Old and new values of the fields of a record."""
    listing = Listing(
        f"/v1/{of}s/{{parent}}/changelog",
        cost=20,
        scopes=("recents:read",),
        parent=Parent(of, column=column),
        opt_in=True,
    )
    return _log(f"{of}_change", listing, columns=(event(column, BIGINT, ref=of), *_VALUES))


DEAL_CHANGE: Final = _values_of("deal", "deal_id")
PERSON_CHANGE: Final = _values_of("person", "person_id")
ORGANIZATION_CHANGE: Final = _values_of("organization", "organization_id")

PARTICIPANT_CHANGE: Final = _log(
    "participant_change",
    Listing(
        "/v1/deals/{parent}/participantsChangelog",
        cost=10,
        scopes=deals.SCOPES,
        parent=Parent("deal", column="deal_id"),
        opt_in=True,
    ),
    columns=(
        event("deal_id", BIGINT, ref="deal"),
        event("actor_user_id", BIGINT, ref="user"),
        event("person_id", BIGINT, ref="person"),
        event("action", TEXT),
        event("time", TIMESTAMP),
    ),
)


def _followers_of(of: str, scopes: tuple[str, ...]) -> Listing:
    return Listing(
        f"/api/v2/{of}s/{{parent}}/followers/changelog",
        cost=10,
        scopes=scopes,
        says={"item_type": of},
        parent=Parent(of, column="item_id"),
        opt_in=True,
    )


FOLLOWER_CHANGE: Final = _log(
    "follower_change",
    _followers_of("deal", deals.SCOPES),
    _followers_of("person", contacts.SCOPES),
    _followers_of("organization", contacts.SCOPES),
    _followers_of("product", products.SCOPES),
    columns=(
        event("item_type", TEXT),
        event("item_id", BIGINT),
        event("action", TEXT),
        event("actor_user_id", BIGINT, ref="user"),
        event("follower_user_id", BIGINT, ref="user"),
        event("time", TIMESTAMP),
    ),
)

PROJECT_CHANGE: Final = _log(
    "project_change",
    Listing(
        "/api/v2/projects/{parent}/changelog",
        cost=10,
        scopes=projects.SCOPES,
        parent=Parent("project", column="project_id"),
        opt_in=True,
    ),
    columns=(
        event("project_id", BIGINT, ref="project"),
        event("change_source", TEXT),
        event("change_source_user_agent", TEXT),
        event("time", TIMESTAMP),
        event("new_values", JSON),
        event("old_values", JSON),
        event("actor_user_id", BIGINT, ref="user"),
    ),
)
