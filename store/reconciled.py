"""What the last comparison of each entity came to."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

from store.database import Connection


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A comparison that has ended; the columns of `pipemirror.reconciled` say what each is."""

    entity: str
    repaired: bool
    since: datetime | None
    until: datetime | None
    rows: int
    missing: int
    different: int
    superfluous: int
    doubted: int
    hidden: int
    unread: str | None


_NAMES: Final = [field.name for field in fields(Reconciled)]

_NOTE: Final = (
    f"INSERT INTO pipemirror.reconciled (company_id, ended_at, whole_at, {', '.join(_NAMES)}) "
    f"VALUES ($1, now(), $2, {', '.join(f'${number}' for number, _ in enumerate(_NAMES, 3))}) "
    "ON CONFLICT (company_id, entity) DO UPDATE SET ended_at = now(), "
    "whole_at = coalesce(excluded.whole_at, reconciled.whole_at), "
    f"{', '.join(f'{name} = excluded.{name}' for name in _NAMES if name != 'entity')}"
)


async def note(connection: Connection, company_id: int, ended: Reconciled, began: datetime) -> None:
    """`began`: on the clock of the database."""
    is_whole = ended.repaired and ended.since is None and ended.until is None and ended.unread is None
    values = [getattr(ended, name) for name in _NAMES]
    await connection.execute(_NOTE, company_id, began if is_whole else None, *values)


async def whole_since(connection: Connection, company_id: int, moment: datetime) -> set[str]:
    """Entities of which all was compared and mended by who began at that moment or later."""
    rows = await connection.fetch(
        "SELECT entity FROM pipemirror.reconciled WHERE company_id = $1 AND whole_at >= $2", company_id, moment
    )
    return {row["entity"] for row in rows}
