"""The made-up company: reproducible, of every kind, in true order."""

import random
from collections import Counter
from itertools import count
from typing import Any

import orjson
import pytest

from sandbox.cloud import Company
from sandbox.events import Event
from sandbox.fields import TYPES
from sandbox.instants import Instants
from sandbox.payloads import body
from sandbox.records import SHAPES, stamp
from sandbox.script import step

START = 1_795_000_000_000_000


def new_company(seed: int = 1, tick: int = 50_000, same_instant: float = 0.0) -> Company:
    ticks = count(START, tick)
    return Company(random.Random(seed), 7, lambda: next(ticks), same_instant=same_instant)


def history(company: Company, steps: int) -> list[Event]:
    return company.announce() + [event for _ in range(steps) for event in step(company)]


def test_the_same_seed_and_clock_make_the_same_history() -> None:
    first, second, other = (new_company(seed) for seed in (5, 5, 6))
    bodies = [
        [
            orjson.dumps(body(company.account, event, "v2", 1))
            for event in history(company, 200)
            if event.entity == "deal"
        ]
        for company in (first, second, other)
    ]
    assert bodies[0] == bodies[1]
    assert bodies[0] != bodies[2]


def test_announcing_creates_everything_there_is_and_happens_once() -> None:
    company = new_company()
    announced = company.announce()
    assert {event.entity for event in announced} == set(SHAPES)
    assert Counter(event.entity for event in announced) == {entity: len(company.truth(entity)) for entity in SHAPES}
    assert {event.action for event in announced} == {"create"}
    assert company.announce() == []


def test_records_are_awkward() -> None:
    """Unicode, emoji, long texts, zero and negative and decimal money, nulls, empty arrays."""
    company = new_company()
    deals = company.truth("deal").values()
    values = [deal["value"] for deal in deals]
    assert 0 in values
    assert min(values) < 0
    assert any(value != int(value) for value in values)
    assert any(deal["label_ids"] == [] for deal in deals)
    assert any(deal["person_id"] is None for deal in deals)
    assert any(any(ord(char) > 0xFFFF for char in deal["title"]) for deal in deals)
    assert max(len(note["content"]) for note in company.truth("note").values()) > 1_000
    used = {
        company.account.field_types[code]
        for deal in deals
        for code, value in deal["custom_fields"].items()
        if value is not None
    }
    assert used == set(TYPES)


def test_leads_have_the_custom_fields_of_deals() -> None:
    company = new_company()
    lead, deal = (next(iter(company.truth(entity).values())) for entity in ("lead", "deal"))
    assert lead["custom_fields"].keys() == deal["custom_fields"].keys()


@pytest.mark.parametrize("tick", [0, 50_000], ids=["standing clock", "running clock"])
def test_event_times_of_a_record_increase_in_the_coarser_resolution(tick: int) -> None:
    """Whichever version tells each event, a receiver can order them."""
    last: dict[tuple[str, object], int] = {}
    for event in sorted(history(new_company(tick=tick), 2_000), key=lambda event: event.at):
        key = (event.entity, event.id)
        assert event.at // 1_000 > last.get(key, 0)
        last[key] = event.at // 1_000


def _own(state: Any) -> Any:
    """Without what counts or names others: it moves without an event."""
    linked = {"products_count", "participants_count", "followers_count", "picture_id"}
    return state and {column: value for column, value in state.items() if column not in linked}


def test_each_event_begins_where_the_last_one_of_its_record_ended() -> None:
    states: dict[tuple[str, object], object] = {}
    for event in sorted(history(new_company(), 2_000), key=lambda event: event.at):
        key = (event.entity, event.id)
        if event.action != "create":
            assert _own(states[key]) == _own(event.before)
        states[key] = event.after or event.before


def test_an_update_time_is_before_its_event_and_never_goes_back() -> None:
    last: dict[object, str] = {}
    changed = [event for event in history(new_company(), 2_000) if event.entity == "person" and event.after]
    for event in changed:
        updated = event.after["update_time"] if event.after else ""
        assert last.get(event.id, "") <= updated <= stamp(event.at)
        last[event.id] = updated
    assert len(changed) > len(last)


