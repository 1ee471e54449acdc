"""What can be read in the database about how the mirror is doing, at a cost that does not grow with the journal."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from schema.ddl import quoted, raw_schema
from schema.entities import ENTITIES, HEARD
from schema.entity import Entity
from schema.version import Version, moment
from store import companies, healing, held, purges, replays
from store.companies import PURGED, Company
from store.database import Connection

COUNTED_BELOW: Final = 50_000
"""Rows, by Postgres' own estimate. Larger tables are not counted: the estimate is told, and that it is one."""

_LAG_COLUMNS: Final = (
    "event_to_row_p50", "event_to_row_p95", "event_to_row_p99",
    "receipt_to_row_p50", "receipt_to_row_p95", "receipt_to_row_p99",
)  # fmt: skip

_ESTIMATES = """
SELECT relname, CASE WHEN reltuples < 0 THEN pg_relation_size(oid) / 1000 ELSE reltuples END::bigint AS rows
FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'
"""


async def rows(connection: Connection, slug: str) -> dict[str, int]:
    """Table -> live rows, counted."""
    return await _counted(connection, slug, ENTITIES)


async def last_told(connection: Connection, slug: str) -> datetime | None:
    """When a row was written last of an entity that webhooks tell of; None if there is none."""
    tables = {row["relname"] for row in await connection.fetch(_ESTIMATES, raw_schema(slug))}
    written = await _last_written(connection, slug, [one for one in HEARD.values() if one.plural in tables])
    return _newest(*(at for _, at in written.values()))


async def status(connection: Connection, now: datetime) -> dict[str, Any]:
    """Companies with their entities' rows, freshness and lag; open dead letters by code; what is unfinished."""
    lag: dict[int, list[dict[str, Any]]] = {}
    for row in await connection.fetch("SELECT * FROM pipemirror.lag ORDER BY company_id, entity"):
        lag.setdefault(row["company_id"], []).append(dict(row))
    letters = await _dead_letters(connection)
    return {
        "at": now,
        "companies": [
            await _company(connection, company, lag.get(company.id, []), letters.get(company.id, {}), now)
            for company in await companies.all_companies(connection)
        ],
        "dead_letters": _summed(letters.values()),
        "held": {str(company_id): events for company_id, events in (await held.counts(connection)).items()},
        "unfinished_replays": await replays.unfinished(connection),
        "unfinished_purges": await purges.unfinished(connection),
    }


async def _company(
    connection: Connection, company: Company, lag: list[dict[str, Any]], letters: dict[str, int], now: datetime
) -> dict[str, Any]:
    told = {"id": company.id, "slug": company.slug, "state": company.state, "dead_letters": letters}
    if company.state == PURGED:
        nothing = {"rows": {}, "estimated": [], "kept": 0, "silence_seconds": None, "entities": []}
        return told | nothing | {"account": None}
    live, estimated, present = await _rows(connection, company.slug)
    by_entity = {row["entity"]: row for row in lag}
    # Where no index says which row was written last, a large table is not read through for it.
    probed = [entity for entity in present if entity.webhook or entity.plural not in estimated]
    written = await _last_written(connection, company.slug, probed)
    names = dict.fromkeys([*(entity.name for entity in present), *by_entity])
    entities = [_entity(name, by_entity.get(name), written.get(name), live, estimated) for name in names]
    seen = [entity for entity in entities if entity["last_applied"] or entity["rows"]]
    newest = _newest(*(entity["last_applied"] for entity in seen))
    return told | {
        "rows": live,
        "estimated": sorted(estimated),
        "kept": await _kept(connection, company.id),
        "silence_seconds": None if newest is None else (now - newest).total_seconds(),
        "entities": seen,
        "account": await healing.of_company(connection, company.id, now),
    }


async def _rows(connection: Connection, slug: str) -> tuple[dict[str, int], set[str], list[Entity]]:
    """Table -> live rows; which of these are estimates, which count tombstones too; the entities that have a table."""
    estimates = {row["relname"]: row["rows"] for row in await connection.fetch(_ESTIMATES, raw_schema(slug))}
    present = [entity for entity in ENTITIES if entity.plural in estimates]
    large = {entity.plural for entity in present if estimates[entity.plural] > COUNTED_BELOW}
    counted = await _counted(connection, slug, [entity for entity in present if entity.plural not in large])
    return {e.plural: estimates[e.plural] if e.plural in large else counted[e.plural] for e in present}, large, present


def _entity(
    name: str,
    lag: dict[str, Any] | None,
    written: tuple[datetime | None, datetime] | None,
    live: Mapping[str, int],
    estimated: Iterable[str],
) -> dict[str, Any]:
    """`last_event` and `last_applied` are those of the last hour, before that of the row that was written last."""
    event, applied = written or (None, None)
    hour = lag or dict.fromkeys(("last_event", "last_applied", *_LAG_COLUMNS)) | {"events": 0}
    plural = next((entity.plural for entity in ENTITIES if entity.name == name), "")
    return {
        "entity": name,
        "rows": live.get(plural, 0),
        "rows_estimated": plural in estimated,
        "events_1h": hour["events"],
        "last_event": _newest(event, hour["last_event"]),
        "last_applied": _newest(applied, hour["last_applied"]),
        **{f"{column}_seconds": hour[column] for column in _LAG_COLUMNS},
    }


async def _counted(connection: Connection, slug: str, entities: Iterable[Entity]) -> dict[str, int]:
    parts = [
        f"SELECT '{entity.plural}' AS name, count(*) AS live FROM {quoted(raw_schema(slug))}.{quoted(entity.plural)} "
        "WHERE _deleted_at IS NULL"
        for entity in entities
    ]
    return {row["name"]: row["live"] for row in await connection.fetch(" UNION ALL ".join(parts))} if parts else {}


async def _last_written(
    connection: Connection, slug: str, entities: Iterable[Entity]
) -> dict[str, tuple[datetime | None, datetime]]:
    """Entity -> time of the event that the row written last shows, and when it was written: an index probe each.

    Or a read of the table, where it is small and has no such index.
    """
    parts = [
        f"(SELECT '{entity.name}' AS entity, _version, _synced_at "
        f"FROM {quoted(raw_schema(slug))}.{quoted(entity.plural)} ORDER BY _synced_at DESC LIMIT 1)"
        for entity in entities
    ]
    found = await connection.fetch(" UNION ALL ".join(parts)) if parts else []
    return {row["entity"]: (_moment(row["_version"]), row["_synced_at"]) for row in found}


def _moment(version: str | None) -> datetime | None:
    return None if version is None else datetime.fromtimestamp(moment(Version(version)) / 1_000_000, UTC)


def _newest(*moments: datetime | None) -> datetime | None:
    return max((found for found in moments if found is not None), default=None)


async def _kept(connection: Connection, company_id: int) -> int:
    """Events that are journaled and touch no table: while paused, or of entities without one."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM pipemirror.events WHERE company_id = $1 AND applied_at IS NULL", company_id
    )
    return found


async def _dead_letters(connection: Connection) -> dict[int, dict[str, int]]:
    """Company -> code -> open letters."""
    found: dict[int, dict[str, int]] = {}
    for row in await connection.fetch(
        "SELECT company_id, code, count(*) AS open FROM pipemirror.dead_letters WHERE resolved_at IS NULL "
        "GROUP BY company_id, code ORDER BY company_id, code"
    ):
        found.setdefault(row["company_id"], {})[row["code"]] = row["open"]
    return found


def _summed(by_company: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for codes in by_company:
        for code, number in codes.items():
            total[code] = total.get(code, 0) + number
    return dict(sorted(total.items()))
