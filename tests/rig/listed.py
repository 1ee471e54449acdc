"""A mirror of few lines: everything that the sandbox's lists tell, in the spelling in which a mirror keeps it."""

from collections.abc import Callable, Iterator
from typing import Any

from rig.asking import Asking

from sandbox.fields import ADDRESS_PARTS
from sandbox.records import ALL
from sandbox.rest import core, polled
from sandbox.rest.listing import Listing
from sandbox.shelf import identity

Row = dict[str, Any]
Mirror = dict[str, dict[Any, Row]]
LISTINGS = (*core.LISTINGS, *polled.LISTINGS)
HASH = 40


async def mirrored(api: Asking) -> Mirror:
    """Every list read to its end, for every parent there is."""
    found: Mirror = {entity: {} for entity in ALL}
    for listing in LISTINGS:
        for parent in _parents(api, listing):
            for number, told in enumerate(await _rows(api, listing, parent)):
                row = _read(api, listing, told, parent)
                key = (*ALL[listing.entity].key,) if ALL[listing.entity].key != ("_n",) else ()
                record_id = identity(key, row) if key else (listing.path, parent, number)
                found[listing.entity][record_id] = row | {"_deleted_at": None, "_merged_into": None}
    await _told_by_gets(api, found)
    found["user_setting"] = {1: {"user_id": 1, **(await api.get("/v1/userSettings")).body["data"]}}
    for provider, own in (await api.get("/v1/userConnections")).body["data"].items():
        row = {"user_id": 1, "provider": provider, "third_party_id": own}
        found.setdefault("user_connection", {})[1, provider] = row
    return found


async def _told_by_gets(api: Asking, found: Mirror) -> None:
    for entity, path in (("filter", "/v1/filters"), ("mail_message", "/v1/mailbox/mailMessages")):
        for record_id, row in found[entity].items():
            one = (await api.get(f"{path}/{record_id}", include_body=1)).body["data"]
            row |= {column: one[column] for column in ("conditions", "body") if column in one}


def _parents(api: Asking, listing: Listing) -> list[Any]:
    if listing.parent is None:
        return [None]
    company, entity = api.rest.view.company, listing.parent.entity
    return [record_id for record_id in company.live[entity].copy() if (entity, record_id) not in company.hidden]


async def _rows(api: Asking, listing: Listing, parent: Any) -> list[Row]:
    path = ("/api/v2" if listing.v == 2 else "/v1") + listing.path.replace("{parent}", str(parent))
    params: Row = {"include_fields": ",".join(ALL[listing.entity].asked_for)} if listing.v == 2 else {}
    if listing.parent is not None and listing.parent.param is not None:
        params[listing.parent.param] = parent
    rows: list[Row] = []
    for more in _variants(listing):
        if listing.paging == "cursor":
            rows += await api.walk(path, **params, **more)
        elif listing.paging == "whole":
            rows += _unwrapped((await api.get(path, **params, **more)).body["data"])
        else:
            rows += await _by_offset(api, path, listing, {**params, **more})
    return rows


def _variants(listing: Listing) -> Iterator[Row]:
    """What must be asked for apart."""
    if listing.entity == "goal":
        yield from ({"is_active": active, "assignee.type": "person"} for active in ("true", "false"))
    elif listing.entity == "mail_thread":
        yield from ({"folder": folder} for folder in ("inbox", "drafts", "sent", "archive"))
    else:
        yield {}


async def _by_offset(api: Asking, path: str, listing: Listing, params: Row) -> list[Row]:
    rows: list[Row] = []
    while True:
        answer = await api.get(path, **params, start=len(rows), limit=listing.most)
        rows += answer.rows
        told = answer.body["additional_data"]
        if not told.get("pagination", told)["more_items_in_collection"]:
            return rows


def _unwrapped(data: Any) -> list[Row]:
    if isinstance(data, dict):
        goals: list[Row] = data.get("goals", [data])
        return goals
    return data or []


def _read(api: Asking, listing: Listing, told: Row, parent: Any) -> Row:
    if listing.parent is not None and not listing.parent.told:
        told = {**told, listing.parent.column: parent}
    if listing.entity == "lead":
        return _lead(told, dict(api.rest.view.company.account.field_types))
    plain = {column: _PLAIN.get(listing.entity, {}).get(column, _same)(value) for column, value in told.items()}
    if listing.entity in {"mail_thread", "mail_message"}:
        return {column: bool(value) if column.endswith("_flag") else value for column, value in plain.items()}
    return plain


def _same(value: Any) -> Any:
    return value


_PLAIN: dict[str, dict[str, Callable[[Any], Any]]] = {
    "product": {"visible_to": int},
    "filter": {"visible_to": int},
    "role": {"assignment_count": int, "sub_role_count": int},
    "call_log": {"duration": int},
    "team": {"active_flag": bool, "deleted_flag": bool},
    "organization_relationship": {"active_flag": lambda text: text == "true"},
    "deal_participant": {"added_by_user_id": lambda user: user["id"]},
}


def _lead(told: Row, types: dict[str, str]) -> Row:
    """Custom fields stand flat beside the columns."""
    row = {column: value for column, value in told.items() if column[:HASH] not in types}
    row["visible_to"] = int(row["visible_to"])
    return row | {"custom_fields": {code: _field(told, code, kind) for code, kind in types.items() if code in told}}


def _field(told: Row, code: str, kind: str) -> Any:
    value, parts = told[code], {key[HASH + 1 :]: part for key, part in told.items() if key.startswith(f"{code}_")}
    match kind:
        case "enum":
            return int(value)
        case "set":
            return [int(one) for one in value.split(",")]
        case "address":
            return {"value": value, **dict.fromkeys(ADDRESS_PARTS), **parts}
        case _:
            return {"value": value, **parts} if parts else value
