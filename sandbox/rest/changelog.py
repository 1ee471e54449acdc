"""What happened, as the logs of the API tell it: from the moment on that somebody keeps them."""

from collections.abc import Iterator
from typing import Any, Final

from sandbox.cloud import Company
from sandbox.events import Event
from sandbox.records import stamp
from sandbox.shelf import Record

_BY_FIELD: Final = ("deal", "person", "organization")
_FOLLOWED: Final = ("deal", "person", "organization", "product")
_KEPT: Final = 50_000
"""Rows of a log: the oldest are forgotten, or a company that lives for hours would fill the memory."""


def keep(company: Company) -> None:
    """Write the logs of a company from now on; once, however often it is served."""
    if not company.keeps_logs:
        company.watchers.append(lambda event: _note(company, event))
        company.keeps_logs = True


def _note(company: Company, event: Event) -> None:
    for log, row in _rows(event):
        shelf = company.live[log]
        number = company.next_row
        company.next_row += 1
        shelf.put({"_n": number, **row})
        if len(shelf) > _KEPT:
            shelf.take(next(iter(shelf))["_n"])


def _rows(event: Event) -> Iterator[tuple[str, Record]]:
    kind, _, follows = event.entity.rpartition("_")
    if event.entity in _BY_FIELD:
        for column, old, new in _changes(event):
            yield f"{event.entity}_change", _changed(event, column, old, new)
    elif event.entity == "project":
        yield from _project(event)
    elif event.entity == "deal_participant":
        yield (
            "participant_change",
            {**_added_or_removed(event), "person_id": _state(event)["person_id"]}
            | {"_of": _state(event)["related_item_id"]},
        )
    elif follows == "follower" and kind in _FOLLOWED:
        followed = {"follower_user_id": _state(event)["user_id"], "_of": _state(event)[f"{kind}_id"], "_kind": kind}
        yield "follower_change", {**_added_or_removed(event), **followed}


def _changes(event: Event) -> Iterator[tuple[str, Any, Any]]:
    if event.before is None or event.after is None:
        return
    for column, new in event.after.items():
        old = event.before.get(column)
        if column == "custom_fields":
            known = old or {}
            yield from ((code, known.get(code), new[code]) for code in new if new[code] != known.get(code))
        elif old != new and column != "update_time":
            yield column, old, new


def _changed(event: Event, column: str, old: Any, new: Any) -> Record:
    return {"field_key": column, "old_value": _text(old), "new_value": _text(new), **_who(event)} | {
        "is_bulk_update_flag": event.is_bulk
    }


def _project(event: Event) -> Iterator[tuple[str, Record]]:
    changes = list(_changes(event))
    if changes:
        old, new = ({change[0]: change[side] for change in changes} for side in (1, 2))
        yield "project_change", {**_who(event), "old_values": old, "new_values": new}


def _who(event: Event) -> Record:
    return {
        "actor_user_id": event.user_id,
        "time": stamp(event.at),
        "change_source": event.change_source,
        "change_source_user_agent": None,
        "_of": event.id,
    }


def _added_or_removed(event: Event) -> Record:
    action = "removed" if event.after is None else "added"
    return {"action": action, "actor_user_id": event.user_id, "time": stamp(event.at)}


def _state(event: Event) -> Record:
    return event.after or event.before or {}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
