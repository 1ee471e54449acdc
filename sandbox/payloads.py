"""Webhook bodies: an event told in v2 or v1, as Pipedrive tells it.

v2  {data, previous, meta}                      data: a subset of the record, previous: what changed
v1  {v, matches_filters, meta, current, previous, event, retry}   both whole
"""

from typing import Any, Final

from sandbox import v1, v2
from sandbox.events import Account, Event, Version
from sandbox.records import stamp
from sandbox.shelf import Record

Body = dict[str, Any]

_V1_ACTIONS: Final = {"create": "added", "change": "updated", "delete": "deleted"}
_SILENT_TIMES: Final = frozenset(("update_time", "stage_change_time"))
_WITHOUT_TIMES_IN_PREVIOUS: Final = frozenset(("deal", "person", "organization"))


def body(account: Account, event: Event, version: Version, attempt: int) -> Body:
    """`attempt` counts from 1 to 4, as v2's `meta.attempt`; v1 tells it as `retry`, from 0 to 3."""
    return v2_body(account, event, attempt) if version == "v2" else v1_body(account, event, attempt)


def v2_body(account: Account, event: Event, attempt: int) -> Body:
    old, new = (
        None if record is None else v2.data(event.entity, record, account.field_types)
        for record in (event.before, event.after)
    )
    previous = _v2_previous(event, old, new)
    if new is not None and new.get("custom_fields") and not account.lists_empty_fields:
        new["custom_fields"] = {code: value for code, value in new["custom_fields"].items() if value is not None}
    return {"data": new, "previous": previous, "meta": _v2_meta(account, event, attempt)}


def _v2_previous(event: Event, old: Record | None, new: Record | None) -> Record | None:
    """What changed, as it was before; the whole last state on delete."""
    if old is None or event.action == "create":
        return None
    if new is None:
        return v2.last_state(event.entity, old)
    silent = _SILENT_TIMES if event.entity in _WITHOUT_TIMES_IN_PREVIOUS else frozenset()
    changed = {key: old[key] for key, now in new.items() if old[key] != now and key not in silent}
    if "custom_fields" in changed:
        fields, before = new["custom_fields"], old["custom_fields"]
        changed["custom_fields"] = {code: before.get(code) for code in fields if before.get(code) != fields[code]}
    return changed


def _v2_meta(account: Account, event: Event, attempt: int) -> Record:
    meta: Record = {
        "action": event.action,
        "company_id": str(account.company_id),
        "correlation_id": event.correlation_id,
        "entity_id": str(event.id),
        "entity": event.entity,
        # The documented user events repeat the user's id here, so that it is no event id: the trap is kept.
        "id": str(event.id) if event.entity == "user" else event.event_id,
        "is_bulk_edit": event.is_bulk,
        "timestamp": stamp(event.at, milliseconds=True),
        "type": "general",
        "user_id": str(event.user_id),
        "version": "2.0",
        "webhook_id": str(account.webhook_id),
        "webhook_owner_id": str(account.owner_id),
        "change_source": event.change_source,
        "attempt": attempt,
        "host": account.host,
    }
    if event.entity != "user":
        meta["permitted_user_ids"] = [str(user_id) for user_id in event.permitted]
    if event.merged_to is not None:
        meta["merged_to_id"] = str(event.merged_to)
    if event.loser is not None:
        meta["merged_from_id"] = str(event.loser["id"])
    return meta


def v1_body(account: Account, event: Event, attempt: int) -> Body:
    name = "activityType" if event.entity == "activity_type" else event.entity
    action = "merged" if event.loser is not None else _V1_ACTIONS[event.action]
    current, previous = _v1_states(account, event)
    return {
        "v": 1,
        "matches_filters": {"current": []},
        "meta": _v1_meta(account, event, name, action),
        "current": current,
        "previous": previous,
        "event": f"{action}.{name}",
        "retry": attempt - 1,
    }


def _v1_states(account: Account, event: Event) -> tuple[Any, ...]:
    """Both states whole. A merge tells the removed record as `previous`; user events carry arrays."""
    previous = event.before if event.loser is None else event.loser
    told = [None if record is None else v1.full(account, event, record) for record in (event.after, previous)]
    if event.loser is not None and told[0] is not None:
        told[0]["merge_what_id"] = event.loser["id"]
    if event.entity == "user":
        return tuple(None if state is None else [state] for state in told)
    return tuple(told)


def _v1_meta(account: Account, event: Event, name: str, action: str) -> Record:
    notified = {"activity_notifications_language": None, "send_activity_notifications": False}
    return {
        "v": 1,
        "action": action,
        "object": name,
        "id": event.id,
        "company_id": account.company_id,
        "user_id": event.user_id,
        "host": account.host,
        "timestamp": event.at // 1_000_000,
        "timestamp_micro": event.at,
        "prepublish_timestamp": event.at // 1_000 + 150,
        "permitted_user_ids": list(event.permitted) if event.entity != "user" else ["*"],
        "trans_pending": False,
        "is_bulk_update": event.is_bulk,
        "pipedrive_service_name": False,
        "change_source": event.change_source,
        "webhook_id": str(account.webhook_id),
        "matches_filters": {"current": []},
        **(notified if event.entity == "activity" else {}),
    }
