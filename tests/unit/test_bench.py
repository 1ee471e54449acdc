"""What the benchmarks compute from their samples, and how they tell it."""

from pathlib import Path

import orjson
import pytest
from rig.marked import replace_marked

from bench.catalogue import chosen
from bench.figures import Figure, Rounds, Target, percentile, shown, slope
from bench.profile import parse, table
from bench.report import Part, document, markdown, parts_of, summary
from bench.workload import FIRST_COMPANY, Story, company_ids, event_id, read, scattered, story, write
from schema.envelope import Envelope
from schema.event import Event
from schema.event import read as read_event


@pytest.fixture(scope="module")
def told() -> Story:
    return story(deals=20, events=200)


def part(*figures: Figure) -> Part:
    return Part("receiver", "Receiver", "How it was measured.", "at noon", figures)


def test_a_ratio_is_taken_round_by_round_so_that_a_slow_minute_hits_both_sides() -> None:
    rounds = Rounds()
    for ours, bare in ((80.0, 100.0), (8.0, 10.0), (90.0, 100.0)):
        rounds.add("bare", {"rate": bare})
        rounds.add("ours", {"rate": ours})
    ratio = rounds.ratio("ours ÷ bare", "rate", "ours", "bare")
    assert ratio.values == pytest.approx((0.8, 0.8, 0.9))
    assert ratio.median == pytest.approx(0.8)


def test_the_best_of_several_ways_is_the_one_with_the_highest_median() -> None:
    rounds = Rounds()
    for steady, lucky in ((10.0, 1.0), (10.0, 99.0), (10.0, 1.0)):
        rounds.add("steady", {"rate": steady})
        rounds.add("lucky", {"rate": lucky})
    assert rounds.best("rate", ["lucky", "steady"]) == "steady"


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (Target(0.65, 0.9), 0.95, "aim"),
        (Target(0.65, 0.9), 0.65, "reached"),
        (Target(0.65, 0.9), 0.64, "missed"),
        (Target(15, at_most=True), 15.0, "reached"),
        (Target(15, at_most=True), 15.1, "missed"),
    ],
)
def test_a_figure_is_judged_by_its_median(target: Target, value: float, verdict: str) -> None:
    assert Figure("p99", "ms", (0.0, value, 1e9), target).verdict == verdict


def test_a_percentile_is_a_value_that_was_seen() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert percentile([7.0], 0.99) == 7


def test_the_slope_of_a_line_is_found() -> None:
    assert slope([(0, 5), (1, 7), (2, 9)]) == pytest.approx(2)
    assert slope([(0, 5), (1, 5), (2, 5)]) == 0


def test_figures_are_shown_no_more_exactly_than_they_are_known() -> None:
    assert [shown(value) for value in (0.654321, 12.34, 123.4, 4_567.8, 45_678.9)] == [
        "0.65", "12.3", "123", "4,570", "45,700",
    ]  # fmt: skip


def test_the_page_tells_targets_first_and_what_was_missed() -> None:
    missed = Figure("ours ÷ bare", "ratio", (0.5, 0.6, 0.4), Target(0.65, 0.9))
    page = markdown([part(missed, Figure("bare", "/s", (100.0,)))], {"CPU": "2 cores"}, quick=False)
    assert "| Receiver | ours ÷ bare | 0.50 | ≥ 0.65, aim 0.9 | **missed** |" in page
    assert "| ours ÷ bare | 0.50 | 0.40 to 0.60 (3) | **missed** |  |" in page
    assert "| bare | 100/s | once |  |  |" in page
    assert "| CPU | 2 cores |" in page
    assert "say nothing" not in page


def test_the_summary_tells_what_was_to_be_reached_and_on_which_machine() -> None:
    machine = {"CPU": "2 cores", "RAM": "8 GiB", "system": "Debian", "Python": "3.11"}
    parts = [part(Figure("ratio", "ratio", (0.5,), target=Target(0.65)), Figure("rate", "/s", (100.0,)))]
    told = summary([one._replace(when="2026-11-22 09:00 UTC, commit 1") for one in parts], machine)
    assert told.startswith("2026-11-22; 2 cores, 8 GiB, Debian, Python 3.11.\n")
    assert "| Receiver | ratio | 0.50 | ≥ 0.65 | **missed** |" in told
    assert "rate" not in told


def test_what_stands_between_the_markers_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\nkept\n<!-- y: end -->\n")
    replace_marked(page, "x", "new")
    assert page.read_text() == (
        "a\n<!-- x: begin -->\nnew\n<!-- x: end -->\nb\n<!-- y: begin -->\nkept\n<!-- y: end -->\n"
    )
    with pytest.raises(ValueError, match="<!-- z: begin -->"):
        replace_marked(page, "z", "new")


