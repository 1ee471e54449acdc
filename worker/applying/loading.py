"""Rows of the REST API into the tables. Those of records that have no row yet are copied in, the others are folded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import asyncpg

from schema import dml
from schema.change import RecordId
from schema.ddl import raw_schema
from schema.entity import Entity, id_text
from schema.errors import BadContent, BadValue, Conflict
from schema.fresh import Values, fresh
from schema.rest import Answer, Row, change_of, completed, read_id
from store import companies, refused, upkeep
from store.companies import ACTIVE, Company
from store.database import Connection, describe, is_bad_content
from store.refused import Refused
from worker.applying import mirror


@dataclass(slots=True)
class Loaded:
    """What became of the rows of one answer.

    ids      of the records they are of, in the order of the rows
    made     how many of them had no row yet
    refused  what cannot be read, and why: nothing of it is written
    """

    ids: list[RecordId] = field(default_factory=list)
    made: int = 0
    refused: list[Refused] = field(default_factory=list)


async def load(connection: Connection, company: Company, answer: Answer, rows: Iterable[Row]) -> Loaded | None:
    """Within the caller's transaction. None, and nothing is written, if the company is not active.

    Which rows are refused is kept, with the reason, until they can be read (`store.refused`).

    Raise Conflict where another worker has made one of the records meanwhile: the transaction is to be tried again.
    """
    if await companies.lock_shared(connection, company) != ACTIVE:
        return None
    loaded = await _load_some(connection, company, answer, list(completed(answer, rows)))
    await refused.note(connection, company.id, answer.entity, loaded.ids, loaded.refused)
    return loaded


def refused_row(entity: Entity, row: Row, problem: BadContent) -> Refused:
    """Of a completed row."""
    try:
        name = id_text(read_id(entity, row))
    except BadContent:
        name = ""
    return Refused(name, problem.code, problem.reason)


async def _load_some(connection: Connection, company: Company, answer: Answer, rows: Sequence[Row]) -> Loaded:
    """What the database refuses for its content is halved until the culprit stands alone: the others are written."""
    try:
        async with connection.transaction():
            return await _load_all(connection, company, answer, rows)
    except (asyncpg.PostgresError, asyncpg.DataError) as error:
        if not is_bad_content(error):
            raise
        if len(rows) == 1:
            problem = BadValue(f"{answer.entity.name}: {describe(error)}")
            return Loaded(refused=[refused_row(answer.entity, rows[0], problem)])
    middle = len(rows) // 2
    first = await _load_some(connection, company, answer, rows[:middle])
    second = await _load_some(connection, company, answer, rows[middle:])
    return Loaded(first.ids + second.ids, first.made + second.made, first.refused + second.refused)


async def _load_all(connection: Connection, company: Company, answer: Answer, rows: Sequence[Row]) -> Loaded:
    loaded = Loaded()
    found: list[tuple[RecordId, Row]] = []
    for row in rows:
        try:
            found.append((read_id(answer.entity, row), row))
        except BadContent as problem:
            loaded.refused.append(refused_row(answer.entity, row, problem))
    loaded.ids = [record_id for record_id, _ in found]
    known = await _known(connection, company, answer.entity, loaded.ids)
    new: dict[RecordId, Values] = {}
    # The clock by which a comparison knows what was written while it read.
    changes, now = [], await upkeep.now(connection)
    for record_id, row in found:
        try:
            if record_id in known or record_id in new:
                changes.append(change_of(answer, row))
            else:
                new[record_id] = fresh(answer, row, now)
        except BadContent as problem:
            loaded.refused.append(refused_row(answer.entity, row, problem))
    # In this order: the rows that are there are locked before any is made, as by every writer.
    await mirror.write(connection, company, [change for change in changes if change.id not in new])
    await _copy(connection, company, answer.entity, list(new.values()))
    await mirror.write(connection, company, [change for change in changes if change.id in new])
    loaded.made = len(new)
    return loaded


async def _known(
    connection: Connection, company: Company, entity: Entity, ids: Sequence[RecordId]
) -> frozenset[RecordId]:
    if not ids:
        return frozenset()
    rows = await connection.fetch(dml.known(company.slug, entity), *dml.ids(entity, ids))
    return frozenset(map(entity.id_of, rows))


async def _copy(connection: Connection, company: Company, entity: Entity, new: Sequence[Values]) -> None:
    if not new:
        return
    try:
        await connection.copy_records_to_table(
            entity.plural,
            schema_name=raw_schema(company.slug),
            columns=dml.copied(entity),
            records=new,
        )
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"some of {len(new)} new {entity.plural} were written by another worker first") from error
