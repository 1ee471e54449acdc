"""What can be read in the database about how the mirror is doing."""

from typing import Any

from schema.ddl import quoted, raw_schema
from schema.entities import ENTITIES
from store import companies
from store.database import Connection

_ENTITIES_OF_A_COMPANY = """
SELECT entity,
       count(*) AS events_24h,
       max(occurred_at) AS newest_event,
       max(applied_at) AS newest_applied,
       percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
           ORDER BY extract(epoch FROM applied_at - received_at)::float8) AS lag_seconds
FROM pipemirror.events
WHERE company_id = $1 AND received_at >= now() - interval '24 hours' AND applied_at IS NOT NULL
GROUP BY entity
ORDER BY entity
"""


async def rows(connection: Connection, slug: str) -> dict[str, int]:
    """Table -> live rows, counted."""
    parts = [
        f"SELECT '{entity.plural}' AS name, count(*) AS live FROM {quoted(raw_schema(slug))}.{quoted(entity.plural)} "
        "WHERE _deleted_at IS NULL"
        for entity in ENTITIES
    ]
    return {row["name"]: row["live"] for row in await connection.fetch(" UNION ALL ".join(parts))}


async def status(connection: Connection) -> dict[str, Any]:
    """Companies with their entities' freshness and lag over 24 hours, and the open dead letters by code."""
    return {
        "companies": [await _company(connection, company) for company in await companies.all_companies(connection)],
        "dead_letters": await _dead_letters(connection),
    }


async def _company(connection: Connection, company: companies.Company) -> dict[str, Any]:
    found = await connection.fetch(_ENTITIES_OF_A_COMPANY, company.id)
    live = {} if company.state == companies.PURGED else await rows(connection, company.slug)
    entities = [
        {
            **{name: row[name] for name in ("entity", "events_24h", "newest_event", "newest_applied")},
            **dict(zip(("lag_p50_seconds", "lag_p95_seconds", "lag_p99_seconds"), row["lag_seconds"], strict=True)),
        }
        for row in found
    ]
    return {"id": company.id, "slug": company.slug, "state": company.state, "rows": live, "entities": entities}


async def _dead_letters(connection: Connection) -> dict[str, int]:
    found = await connection.fetch(
        "SELECT code, count(*) AS open FROM pipemirror.dead_letters WHERE resolved_at IS NULL "
        "GROUP BY code ORDER BY code"
    )
    return {row["code"]: row["open"] for row in found}
