"""A company's schemas and tables: made once when it is first seen, completed by every upgrade."""

from schema import ddl
from schema.ddl import HISTORY, MERGES
from schema.entities import ENTITIES
from store import companies, locks
from store.companies import Company
from store.database import Connection

# What information_schema.columns shows, without asking of each column who may do what to it.
_PRESENT = """
SELECT relname AS table_name, attname AS column_name FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p', 'v', 'f') AND attnum > 0 AND NOT attisdropped
"""


async def provision(connection: Connection, company_id: int, *, numbered_slugs: bool) -> Company:
    """Register the company and make its tables, in a transaction of its own; harmless when done twice or at once.

    Others that are new are made meanwhile, unless this may become the first one: its slug is not known until it is.
    """
    async with connection.transaction():
        company = await companies.register(connection, company_id, numbered=numbered_slugs)
        if company.state != companies.PURGED:
            await complete(connection, company)
    return company


async def complete(connection: Connection, company: Company) -> None:
    """Bring a company's tables to this release's catalogue. Only adds, and never waits long for a lock."""
    await lock_ddl(connection, company.id)
    if await companies.catalogue_of(connection, company.id) == ddl.fingerprint():
        return
    # Before any table, as whoever applies events does: the other way round the two would wait for each other.
    if await companies.lock(connection, company.id) in {None, companies.PURGED}:
        return
    await _complete_tables(connection, company.slug)
    await companies.completed(connection, company.id, ddl.fingerprint())


async def lock_ddl(connection: Connection, company_id: int) -> None:
    """One at a time makes or drops a company's tables, and none waits long for somebody's lock on one."""
    await connection.execute("SET LOCAL lock_timeout = '5s'")
    await connection.execute("SELECT pg_advisory_xact_lock($1, hashint8($2))", locks.DDL, company_id)


async def mend(connection: Connection, company: Company) -> None:
    """Make the tables anew that somebody dropped; columns and indexes are completed with them."""
    async with connection.transaction():
        present = await _present_columns(connection, company.slug)
        if {HISTORY, MERGES, *(entity.plural for entity in ENTITIES)} - present.keys():
            await companies.completed(connection, company.id, "")
            await complete(connection, company)


async def _complete_tables(connection: Connection, slug: str) -> None:
    """In one round trip, for there are more than a hundred statements."""
    present = await _present_columns(connection, slug)
    statements = [*ddl.create_schemas(slug), *ddl.create_tables(slug)]
    for entity in ENTITIES:
        if entity.plural in present:
            statements += ddl.add_columns(slug, entity, present[entity.plural])
    await connection.execute(";\n".join([*statements, *ddl.create_indexes(slug)]))


async def _present_columns(connection: Connection, slug: str) -> dict[str, set[str]]:
    rows = await connection.fetch(_PRESENT, ddl.raw_schema(slug))
    present: dict[str, set[str]] = {}
    for row in rows:
        present.setdefault(row["table_name"], set()).add(row["column_name"])
    return present
