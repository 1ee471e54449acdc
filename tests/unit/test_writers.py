"""How a batch is dealt out to writers; here they write when told to."""

import asyncio
import gc
import weakref
from collections.abc import Iterable, Sequence
from typing import cast

import pytest
from rig.events import COMPANY, START, deal, envelope, event, v2_body
from rig.waiting import until

from schema.envelope import Envelope
from schema.event import Event, Readable, Refusal, read
from schema.mark import Mark
from worker import groups
from worker.applying.applier import Applier
from worker.applying.reading import AT_ONCE
from worker.groups import MOST_TOGETHER
from worker.writers import _DEALT, Writers


class Scripted:
    """An applier. It notes what it begins, and ends nothing before `write` is set."""

    stalled = False

    def __init__(self, write: asyncio.Event) -> None:
        self.begun: list[Sequence[Readable]] = []
        self.done = 0
        self.failure: Exception | None = None
        self.cancelled = False
        self.read_so_far = 0
        self._write = write

    def read(self, envelopes: Sequence[Envelope]) -> list[Readable]:
        self.read_so_far += len(envelopes)
        return [read(found, lambda _: {}) for found in envelopes]

    async def apply_read(self, readable: Iterable[Readable]) -> None:
        self.begun.append(list(readable))
        if self.failure is not None:
            raise self.failure
        try:
            await self._write.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        self.done += 1

    @property
    def about(self) -> list[tuple[int, str, str | None]]:
        """(company, entity, entity_id) of the events begun, in order."""
        return [(one.envelope.company_id, one.entity, one.entity_id) for one in self.events]

    @property
    def events(self) -> list[Event]:
        """Those begun, in order."""
        return [one for part in self.begun for one in part if isinstance(one, Event)]


class Room:
    """Two writers and their appliers. `quick`: the second one writes at once, whatever the first one waits for."""

    def __init__(self, *, quick: bool = False) -> None:
        self.write = asyncio.Event()
        at_once = asyncio.Event()
        at_once.set()
        self.appliers = [Scripted(self.write), Scripted(at_once if quick else self.write)]
        self.writers = Writers(cast("list[Applier]", self.appliers))  # as much of them as is used

    def begin(self, *envelopes: Envelope) -> "asyncio.Task[None]":
        return asyncio.create_task(self.writers.apply(groups.of(envelopes)))

    async def finish(self, applying: "asyncio.Task[None]") -> None:
        self.write.set()
        await asyncio.wait_for(applying, 10)


def person(at: int, record_id: int = 1) -> Envelope:
    return event(v2_body("person", record_id, START + at, {"name": "Ada"})).envelope


def of_companies(number: int, events: int = 1) -> list[Envelope]:
    return [deal(at, 1, company_id=company).envelope for company in range(1, number + 1) for at in range(events)]


