"""What the lists of the API see of a company at this moment."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from sandbox.cloud import Company
from sandbox.records import ALL, stamp
from sandbox.shelf import Id, Record, identity

_KEPT: Final = 30 * 24 * 3_600 * 1_000_000
"""Microseconds that a deleted record can still be seen where it can be seen at all."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is unknown of Pipedrive, to be chosen. Each default is the likelier, or the harder one for a reader.

    above_limit    what a v2 list does when asked for more rows than a page may have
    deleted_by_id  a get of what is deleted less than 30 days ago
    cursor_lives   seconds until a cursor is refused; None: never
    """

    above_limit: Literal["refused", "capped"] = "refused"
    deleted_by_id: Literal["gone", "told"] = "gone"
    cursor_lives: float | None = None


@dataclass(frozen=True, slots=True)
class View:
    """A company as the owner of the token sees it. `user_id` is who that is."""

    company: Company
    rules: Rules = field(default_factory=Rules)
    user_id: int = 1

    @property
    def now(self) -> str:
        """The company's own clock, as its times are told."""
        return stamp(self.company.now())

    def records(self, entity: str) -> Iterator[Record]:
        """The live ones that are not hidden."""
        hidden, key = self.company.hidden, ALL[entity].key
        for record in self.company.live[entity]:
            if not hidden or (entity, identity(key, record)) not in hidden:
                yield record

    def deleted(self, entity: str) -> Iterator[Record]:
        """Those deleted less than 30 days ago, as a list that has them tells them."""
        for record in self.company.deleted[entity]:
            if self._kept(entity, record):
                yield _marked(record)

    def one(self, entity: str, record_id: Id) -> Record | None:
        """By its key; one deleted, only if the rules say so."""
        if (entity, record_id) in self.company.hidden:
            return None
        if record_id in self.company.live[entity]:
            return self.company.live[entity][record_id]
        if self.rules.deleted_by_id == "gone" or record_id not in self.company.deleted[entity]:
            return None
        record = self.company.deleted[entity][record_id]
        return _marked(record) if "is_deleted" in record and self._kept(entity, record) else None

    def _kept(self, entity: str, record: Record) -> bool:
        key = (entity, identity(ALL[entity].key, record))
        return key not in self.company.hidden and self.company.now() - self.company.deleted_at[key] < _KEPT


def _marked(record: Record) -> Record:
    """As deleted, by whichever of its columns says so."""
    marks = {"is_deleted": True, "status": "deleted"}
    return {**record, **{column: mark for column, mark in marks.items() if column in record}}
