"""How the groups of a few companies are divided among writers, by what their events are about."""

from collections.abc import Iterator, Mapping, Sequence

from schema.event import Event, Readable
from worker.groups import MOST_TOGETHER


class Homes:
    """Which writer an entity's events go to: settled when it is first met, for the one that had the fewest so far."""

    def __init__(self, writers: int) -> None:
        self.writers = writers
        self._dealt = [0] * writers
        self._settled: dict[str, int] = {}

    def of(self, entity: str, events: int) -> int:
        number = self._settled.setdefault(entity, self._dealt.index(min(self._dealt)))
        self._dealt[number] += events
        return number


class Division:
    """How one batch is divided: by entity, for a writer that meets few tables needs few statements.

    But of a backlog that is mostly about one entity, that one is divided further, by record: its writer and Postgres
    would wait for each other by turns, and the other writers for nothing.
    """

    def __init__(self, homes: Homes) -> None:
        self._homes = homes
        self._spread: str | None = None
        self._seen_first = False

    def of(self, readable: Sequence[Readable]) -> Iterator[tuple[int, Sequence[Readable]]]:
        by_entity: dict[str, list[Readable]] = {}
        for found in readable:
            by_entity.setdefault(found.entity if isinstance(found, Event) else "", []).append(found)
        if not self._seen_first:
            # Settled by the first group: what touches one record must not change its writer within a batch.
            self._seen_first = True
            self._spread = _dominant(by_entity)
        parts: list[list[Readable]] = [[] for _ in range(self._homes.writers)]
        for entity, events in sorted(by_entity.items(), key=lambda item: -len(item[1])):
            home = self._homes.of(entity, len(events))
            if entity == self._spread:
                for found in events:
                    parts[_by_record(found, len(parts))].append(found)
            else:
                parts[home] += events
        return ((number, part) for number, part in enumerate(parts) if part)


def _dominant(by_entity: Mapping[str, Sequence[Readable]]) -> str | None:
    """The entity that most events of a full group are about."""
    total = sum(map(len, by_entity.values()))
    if total < MOST_TOGETHER:
        return None
    return next((entity for entity, events in by_entity.items() if entity and 2 * len(events) > total), None)


def _by_record(found: Readable, writers: int) -> int:
    return hash(found.entity_id) % writers if isinstance(found, Event) else 0
