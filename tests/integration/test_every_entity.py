"""Rows of every list of the REST API find their table, whatever their key and columns are."""

import json
from typing import Any

from rig.events import COMPANY, START
from rig.mirrored import company_of
from rig.samples import FOLDER

from cli import mirrored
from schema.entities import BY_NAME, ENTITIES
from schema.entity import Entity
from schema.listing import Listing
from schema.rest import Answer
from store import status
from store.companies import Company
from store.database import Pool
from worker.applying.loading import Loaded, load
from worker.upkeep.outgrown import outgrow

REST: dict[str, dict[str, str]] = json.loads((FOLDER / "rest_columns.json").read_bytes())
VALUES: dict[str, Any] = {
    "bigint": 7, "bigint[]": [7, 8], "boolean": True, "date": "2026-03-04", "integer": 7, "interval": "01:30",
    "jsonb": {"any": ["thing"]}, "numeric": 7.5, "smallint": 3, "text": "text", "text[]": ["a", "b"],
    "timestamptz": "2026-03-04 05:06:07", "uuid": "5b3fe4a0-1b7d-11ee-8f5c-5f1e2a3b4c5d",
    "uuid[]": ["5b3fe4a0-1b7d-11ee-8f5c-5f1e2a3b4c5d"],
}  # fmt: skip
LIVING = {"is_deleted": False, "deleted_flag": 0, "active_flag": True, "lang": "en-GB", "custom_fields": {}}
ID = {"value": 7, "name": "an object that stands for another record"}


def row_of(entity: Entity) -> dict[str, Any]:
    """Every root field of REST, as a record that lives has it."""
    kinds = REST[entity.name]
    row = {name: LIVING.get(name, VALUES[kind]) for name, kind in kinds.items()}
    return row | {column.name: ID for column in entity.columns if column.ref and kinds.get(column.name) == "jsonb"}


def of_list(entity: Entity, listing: Listing) -> dict[str, Any]:
    """What the list itself must tell is not in the row."""
    parent = {listing.parent.column} if listing.parent else set()
    told = {*parent, listing.mine, *listing.says} - {"is_archived"}
    return {name: value for name, value in row_of(entity).items() if name not in told}


async def loaded(pool: Pool, company: Company, entity: Entity, listing: Listing, began: int) -> Loaded:
    parent: Any = None
    if listing.parent is not None:
        kind = BY_NAME[listing.parent.entity].id_type
        parent = kind.of(VALUES[kind.sql])
    answer = Answer(entity, began, "backfill", listing=listing, parent=parent, mine=7)
    async with pool.acquire() as connection, connection.transaction():
        found = await load(connection, company, answer, [of_list(entity, listing)])
    assert found is not None
    assert found.refused == [], (entity.name, found.refused)
    return found


async def test_a_row_of_every_list_fills_every_column_and_is_known_again(pool: Pool) -> None:
    company = await company_of(pool)
    for entity in ENTITIES:
        first = await loaded(pool, company, entity, entity.listings[0], START)
        assert first.made == 1, entity.name
        for number, listing in enumerate(entity.listings):
            again = await loaded(pool, company, entity, listing, START + number + 1)
            assert again.made == (entity.log and number > 0), (entity.name, "a log's row says whose it is")

    async with pool.acquire() as connection:
        found = await mirrored.read(connection, COMPANY)
        told = await connection.fetch("SELECT DISTINCT entity, field FROM pipedrive_raw.field_changes")
        assert await outgrow(connection, company) == 0
        counted = await status.rows(connection, company.slug)
    assert {tuple(row) for row in told} <= {("deal", "is_archived"), ("lead", "is_archived")}
    assert counted == {entity.plural: len(entity.listings) if entity.log else 1 for entity in ENTITIES}
    for entity in ENTITIES:
        for row in found[entity.name].values():
            told_of = {column.name for column in entity.columns if column.name in REST[entity.name]}
            assert [name for name in {*told_of, *entity.key_names} if row[name] is None] == [], entity.name
            assert (row["_extra"], row["_deleted_at"]) == (None, None), entity.name
