"""The field definitions that a made-up account begins with."""

from collections.abc import Iterator, Mapping

from sandbox.fields import CARRIERS, Field
from sandbox.polled.definitions import as_of_leads, as_of_notes, built_in, custom
from sandbox.records import SHAPES
from sandbox.sales import CONTACT_LABELS, DEAL_LABELS
from sandbox.shape import Shape
from sandbox.shelf import Record
from sandbox.work import PROJECT_LABELS

_LABELS = {"deal": DEAL_LABELS, "person": CONTACT_LABELS, "organization": CONTACT_LABELS, "project": PROJECT_LABELS}


def definitions(fields: Mapping[str, tuple[Field, ...]], now: str) -> Iterator[tuple[str, Record]]:
    """(`deal_field`, its record) and so on: what each column is, and the custom fields behind them."""
    for entity in (*CARRIERS, "activity"):
        for record in built_in(_columns(SHAPES[entity]), _LABELS.get(entity, ()), SHAPES[entity].asked_for, now):
            yield f"{entity}_field", record
        for number, field in enumerate(fields.get(entity, ()), 1):
            yield f"{entity}_field", custom(field, f"{field.type.capitalize()} {number}", now)
    for number, field in enumerate(fields["lead"], 1):
        times = {"add_time": now, "update_time": now}
        yield "lead_field", as_of_leads(custom(field, f"{field.type.capitalize()} {number}", now), number) | times
    for number, column in enumerate(_columns(SHAPES["note"]), 1):
        yield "note_field", as_of_notes(column, number)


def _columns(shape: Shape) -> tuple[str, ...]:
    return ("id", *shape.columns, *(column for column in (shape.created, shape.updated) if column))