def test_a_short_run_says_that_it_says_nothing() -> None:
    assert "say nothing" in markdown([part()], {}, quick=True)


def test_a_part_that_failed_says_why() -> None:
    page = markdown([part()._replace(failure="RuntimeError: no broker")], {}, quick=False)
    assert "**It failed: RuntimeError: no broker**" in page


def test_what_was_measured_can_be_read_back_from_the_document() -> None:
    measured = part(Figure("p99", "ms", (1.0, 3.0), Target(15, at_most=True), "a note"), Figure("rate", "/s", (9.0,)))
    data = orjson.loads(orjson.dumps(document([measured], {}, quick=False)))
    assert parts_of(data, [("gone", "Gone", ""), ("receiver", "Receiver", "How it was measured.")]) == [measured]


def test_the_document_holds_every_single_value() -> None:
    data = orjson.loads(orjson.dumps(document([part(Figure("p50", "ms", (1.0, 3.0)))], {}, quick=False)))
    assert data["parts"][0]["figures"][0] | {"values": [1.0, 3.0], "median": 2.0} == data["parts"][0]["figures"][0]


def test_benchmarks_are_chosen_by_name_and_run_in_the_order_of_the_catalogue() -> None:
    assert [benchmark.name for benchmark in chosen(["drain", "receiver"])] == ["receiver", "drain"]
    with pytest.raises(LookupError, match="no benchmark nonsense"):
        chosen(["nonsense"])


def test_the_workload_is_the_same_each_time(told: Story) -> None:
    assert story(deals=20, events=200) == told


def test_every_event_of_the_workload_is_one_the_worker_can_read(told: Story) -> None:
    for number, template in enumerate([*told.announced, *told.happening]):
        body = template.body(number, 1_795_000_000.25)
        found = read_event(Envelope(template.company_id, 1_795_000_000_000_000, body), lambda _: {})
        assert isinstance(found, Event), found
        assert found.key == event_id(number).decode()
        assert found.occurred_at is not None
        assert found.occurred_at.timestamp() == 1_795_000_000.25


def test_a_record_belongs_to_one_of_the_companies() -> None:
    spread = story(deals=20, events=300, companies=3, only="deal")
    owners: dict[str, set[int]] = {}
    for number, template in enumerate([*spread.announced, *spread.happening]):
        meta = orjson.loads(template.body(number, 0))["meta"]
        assert meta["company_id"] == str(template.company_id)
        owners.setdefault(meta["entity_id"], set()).add(template.company_id)
    assert all(len(found) == 1 for found in owners.values())
    assert set.union(*owners.values()) == set(company_ids(3))
    assert company_ids(3)[0] == FIRST_COMPANY


def test_templates_survive_their_file(told: Story, tmp_path: Path) -> None:
    write(tmp_path / "bodies", told.happening)
    assert read(tmp_path / "bodies") == told.happening


def test_a_profile_counts_each_function_once_a_look_and_leaves_out_waiting() -> None:
    shares = parse(
        [
            "main (a.py:1);work (a.py:9);work (a.py:9) 6",
            "main (a.py:1);encode (b.py:2) 2",
            "main (a.py:1);EpollSelector.select (selectors.py:451) 99",
        ]
    )
    assert shares.looks == 8
    assert shares.alone == {"work (a.py:9)": 6, "encode (b.py:2)": 2}
    assert shares.with_callees == {"main (a.py:1)": 8, "work (a.py:9)": 6, "encode (b.py:2)": 2}
    assert "  75.0 %  work (a.py:9)" in table(shares, "worker", 5)


def test_scattered_changes_set_title_and_value_of_any_deal_and_leave_the_rest_as_it_was_announced() -> None:
    announced = story(deals=5, events=0, only="deal").announced
    originals = [orjson.loads(deal.body(0, 0))["data"] for deal in announced]
    assert [original["id"] for original in originals] == [1, 2, 3, 4, 5]
    for number, change in enumerate(scattered(announced, 1_000, 50, seed=1)):
        told = orjson.loads(change.body(number, 0))
        record_id = told["data"]["id"]
        assert told["meta"]["entity_id"] == str(record_id)
        assert told["meta"]["action"] == "change"
        original = originals[(record_id - 1) % 5]
        assert {key for key in original if told["data"][key] != original[key]} <= {"id", "title", "value"}
        assert told["data"]["title"] != original["title"]
