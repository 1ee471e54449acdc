"""Types of custom fields, as learnt from typed events, per company and entity."""

from collections.abc import Iterable

from store.database import Connection


async def types(connection: Connection, company_id: int) -> dict[str, dict[str, str]]:
    """{entity: {hash: type}}."""
    rows = await connection.fetch("SELECT entity, key, type FROM pipemirror.fields WHERE company_id = $1", company_id)
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        found.setdefault(row["entity"], {})[row["key"]] = row["type"]
    return found


async def learn(connection: Connection, company_id: int, learnt: Iterable[tuple[str, str, str]]) -> None:
    """(entity, hash, type). In sorted order, as every writer does."""
    rows = sorted(learnt)
    await connection.execute(
        "INSERT INTO pipemirror.fields AS known (company_id, entity, key, type) "
        "SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[]) "
        "ON CONFLICT (company_id, entity, key) DO UPDATE SET type = excluded.type, learnt_at = now() "
        "WHERE known.type <> excluded.type",
        company_id,
        *([row[n] for row in rows] for n in range(3)),
    )
