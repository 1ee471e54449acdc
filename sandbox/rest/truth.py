"""What a mirror that has read the lists of the API must hold: every column of every entity."""

from collections.abc import Iterator
from typing import Final

from sandbox.cloud import Company, Truth
from sandbox.polled import logs
from sandbox.records import ALL
from sandbox.rest import core, polled
from sandbox.rest.me import CONNECTIONS, SETTINGS
from sandbox.rest.rows import columns, whole
from sandbox.rest.view import View
from sandbox.shelf import Id, Record, Shelf, identity

_OF_OTHERS: Final = {
    "user": frozenset(("is_you",)),  # of who asks
    "note": frozenset(("deal", "organization", "person", "project", "task", "user")),  # names that change elsewhere
    "mail_message": frozenset(("body_url",)),  # another one each time
}
"""Columns of which nothing is asked."""

_ALONE: Final = {
    "user_setting": frozenset(("user_id", *SETTINGS)),
    "user_connection": frozenset(("user_id", "provider", "third_party_id")),
}
_NONE_DELETED: Final[dict[str, dict[Id, Record]]] = {entity: {} for entity in _ALONE}

_PARENTS: Final = {
    listing.entity: listing.parent for listing in (*core.LISTINGS, *polled.LISTINGS) if listing.parent is not None
}


def listed(company: Company, user_id: int = 1) -> Truth:
    """At this moment, for a mirror that has read as this user. Of children whose parent is gone nothing is asked."""
    view = View(company, user_id=user_id)
    keyed = [entity for entity in ALL if entity not in logs.SHAPES]
    now, past = zip(*(_of(company, log) for log in logs.SHAPES), strict=True)
    return Truth(
        live={entity: _whole(view, entity, company.live[entity]) for entity in keyed} | _of_the_user(user_id),
        deleted={entity: _whole(view, entity, company.deleted[entity]) for entity in keyed} | _NONE_DELETED,
        merged={entity: dict(pairs) for entity, pairs in company.merged.items()},
        carried={entity: columns(entity) - _OF_OTHERS.get(entity, frozenset()) for entity in keyed} | _ALONE,
        unsettled=frozenset((*company.hidden, *(orphan for entity in keyed for orphan in _orphans(company, entity)))),
        listed=True,
        logs=dict(zip(logs.SHAPES, now, strict=True)),
        past=dict(zip(logs.SHAPES, past, strict=True)),
    )


def _of_the_user(user_id: int) -> dict[str, dict[Id, Record]]:
    """Settings, and connections: each provider is one of its own."""
    google = {"user_id": user_id, "provider": "google", "third_party_id": CONNECTIONS["google"]}
    return {
        "user_setting": {user_id: {"user_id": user_id, **SETTINGS}},
        "user_connection": {(user_id, "google"): google},
    }


def _whole(view: View, entity: str, shelf: Shelf) -> dict[Id, Record]:
    return {identity(ALL[entity].key, record): whole(view, entity, record) for record in shelf}


def _orphans(company: Company, entity: str) -> Iterator[tuple[str, Id]]:
    """Those whom no list shows, because nobody can ask for their parent."""
    parent = _PARENTS.get(entity)
    if parent is None:
        return
    there = _visible(company, parent.entity)
    places = [parent.column] if parent.also is None else [parent.column, parent.also]
    if entity == "deal_installment":
        there -= _selling_nothing(company)
    for record in (*company.live[entity], *company.deleted[entity]):
        if not any(str(record[place]) in there for place in places):
            yield entity, identity(ALL[entity].key, record)


def _selling_nothing(company: Company) -> frozenset[str]:
    """Deals that a reader need not ask for installments."""
    return frozenset(str(deal["id"]) for deal in company.live["deal"] if not deal["products_count"])


def _of(company: Company, log: str) -> tuple[list[Record], list[Record]]:
    """Rows of what is there, and of what is gone. In a log of several kinds of parents each row says of which it is."""
    there: dict[str, frozenset[str]] = {}
    now: list[Record] = []
    past: list[Record] = []
    for row in company.live[log]:
        kind = row.get("_kind") or _PARENTS[log].entity
        if kind not in there:
            there[kind] = _visible(company, kind)
        told = {column: value for column, value in row.items() if column[0] != "_"}
        (now if str(row["_of"]) in there[kind] else past).append(told)
    return now, past


def _visible(company: Company, entity: str) -> frozenset[str]:
    keys = (identity(ALL[entity].key, record) for record in company.live[entity])
    return frozenset(str(key) for key in keys if (entity, key) not in company.hidden)