def test_everything_happens_and_deals_and_activities_dominate() -> None:
    company = new_company()
    events = [event for _ in range(6_000) for event in step(company)]
    seen = Counter(event.entity for event in events)
    assert set(seen) == set(SHAPES)
    assert seen["deal"] + seen["activity"] > len(events) / 2
    assert {(event.entity, event.action) for event in events} >= {
        (entity, action) for entity in SHAPES for action in ("create", "change")
    }
    gone, rarely_empty = (
        {event.entity for event in events if event.action == "delete"},
        {"stage", "board", "phase", "pipeline"},
    )
    assert gone >= SHAPES.keys() - {"user"} - rarely_empty
    assert gone & rarely_empty
    assert any(event.is_bulk for event in events)
    assert {event.entity for event in events if event.merged_to is not None} == {"person", "organization", "deal"}
    assert any(deal["source_lead_id"] for deal in company.truth("deal").values())
    assert any(not user["active_flag"] for user in company.truth("user").values())
    deleted = [event for event in events if event.action == "delete"]
    assert any((event.entity, event.id) in revived(events) for event in deleted)


def revived(events: list[Event]) -> set[tuple[str, object]]:
    gone: set[tuple[str, object]] = set()
    back: set[tuple[str, object]] = set()
    for event in sorted(events, key=lambda event: event.at):
        key = (event.entity, event.id)
        if event.action == "delete":
            gone.add(key)
        elif key in gone:
            back.add(key)
    return back


def test_live_deleted_and_merged_are_disjoint_and_complete() -> None:
    company = new_company()
    ids = {(event.entity, event.id) for event in history(company, 3_000)}
    truth = company.snapshot({"v2"})
    live = {(entity, record_id) for entity, records in truth.live.items() for record_id in records}
    deleted = {(entity, record_id) for entity, records in truth.deleted.items() for record_id in records}
    merged = {(entity, record_id) for entity, pairs in truth.merged.items() for record_id in pairs}
    assert live | deleted == ids
    assert not live & deleted
    assert merged <= deleted


def test_a_merge_moves_what_belonged_to_the_loser() -> None:
    company = new_company()
    moved = 0
    for _ in range(4_000):
        for event in step(company):
            if event.entity == "person" and event.merged_to is not None:
                deals = company.truth("deal").values()
                assert event.id not in {deal["person_id"] for deal in deals}
                moved += event.merged_to in {deal["person_id"] for deal in deals}
    assert moved


def test_a_merge_is_told_later_than_whatever_befell_the_loser() -> None:
    """Also where a burst of changes has outrun the clock: v1 tells a merge by the winner's event alone."""
    company = new_company(tick=0)
    loser, winner = list(company.truth("deal"))[:2]
    last = max(found.at for _ in range(20) if (found := company.edit("deal", loser)) is not None)
    assert all(event.at // 1_000 > last // 1_000 for event in company.merge("deal", loser, winner))


def test_events_of_one_instant_happen_only_where_the_newest_is_known() -> None:
    """A change may share the instant of a create before it or of a delete after it, never of another change."""
    instants: dict[tuple[str, object, int], list[str]] = {}
    for event in history(new_company(same_instant=1.0), 2_000):
        instants.setdefault((event.entity, event.id, event.at), []).append(event.action)
    shared = {tuple(actions) for actions in instants.values() if len(actions) > 1}
    assert shared == {("create", "change"), ("change", "delete")}


def test_a_snapshot_does_not_change_afterwards() -> None:
    company = new_company()
    truth = company.snapshot({"v2"})
    before = orjson.dumps(truth.live["deal"], option=orjson.OPT_NON_STR_KEYS)
    for _ in range(500):
        step(company)
    assert orjson.dumps(truth.live["deal"], option=orjson.OPT_NON_STR_KEYS) == before


def test_instants_follow_the_clock_and_outrun_it_only_for_one_record() -> None:
    instants = Instants(lambda: START, random.Random(1))
    first, second, other = instants.next("a"), instants.next("a"), instants.next("b")
    assert START <= first < START + 1_000 <= second < START + 2_000
    assert START <= other < START + 1_000
    together = instants.next("a", "b")
    assert together >= START + 2_000
    assert instants.again("b") == together
