"""What a mirror and an account differ in, as far as one entity goes. Counted, with a few samples."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from schema.change import Change
from schema.entity import DELETED_AT, id_text
from schema.history import of_diffs
from schema.record import Record, fold

SAMPLES: Final = 5


@dataclass(slots=True)
class Drift:
    """Of one entity.

    missing     records that are in Pipedrive only
    different   records whose rows here say something else; fields: how many of them differ in each
    superfluous records that are here only, as who asks for them is told
    doubted     of those: too many to be believed at once
    recent      those that are here only and were told of within the last minute: whether they are gone shows later
    hidden      those that may be there, but are not shown to this user
    samples     what -> ids of a few of them
    refused     rows that cannot be read: whether they differ nobody knows
    unread      why its lists could not all be read; then nothing is known of what is superfluous
    """

    entity: str
    missing: int = 0
    different: int = 0
    superfluous: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[str]] = field(default_factory=dict)
    doubted: int = 0
    recent: int = 0
    hidden: int = 0
    refused: int = 0
    rows: int = 0
    calls: int = 0
    tokens: int = 0
    unread: str = ""

    @property
    def total(self) -> int:
        return self.missing + self.different + self.superfluous

    def add(self, other: "Drift") -> None:
        """What was found of further rows."""
        self.missing += other.missing
        self.different += other.different
        self.fields += other.fields
        self.rows += other.rows
        for what, ids in other.samples.items():
            for one in ids:
                self.sample(what, one)

    def sample(self, what: str, record_id: Any) -> None:
        found = self.samples.setdefault(what, [])
        if len(found) < SAMPLES:
            found.append(id_text(record_id))

    def compare(self, changes: Iterable[Change], records: Mapping[Any, Record]) -> None:
        """Count what these changes would do to these records. They are not altered."""
        for change in changes:
            self.rows += 1
            record = records.get(change.id)
            if record is None:
                if not change.deleted:
                    self.missing += 1
                    self.sample("missing", change.id)
                continue
            fields = _differing(record, change)
            if fields:
                self.different += 1
                self.fields.update(fields)
                self.sample("different", change.id)


def _differing(record: Record, change: Change) -> set[str]:
    copy = replace(record, cells=dict(record.cells), versions=dict(record.versions), untyped=set(record.untyped))
    # What nobody has told so far is no change in the history, but the rows differ in it.
    unheard = {cell for cell in change.cells if record.version_of(cell) is None} - {DELETED_AT}
    told = of_diffs(change, fold(copy, change).diffs)
    return {change.field for change in told} | {cell for cell in unheard if not _blank(change.cells[cell])}


def _blank(value: Any) -> bool:
    return value is None or value == []
