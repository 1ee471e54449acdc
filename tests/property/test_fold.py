"""The heart: whatever the order, repetition and portion in which assertions arrive, the same newest state results.

The model is Pipedrive itself, small: one record, a list of changes at certain instants, each told by an event (v2: the
cells of every source; v1: more cells; partial: some of them), and REST reads that begin at any moment and see what was
true then. The judge sorts everything by time and overwrites; it knows nothing of versions per cell.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from schema import version as versions
from schema.change import Change
from schema.columns import parse_time
from schema.entities import BY_NAME
from schema.entity import DELETED_AT, MERGED_INTO
from schema.history import of_diffs, retell
from schema.reading import existence
from schema.record import Record, _beats_all, _fold_cells, _overwrite, _tells_same_deletion, differ, fold
from schema.row import load, row

DEAL = BY_NAME["deal"]
INSTALLMENT = BY_NAME["deal_installment"]
HASHES = ("a" * 40, "b" * 40)
EVENT_CELLS = ("title", "stage_id", "status", *HASHES, "a_key_without_column")
V1_CELLS = ("notes_count", "files_count")
REST_CELLS = ("mrr", "source_lead_id")
START = 1_700_000_000_000_000
SECOND = 1_000_000

values = st.one_of(st.none(), st.integers(0, 3))


@dataclass(frozen=True)
class Told:
    """One change of the record: when, what kind, and which cells its event carries with which values."""

    at: int
    rank: int
    cells: dict[str, Any]


@st.composite
def histories(draw: st.DrawFn, *, partial: bool = True) -> list[Told]:
    """Changes in time order. Instants repeat, seconds repeat, and some events carry only a part."""
    gaps = draw(st.lists(st.sampled_from([0, 1, 250_000, SECOND, 59 * SECOND, 61 * SECOND]), min_size=1, max_size=8))
    at, told = START, []
    for gap in gaps:
        at += gap
        rank = draw(st.sampled_from([versions.CREATE, versions.CHANGE, versions.CHANGE, versions.DELETE]))
        names: tuple[str, ...] = (*EVENT_CELLS, *V1_CELLS) if draw(st.booleans()) else EVENT_CELLS
        if partial and draw(st.integers(0, 3)) == 0:
            names = tuple(draw(st.sets(st.sampled_from(names))))
        told.append(Told(at, rank, {name: draw(values) for name in names}))
    return told


def change_of(told: Told, number: int, entity: Any = DEAL) -> Change:
    deleted_at = parse_time(told.at) if told.rank == versions.DELETE else None
    updated = told.at // SECOND
    cells = told.cells | existence(entity, deleted_at)
    if entity.has(entity.updated):
        cells[entity.updated] = parse_time(updated)
    version = versions.of_event(told.at, told.rank, f"{number:016x}", updated if entity is DEAL else None)
    return Change(entity, 1, version, cells)


def changes_of(told: list[Told], entity: Any = DEAL) -> list[Change]:
    return [change_of(one, number, entity) for number, one in enumerate(told)]


def truth(changes: list[Change]) -> dict[str, Any]:
    """The judge: later overwrites earlier, and of one instant the higher rank, then the higher hash."""
    state: dict[str, Any] = {}
    for change in sorted(changes, key=lambda change: change.version):
        state |= change.cells
    return state


def read_of(changes: list[Change], began: int, seen: int, rest_value: int) -> Change:
    """What a REST read that began at `began` and looked at the record at `seen` asserts: every cell, also its own.

    Of the custom fields it lists those without a value as empty.
    """
    state = truth([change for change in changes if versions.moment(change.version) <= seen])
    updated = state.get("update_time")
    cells = dict.fromkeys((*EVENT_CELLS, *V1_CELLS), None) | state | dict.fromkeys(REST_CELLS, rest_value)
    # Of a deletion it knows no more than that it was before.
    cells[DELETED_AT], cells[MERGED_INTO] = state.get(DELETED_AT) and parse_time(began), None
    empty = frozenset(name for name in HASHES if cells[name] is None)
    version = versions.of_read(int(updated.timestamp()) if updated else None, began)
    told = {name: value for name, value in cells.items() if name not in empty}
    return Change(changes[0].entity, 1, version, told, empty=empty, source="sweep")


def shown(record: Record, names: Iterable[str]) -> dict[str, Any]:
    """Cells as a row shows them: a custom field that a read found empty is not there."""
    return {name: record.cells.get(name) if name in HASHES else record.cells[name] for name in names}


@st.composite
def reads(draw: st.DrawFn, changes: list[Change]) -> list[Change]:
    """Reads begun at any moment after the record came to be; each looks a little later than it began."""
    first, last = versions.moment(changes[0].version), versions.moment(changes[-1].version)
    begun = draw(st.lists(st.integers(first, last + 200 * SECOND), max_size=4, unique=True))
    return [read_of(changes, began, began + draw(st.integers(0, 2 * SECOND)), n) for n, began in enumerate(begun)]


@st.composite
def absences(draw: st.DrawFn, changes: list[Change]) -> list[Change]:
    """Somebody asks for the record while it is deleted, and knows of its life what any earlier change told."""
    found = []
    last = versions.moment(changes[-1].version)
    for began in draw(st.lists(st.integers(START, last + 200 * SECOND), max_size=2, unique=True)):
        before = [change for change in changes if versions.moment(change.version) <= began]
        if before and before[-1].deleted:
            version = versions.of_absence(draw(st.sampled_from(before)).version, began)
            cells = existence(changes[0].entity, parse_time(began))
            found.append(Change(changes[0].entity, 1, version, cells, source="reconcile"))
    return found


def without_update(change: Change) -> Change:
    """As of an event that tells nothing but the deletion."""
    cells = existence(change.entity, change.cells[DELETED_AT])
    return replace(change, version=versions.Version(change.version[: change.version.rindex(".") + 1]), cells=cells)


def folded(changes: list[Change]) -> Record:
    record = Record()
    for change in changes:
        fold(record, change)
    return record


def shuffled(data: st.DataObject, changes: list[Change]) -> list[Change]:
    """Any order, some of them several times."""
    again = data.draw(st.lists(st.sampled_from(changes), max_size=4))
    return data.draw(st.permutations([*changes, *again]))


@given(st.data())
def test_any_order_and_repetition_of_events_ends_in_the_newest_state_of_every_cell(data: st.DataObject) -> None:
    changes = changes_of(data.draw(histories()))

    record = folded(shuffled(data, changes))

    assert record.cells == truth(changes)


@given(st.data())
def test_reads_begun_at_any_moment_change_nothing_that_events_tell(data: st.DataObject) -> None:
    changes = changes_of(data.draw(histories()))
    some_reads = data.draw(reads(changes))

    record = folded(shuffled(data, [*changes, *some_reads]))

    expected = truth(changes)
    assert shown(record, expected) == expected
    if some_reads:
        newest = max(some_reads, key=lambda read: read.version)
        assert {name: record.cells[name] for name in REST_CELLS} == {name: newest.cells[name] for name in REST_CELLS}


@given(st.data())
def test_a_late_enough_read_heals_whatever_events_were_lost(data: st.DataObject) -> None:
    changes = changes_of(data.draw(histories(partial=False)))
    received = [change for change in changes if data.draw(st.booleans())]
    began = versions.moment(changes[-1].version) + versions.SETTLED + 1
    healing = read_of(changes, began, began, 0)

    record = folded(data.draw(st.permutations([*received, healing])))

    expected = truth(changes)
    found = shown(record, expected)
    # Since when it is deleted no read knows.
    assert (found.pop(DELETED_AT) is None) == (expected.pop(DELETED_AT) is None)
    assert found == expected


@given(st.data())
def test_records_without_update_time_are_ordered_by_when_the_read_began(data: st.DataObject) -> None:
    told = [Told(one.at, one.rank, {"description": one.cells.get("title")}) for one in data.draw(histories())]
    changes = changes_of(told, INSTALLMENT)
    last = versions.moment(changes[-1].version)
    early = Change(INSTALLMENT, 1, versions.of_read(None, last + versions.SETTLED), {"description": "early"})
    late = Change(INSTALLMENT, 1, versions.of_read(None, last + versions.SETTLED + 1), {"description": "late"})

    assert folded(data.draw(st.permutations([*changes, early]))).cells["description"] == truth(changes)["description"]
    assert folded(data.draw(st.permutations([*changes, early, late]))).cells["description"] == "late"


@given(st.data())
def test_overwriting_is_what_folding_cell_by_cell_does_where_everything_wins(data: st.DataObject) -> None:
    *before, newest = sorted(changes_of(data.draw(histories())), key=lambda change: change.version)
    told_before = {name: data.draw(values) for name in data.draw(st.sets(st.sampled_from(EVENT_CELLS)))}
    newest = replace(
        newest, previous=lambda: told_before, untyped=frozenset(data.draw(st.sets(st.sampled_from(HASHES))))
    )
    known = shuffled(data, before) if before else []
    one, other = folded(known), folded(known)
    one.untyped, other.untyped = set(HASHES), set(HASHES)

    assert _overwrite(one, newest) == _fold_cells(other, newest)
    assert one == other


@given(st.data())
def test_overwriting_after_a_read_is_what_folding_cell_by_cell_does(data: st.DataObject) -> None:
    """Where the read saw less than the event tells."""
    changes = changes_of(data.draw(histories()))
    known = shuffled(data, [*changes, *data.draw(reads(changes))])
    newest = change_of(Told(START + 3600 * SECOND, versions.CHANGE, dict.fromkeys(EVENT_CELLS, 7)), 99)
    newest = replace(newest, previous=lambda: dict.fromkeys(EVENT_CELLS, 6))
    one, other = folded(known), folded(known)

    assert _overwrite(one, newest) == _fold_cells(other, newest)
    assert one == other


@given(st.data())
def test_overwriting_by_a_read_is_what_folding_cell_by_cell_does_where_only_reads_are_known(
    data: st.DataObject,
) -> None:
    changes = changes_of(data.draw(histories()))
    known = data.draw(reads(changes))
    newest = read_of(changes, START + 3600 * SECOND, START + 3600 * SECOND, 9)
    newest = replace(newest, untyped=frozenset(data.draw(st.sets(st.sampled_from(HASHES)))) & newest.cells.keys())
    one, other = folded(known), folded(known)
    one.untyped, other.untyped = set(HASHES), set(HASHES)

    assume(not _tells_same_deletion(one, newest))

    assert _beats_all(newest.version, one.versions)
    assert _overwrite(one, newest) == _fold_cells(other, newest)
    assert one == other


@given(st.data())
def test_a_read_is_weighed_against_the_events_that_are_known(data: st.DataObject) -> None:
    changes = changes_of(data.draw(histories()))
    newest = read_of(changes, START + 3600 * SECOND, START + 3600 * SECOND, 9)

    assert not _beats_all(newest.version, folded(changes).versions)


@given(st.data())
def test_a_row_holds_all_of_a_record(data: st.DataObject) -> None:
    changes = changes_of(data.draw(histories()))
    record = folded(shuffled(data, [*changes, *data.draw(reads(changes))]))

    loaded = load(DEAL, row(DEAL, record))

    assert loaded.versions == record.versions
    assert {cell: value for cell, value in loaded.cells.items() if cell in record.cells} == record.cells
    assert loaded.revision == record.revision + 1


@given(st.data())
def test_folding_in_portions_through_rows_is_the_same(data: st.DataObject) -> None:
    changes = changes_of(data.draw(histories()))
    record = Record()
    for change in shuffled(data, [*changes, *data.draw(reads(changes))]):
        fold(record, change)
        record = load(DEAL, row(DEAL, record))

    assert shown(record, truth(changes)) == truth(changes)


@given(st.data())
def test_the_same_record_results_in_any_order_of_events_and_reads(data: st.DataObject) -> None:
    changes = changes_of(data.draw(histories()))
    told = [*changes, *data.draw(reads(changes))]
    one, other = folded(shuffled(data, told)), folded(shuffled(data, told))

    assert [one.cells.get(name) for name in EVENT_CELLS] == [other.cells.get(name) for name in EVENT_CELLS]
    assert [one.version_of(name) for name in EVENT_CELLS] == [other.version_of(name) for name in EVENT_CELLS]


@given(st.data())
def test_versions_of_one_record_are_a_total_order(data: st.DataObject) -> None:
    changes = changes_of(data.draw(histories()))
    found = [change.version for change in [*changes, *data.draw(reads(changes))]]
    for one in found:
        for other in found:
            assert (one == other) + versions.newer(one, other) + versions.newer(other, one) == 1
            for third in found:
                if versions.newer(one, other) and versions.newer(other, third):
                    assert versions.newer(one, third)


LINES = [None, {"value": "Street 1"}, {"value": "Street 2"}]
PARTS = [None, {"value": "Street 1", "country": "Estonia"}, {"value": "Street 2", "country": None}]
NUMBERS = [None, {"value": "9:00", "timezone_id": 1, "timezone_name": None}]
NAMES = [None, {"value": "9:00", "timezone_id": 1, "timezone_name": "Tallinn"}]


@given(st.data())
def test_events_that_tell_less_of_the_same_leave_what_a_read_told(data: st.DataObject) -> None:
    """Whatever the order, what is said is that of the newest; and all that is known of it is, once a read said so."""
    changes = changes_of([replace(one, cells={}) for one in data.draw(histories())])
    for change in changes:
        place, zone = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 1))
        change.cells.update({"address": LINES[place], HASHES[0]: NUMBERS[zone]})
    some_reads = data.draw(reads(changes))
    for read in some_reads:
        told = read.cells
        told["address"] = PARTS[LINES.index(told.get("address"))]
        if HASHES[0] in told:
            told[HASHES[0]] = NAMES[NUMBERS.index(told[HASHES[0]])]

    one, other = (folded(shuffled(data, [*changes, *some_reads])) for _ in range(2))

    for name in ("address", HASHES[0]):
        newest = truth(changes)[name]
        for record in (one, other):
            shown = record.cells.get(name)
            assert not differ(shown, newest), (shown, newest)
            newest_read = [read for read in some_reads if read.version == record.version_of(name)]
            assert all(shown == read.cells.get(name) for read in newest_read)


@given(st.data())
def test_who_finds_no_record_is_newer_than_what_was_before_whatever_was_known(data: st.DataObject) -> None:
    changes = changes_of(data.draw(histories()))
    changes = [without_update(one) if one.deleted and data.draw(st.booleans()) else one for one in changes]
    asserted = [*changes, *data.draw(reads(changes)), *data.draw(absences(changes))]

    one, other = folded(shuffled(data, asserted)), folded(shuffled(data, asserted))

    assert (one.cells[DELETED_AT] is None) == (other.cells[DELETED_AT] is None)
    assert one.version_of(DELETED_AT) == other.version_of(DELETED_AT)
    assert (one.cells[DELETED_AT] is None) == (truth(changes)[DELETED_AT] is None)


@given(st.data())
def test_history_is_the_same_whatever_the_order_and_whoever_reads(data: st.DataObject) -> None:
    changes = changes_of(data.draw(histories(partial=False)))
    expected = retell(changes, {})

    told = retell(shuffled(data, [*changes, *data.draw(reads(changes))]), {})

    of_events = [change for change in told if change.field not in (*REST_CELLS, *V1_CELLS)]
    assert of_events == [change for change in expected if change.field not in V1_CELLS]


@given(st.data())
def test_history_leads_from_value_to_value(data: st.DataObject) -> None:
    changes = changes_of(data.draw(histories()))
    told = retell(changes, {})

    for name in EVENT_CELLS:
        of_field = [change for change in told if change.field == name]
        assert all(change.old != change.new for change in of_field)
        assert all(one.new == other.old for one, other in pairwise(of_field))
        if of_field:
            assert of_field[-1].new == truth(changes)[name]


@given(st.data())
def test_in_order_folding_tells_the_same_history_as_telling_it_at_once(data: st.DataObject) -> None:
    changes = sorted(changes_of(data.draw(histories())), key=lambda change: change.version)
    record, diffs = Record(), []
    for change in changes:
        result = fold(record, change)
        assert not result.disturbs
        diffs += [(told.field, told.old, told.new) for told in of_diffs(change, result.diffs)]

    assert diffs == [(change.field, change.old, change.new) for change in retell(changes, {})]
