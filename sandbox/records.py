"""Records of a made-up account: every entity, in the vocabulary of the REST API.

Names are those of REST v2 (`owner_id`, `label_ids`, `is_deleted`), for user, note and lead those of REST v1. Times are
ISO 8601 in UTC with seconds, a lead's with milliseconds. `custom_fields` maps hash -> canonical value (see `fields`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sandbox import offers, sales, work
from sandbox.draw import Draw
from sandbox.fields import Field, value, values
from sandbox.polled import children, definitions, logs, mail, people, setup
from sandbox.shape import Shape
from sandbox.shelf import Record

SHAPES: Final[Mapping[str, Shape]] = {
    "user": work.USER,
    "pipeline": sales.PIPELINE,
    "stage": sales.STAGE,
    "activity_type": work.ACTIVITY_TYPE,
    "organization": sales.ORGANIZATION,
    "person": sales.PERSON,
    "product": offers.PRODUCT,
    "lead": sales.LEAD,
    "deal": sales.DEAL,
    "deal_product": offers.DEAL_PRODUCT,
    "deal_installment": offers.DEAL_INSTALLMENT,
    "activity": work.ACTIVITY,
    "note": work.NOTE,
    "board": work.BOARD,
    "phase": work.PHASE,
    "project": work.PROJECT,
    "task": work.TASK,
}
"""Every entity that sends webhooks, in an order in which each refers only to earlier ones."""

POLLED: Final[Mapping[str, Shape]] = {
    **setup.SHAPES,
    **people.SHAPES,
    **children.SHAPES,
    **mail.SHAPES,
}
"""Entities that send none, and that somebody changes now and then."""

ALL: Final[Mapping[str, Shape]] = {**SHAPES, **POLLED, **definitions.SHAPES, **logs.SHAPES}

Fields = Mapping[str, tuple[Field, ...]]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stamp(micros: int, *, milliseconds: bool = False) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC, cut (not rounded) to seconds or milliseconds."""
    moment = _EPOCH + timedelta(microseconds=micros)
    return moment.isoformat(timespec="milliseconds" if milliseconds else "seconds").replace("+00:00", "Z")


def make(entity: str, draw: Draw, fields: Fields, known_by: Record, now: str) -> Record:
    """A new record, `known_by` the columns of its key that it does not make up itself.

    A deal has no update_time before its first change.
    """
    shape = ALL[entity]
    record: Record = {**known_by, **{column: generate(draw) for column, generate in shape.columns.items()}}
    if shape.created:
        record[shape.created] = now
    if shape.updated:
        record[shape.updated] = None if entity == "deal" else now
    if entity in fields:
        record["custom_fields"] = values(draw, fields[entity])
    return shape.complete(draw, record)


def touch(entity: str, record: Record, now: str) -> Record:
    """The record with its update time set; it never goes back."""
    column = ALL[entity].updated
    return record if column is None else {**record, column: max(record[column] or "", now)}


def edit(entity: str, draw: Draw, fields: Fields, record: Record, now: str) -> Record | None:
    """The record after somebody changed it; None where the draw changed nothing."""
    shape = ALL[entity]
    if shape.actions and draw.chance(0.4):
        changes = draw.one_of(shape.actions)(draw, record, now)
    elif entity in fields and draw.chance(0.4):
        changes = {"custom_fields": record["custom_fields"] | _other_values(draw, fields[entity])}
    else:
        columns = draw.rng.sample(shape.edited, draw.number(1, min(3, len(shape.edited))))
        changes = {column: shape.columns[column](draw) for column in columns}
    edited = shape.complete(draw, {**record, **changes})
    return None if edited == record else touch(entity, edited, now)


def _other_values(draw: Draw, fields: tuple[Field, ...]) -> dict[str, Any]:
    return {field.code: value(draw, field) for field in draw.rng.sample(fields, draw.number(1, 3))}