async def test_one_company_is_written_by_several_each_entity_by_one_and_in_its_order() -> None:
    room = Room()
    # Neither is most of it; of each record two events.
    mixed = [found for at in range(300) for found in (deal(at, at // 2).envelope, person(at, at // 2))]
    await room.finish(room.begin(*mixed))
    assert len(mixed) > MOST_TOGETHER
    for applier, entity in zip(room.appliers, ("deal", "person"), strict=True):
        assert applier.about == [(COMPANY, entity, str(at // 2)) for at in range(300)]


async def test_what_most_of_a_backlog_is_about_is_written_by_all_each_record_by_one_and_in_its_order() -> None:
    room = Room()
    half = MOST_TOGETHER // 2
    first = [deal(2 * at + again, at).envelope for at in range(half) for again in range(2)]
    # In the groups after the first one, too, though half of them is about something else.
    later = [found for at in range(half) for found in (person(at), deal(2 * half + at, at).envelope)]
    await room.finish(room.begin(*first, *later))
    deals = [[one for one in applier.events if one.entity == "deal"] for applier in room.appliers]
    records = [{one.entity_id for one in written} for written in deals]
    assert not records[0] & records[1]
    assert min(map(len, records)) > half // 4
    for written in deals:
        times = [one.occurred_at for one in written if one.occurred_at is not None]
        assert times == sorted(times)
    assert sorted(sum(one.entity == "person" for one in applier.events) for applier in room.appliers) == [0, half]


async def test_what_is_no_backlog_stays_with_the_writer_that_knows_its_table() -> None:
    room = Room()
    await room.finish(room.begin(*(deal(at, at).envelope for at in range(MOST_TOGETHER - 1))))
    assert [len(applier.about) for applier in room.appliers] == [MOST_TOGETHER - 1, 0]


async def test_what_an_entity_was_given_to_it_keeps_for_ever() -> None:
    room = Room()
    await room.finish(room.begin(deal(0).envelope))
    await room.finish(room.begin(*(person(at) for at in range(10)), deal(1).envelope))
    assert [entity for _, entity, _ in room.appliers[0].about] == ["deal", "deal"]
    assert {entity for _, entity, _ in room.appliers[1].about} == {"person"}


async def test_of_many_companies_each_goes_to_one_writer_as_a_whole() -> None:
    room = Room()
    applying = room.begin(*of_companies(8, events=3), person(0))
    await until(lambda: all(applier.begun for applier in room.appliers), what="both at work at once")
    await room.finish(applying)
    for number, applier in enumerate(room.appliers):
        companies = [company for company, _, _ in applier.about]
        assert companies == sorted(companies)
        assert {company % 2 for company in companies} == {number}


async def test_of_many_companies_one_whose_writing_takes_long_keeps_no_other_writer_waiting() -> None:
    room = Room(quick=True)
    applying = room.begin(*of_companies(40))
    await until(lambda: room.appliers[1].done == 20, what="the other writer is done with all of its companies")
    assert len(room.appliers[0].begun) == 1
    await room.finish(applying)


async def test_of_one_company_an_entity_whose_writing_takes_long_does_not_soon_keep_the_others_waiting() -> None:
    room = Room(quick=True)
    parts = _DEALT - 1
    mixed = [found for at in range(parts * MOST_TOGETHER // 2) for found in (deal(at, at).envelope, person(at, at))]
    applying = room.begin(*mixed)
    await until(lambda: room.appliers[1].done == parts, what="the other writer is done with its part of all groups")
    assert len(room.appliers[0].begun) == 1
    await room.finish(applying)
    assert [id_ for _, _, id_ in room.appliers[0].about] == [str(at) for at in range(len(mixed) // 2)]


async def test_of_many_companies_no_more_is_read_than_is_soon_written() -> None:
    room = Room()
    applying = room.begin(*of_companies(40))
    await until(lambda: all(applier.begun for applier in room.appliers), what="both at work")
    await all_have_had_their_turn()
    assert room.appliers[0].read_so_far == 4  # of each writer one at hand and the next one
    await room.finish(applying)
    assert room.appliers[0].read_so_far == 40


async def test_of_one_company_no_more_is_read_than_may_pile_up() -> None:
    room = Room()
    applying = room.begin(*(deal(at, at).envelope for at in range(MOST_TOGETHER * (_DEALT + 4))))
    bound = MOST_TOGETHER * (_DEALT // 2 + 1)  # of each group two parts; and one group that has found no room yet
    await until(lambda: room.appliers[0].read_so_far == bound, what="all read for which there is room")
    await all_have_had_their_turn()
    assert room.appliers[0].read_so_far == bound
    await room.finish(applying)


async def all_have_had_their_turn() -> None:
    for _ in range(2 * MOST_TOGETHER // AT_ONCE):  # every task, and time to read one more group
        await asyncio.sleep(0)


async def test_what_was_written_is_let_go_of_also_by_a_writer_that_waits_for_more() -> None:
    room = Room(quick=True)
    quick = room.appliers[1]
    deals = (deal(at, at).envelope for at in range(MOST_TOGETHER * (_DEALT + 1)))  # more than there is room for
    # A group of its own, and the first one: the deals then stay with the other writer.
    applying = room.begin(deal(0, company_id=COMPANY - 1).envelope, envelope(b"broken", COMPANY - 1), *deals)
    await until(lambda: quick.done == 1, what="written")
    await all_have_had_their_turn()
    problems = [weakref.ref(one.problem) for one in quick.begun.pop() if isinstance(one, Refusal)]
    gc.collect()
    assert [problem() for problem in problems] == [None]
    await room.finish(applying)


async def test_a_mark_is_met_when_all_that_was_queued_before_is_done() -> None:
    room = Room()
    mark = envelope(Mark("token", "lane").body)
    applying = room.begin(*(deal(at).envelope for at in range(3)), mark, person(0))
    await until(lambda: all(applier.begun for applier in room.appliers), what="both at work")
    await all_have_had_their_turn()
    begun = [one for applier in room.appliers for part in applier.begun for one in part]
    assert not any(isinstance(one, Refusal) for one in begun)
    await room.finish(applying)
    [last] = room.appliers[0].begun[-1]
    assert isinstance(last, Refusal)
    assert last.envelope == mark


async def test_what_one_raises_ends_all_and_the_others_are_told_only_once() -> None:
    room = Room()
    room.appliers[0].failure = RuntimeError("given up")
    applying = room.begin(*of_companies(9))
    with pytest.raises(RuntimeError, match="given up"):
        await asyncio.wait_for(applying, 10)
    other = room.appliers[1]
    assert other.cancelled or not other.begun
    assert other.done == 0


async def test_who_stops_waiting_stops_the_writers() -> None:
    room = Room()
    applying = room.begin(*of_companies(9))
    await until(lambda: all(applier.begun for applier in room.appliers), what="both at work")
    applying.cancel()
    await asyncio.wait((applying,), timeout=10)
    assert applying.cancelled()
    assert [applier.cancelled for applier in room.appliers] == [True, True]
