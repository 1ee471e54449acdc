"""Who is mirrored: companies, their slug (it names their schemas) and their state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from store import locks
from store.database import Connection

ACTIVE = "active"
PAUSED = "paused"
PURGED = "purged"

FIRST_SLUG = "pipedrive"


FieldType = tuple[str, str, str]
"""(entity, hash, type) of a custom field."""


class OutdatedCompanyError(Exception):
    """What a process remembers of a company is no longer so: it was registered anew, or the database was restored."""


@dataclass(slots=True)
class Company:
    """One company, and what this process knows of its custom fields' types: {entity: {hash: type}}."""

    id: int
    slug: str
    state: str
    types: dict[str, dict[str, str]] = field(default_factory=dict)

    def types_of(self, entity: str) -> Mapping[str, str]:
        return self.types.get(entity, {})

    def learn(self, learnt: Iterable[FieldType]) -> None:
        for entity, key, kind in learnt:
            self.types.setdefault(entity, {})[key] = kind


async def find(connection: Connection, company_id: int) -> Company | None:
    row = await connection.fetchrow("SELECT id, slug, state FROM pipemirror.companies WHERE id = $1", company_id)
    return Company(**row) if row else None


async def lock_shared(connection: Connection, company: Company) -> str:
    """The company's state, which cannot change before this transaction ends. Raise OutdatedCompanyError."""
    state: str | None = await connection.fetchval("SELECT pipemirror.hold_company($1, $2)", company.id, company.slug)
    if state is None:
        raise OutdatedCompanyError
    return state


async def all_companies(connection: Connection) -> list[Company]:
    rows = await connection.fetch("SELECT id, slug, state FROM pipemirror.companies ORDER BY id")
    return [Company(**row) for row in rows]


async def outdated(connection: Connection, catalogue: str) -> list[Company]:
    """Those whose tables were last completed to another catalogue, or never; purged ones have none."""
    rows = await connection.fetch(
        "SELECT id, slug, state FROM pipemirror.companies WHERE state <> $1 AND catalogue IS DISTINCT FROM $2 "
        "ORDER BY id",
        PURGED,
        catalogue,
    )
    return [Company(**row) for row in rows]


async def catalogue_of(connection: Connection, company_id: int) -> str | None:
    """Fingerprint of the catalogue that the company's tables were completed to."""
    found: str | None = await connection.fetchval(
        "SELECT catalogue FROM pipemirror.companies WHERE id = $1", company_id
    )
    return found


async def lock(connection: Connection, company_id: int) -> str | None:
    """Wait for what is being applied to the company, and let nothing begin before this transaction ends; its state."""
    await connection.execute("SELECT pg_advisory_xact_lock($1, hashint8($2))", locks.STATE, company_id)
    found: str | None = await connection.fetchval(
        "SELECT state FROM pipemirror.companies WHERE id = $1 FOR NO KEY UPDATE", company_id
    )
    return found


async def change_state(connection: Connection, company_id: int, state: str) -> str | None:
    """The state it had, or None for a company that is not known. A purged one stays so. In a transaction of its own."""
    async with connection.transaction():
        before = await lock(connection, company_id)
        if before not in {None, PURGED, state}:
            await connection.execute("UPDATE pipemirror.companies SET state = $2 WHERE id = $1", company_id, state)
    return before


async def completed(connection: Connection, company_id: int, catalogue: str) -> None:
    await connection.execute("UPDATE pipemirror.companies SET catalogue = $2 WHERE id = $1", company_id, catalogue)


async def purged(connection: Connection, company_id: int) -> None:
    """The end of a locked company; its slug stays taken."""
    await connection.execute(
        "UPDATE pipemirror.companies SET state = $2, purged_at = coalesce(purged_at, now()), catalogue = NULL "
        "WHERE id = $1",
        company_id,
        PURGED,
    )


async def register(connection: Connection, company_id: int, *, numbered: bool) -> Company:
    """Give a never-seen company its slug, within the caller's transaction; return the known one unchanged.

    The first company's slug is plain `pipedrive`; a later one, and every one if `numbered`, bears its id. Waits for who
    is just registering the same company, and for who may be about to be the first one.
    """
    known = await find(connection, company_id)
    if known is not None:
        return known
    slug = f"{FIRST_SLUG}_{company_id}"
    if not numbered and not await _first_slug_is_taken(connection):
        await connection.execute("SELECT pg_advisory_xact_lock($1)", locks.SLUGS)
        if not await _first_slug_is_taken(connection):
            slug = FIRST_SLUG
    await connection.execute(
        "INSERT INTO pipemirror.companies (id, slug) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", company_id, slug
    )
    known = await find(connection, company_id)
    assert known is not None
    return known


async def _first_slug_is_taken(connection: Connection) -> bool:
    """Once it is, it is for ever."""
    taken: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pipemirror.companies WHERE slug = $1)", FIRST_SLUG
    )
    return taken
