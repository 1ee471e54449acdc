"""Walks through lists of every form there is, and through some that break the rules."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from pipedrive import paging
from pipedrive.errors import AnswerUnreadable, ListingRefused, ListRepeats, ListUnstable, UnexpectedAnswer
from pipedrive.paging import Page
from pipedrive.request import Request
from schema.listing import Listing, Paging, Parent

CURSOR = Listing("/api/v2/deals", 10, limit=10)
OFFSET = Listing("/v1/notes", 20, Paging.OFFSET, limit=10)
WHOLE = Listing("/v1/users", 20, Paging.WHOLE)

Answers = Callable[[Request], Mapping[str, Any]]


def rows(first: int, end: int) -> list[dict[str, Any]]:
    return [{"id": number} for number in range(first, end)]


def walk(listing: Listing, answers: Answers, most: int = 200) -> list[Page]:
    """All pages; the position goes through text each time, as if the process had been killed."""
    pages: list[Page] = []
    position: str | None = ""
    while position is not None:
        assert len(pages) < most, "the walk does not end"
        pages.append(paging.page(listing, position, answers(paging.request(listing, position))))
        position = pages[-1].next
    return pages


def ids(pages: list[Page]) -> list[Any]:
    return [row["id"] for page in pages for row in page.rows[page.repeated :]]


def nested(found: list[Any], start: int, *, more: bool) -> dict[str, Any]:
    told = {"start": start, "limit": 10, "more_items_in_collection": more}
    return {"data": found, "additional_data": {"pagination": told | ({"next_start": start + 10} if more else {})}}


def flat(found: list[Any], start: int, *, more: bool) -> dict[str, Any]:
    return {"data": found, "additional_data": {"start": start, "limit": 10, "more_items_in_collection": more}}


def silent(found: list[Any], _: int, *, more: bool) -> dict[str, Any]:
    assert more in {True, False}
    return {"data": found}


def counting(held: list[dict[str, Any]], form: Callable[..., dict[str, Any]] = nested, cap: int = 10) -> Answers:
    def answers(request: Request) -> dict[str, Any]:
        start = int(request.params["start"])
        end = start + min(int(request.params["limit"]), cap)
        return form(held[start:end], start, more=end < len(held))

    return answers


def test_a_request_carries_what_the_listing_declares_and_what_the_caller_adds() -> None:
    listing = Listing("/api/v2/deals", 10, params={"status": "open,won"})
    assert paging.request(listing, params={"updated_since": "2026-01-01T00:00:00Z"}) == Request(
        "GET",
        "/api/v2/deals",
        {"status": "open,won", "updated_since": "2026-01-01T00:00:00Z", "limit": "500"},
        10,
    )
    assert paging.request(OFFSET).params == {"start": "0", "limit": "10"}
    assert paging.request(WHOLE).params == {}


def test_children_are_asked_for_by_the_ids_of_their_parents() -> None:
    one = Listing("/v1/roles/{parent}/assignments", 10, parent=Parent("role"))
    many = Listing("/api/v2/deals/products", 10, parent=Parent("deal", "deal_ids", batch=100))
    assert paging.request(one, parents=["a/b"]).path == "/v1/roles/a%2Fb/assignments"
    assert paging.request(many, parents=[1, 2]).params == {"deal_ids": "1,2", "limit": "500"}
    assert paging.request(many, parents=[1, 2]).path == "/api/v2/deals/products"


def test_cursors_are_followed_until_there_is_none() -> None:
    following = {None: "b", "b": "c", "c": None}

    def answers(request: Request) -> dict[str, Any]:
        asked = request.params.get("cursor")
        first = 10 * list(following).index(asked)
        return {"data": rows(first, first + 10), "additional_data": {"next_cursor": following[asked]}}

    pages = walk(CURSOR, answers)
    assert ids(pages) == list(range(30))
    assert [page.cut for page in pages] == [False] * 3


def test_a_page_with_fewer_rows_than_asked_for_is_not_the_end() -> None:
    def answers(request: Request) -> dict[str, Any]:
        at = int(request.params.get("cursor", "0"))
        return {"data": rows(at, at + 3), "additional_data": {"next_cursor": str(at + 3) if at < 9 else ""}}

    assert ids(walk(CURSOR, answers)) == list(range(12))


NULL: dict[str, Any] = {"success": True, "data": None, "additional_data": None}


def test_v1_writes_an_empty_list_as_null() -> None:
    for listing in (CURSOR, OFFSET, WHOLE):
        in_v1 = replace(listing, path="/v1/things")
        assert walk(in_v1, lambda _: NULL) == [Page([], None)]
        assert paging.is_null(in_v1, NULL)
        assert not paging.is_null(in_v1, {"data": []})


@pytest.mark.parametrize(
    ("path", "additional"),
    [
        ("/api/v2/things", None),
        ("/api/v2/things", {"next_cursor": "x"}),
        ("/v1/things", {"next_cursor": "x"}),
        ("/v1/things", {"pagination": {"more_items_in_collection": True, "next_start": 5}}),
    ],
)
def test_null_is_no_page_where_a_list_goes_on_nor_in_v2(path: str, additional: Any) -> None:
    """Else its rows would be passed over without a word."""
    with pytest.raises(AnswerUnreadable, match="null in the place of rows"):
        paging.page(replace(CURSOR, path=path), "", {"data": None, "additional_data": additional})


def test_one_object_is_one_row_where_all_is_answered_at_once() -> None:
    assert paging.page(WHOLE, "", {"data": {"google": 1}}).rows == [{"google": 1}]
    assert paging.page(WHOLE, "", {"data": {}}).rows == []
    with pytest.raises(UnexpectedAnswer, match="is no list"):
        paging.page(CURSOR, "", {"data": {"id": 1}})


def test_rows_may_lie_deeper() -> None:
    goals = Listing("/v1/goals/find", 20, Paging.WHOLE, rows=("data", "goals"))
    assert paging.page(goals, "", {"data": {"goals": [{"id": "x"}]}}).rows == [{"id": "x"}]
    assert paging.page(goals, "", {"data": None}).rows == []
    assert paging.page(goals, "", {"data": {"goals": None}}).rows == []


@pytest.mark.parametrize("body", [{}, {"items": []}, {"data": 7}, {"data": "x"}, {"data": {"goals": 1}}])
def test_an_answer_without_rows_where_they_should_be_is_refused(body: dict[str, Any]) -> None:
    for listing in (CURSOR, Listing("/v1/goals/find", 20, Paging.WHOLE, rows=("data", "goals"))):
        with pytest.raises(UnexpectedAnswer):
            paging.page(listing, "", body)


def test_what_is_no_row_is_counted_and_left_out() -> None:
    page = paging.page(WHOLE, "", {"data": [{"id": 1}, None, 7, "x", [], {"id": 2}]})
    assert (page.rows, page.strange) == ([{"id": 1}, {"id": 2}], 4)


@pytest.mark.parametrize("form", [nested, flat, silent])
@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 95])
def test_lists_that_count_rows_are_read_whole(form: Callable[..., dict[str, Any]], size: int) -> None:
    assert ids(walk(OFFSET, counting(rows(0, size), form))) == list(range(size))


@pytest.mark.parametrize("form", [nested, flat])
@pytest.mark.parametrize("cap", [1, 3, 6, 9])
def test_a_list_that_answers_fewer_rows_than_asked_for_is_read_whole(form: Callable[..., Any], cap: int) -> None:
    listing = Listing("/v1/files", 20, Paging.OFFSET, limit=10)
    pages = walk(listing, counting(rows(0, 31), form, cap=cap), most=2000)
    assert {row["id"] for page in pages for row in page.rows} == set(range(31))


def test_a_list_that_answers_more_rows_than_asked_for_is_read_whole() -> None:
    assert ids(walk(OFFSET, lambda _: {"data": rows(0, 64)})) == list(range(64))
    assert ids(walk(OFFSET, lambda _: nested(rows(0, 64), 0, more=False))) == list(range(64))


def test_rows_that_only_some_may_see_leave_gaps_that_do_not_end_the_walk() -> None:
    visible = {number for number in range(200) if number % 50 < 7}

    def answers(request: Request) -> dict[str, Any]:
        start = int(request.params["start"])
        shown = [row for row in rows(start, min(start + 10, 200)) if row["id"] in visible]
        return nested(shown, start, more=start + 10 < 200)

    assert {row["id"] for page in walk(OFFSET, answers) for row in page.rows} == visible


def test_a_list_that_ignores_where_to_begin_is_named_and_ends() -> None:
    with pytest.raises(ListRepeats, match="/v1/notes"):
        walk(OFFSET, lambda _: nested(rows(0, 10), 0, more=True))
    with pytest.raises(ListRepeats, match="/v1/notes"):
        walk(OFFSET, lambda _: {"data": rows(0, 10)})


def test_a_list_that_ignores_its_limit_too_and_says_nothing_has_answered_with_all() -> None:
    listing = Listing("/v1/permissionSets/1/assignments", 20, Paging.OFFSET)
    assert ids(walk(listing, lambda _: {"data": rows(0, 120)})) == list(range(120))


def test_a_list_that_promises_more_rows_for_ever_ends() -> None:
    with pytest.raises(ListRepeats):
        walk(OFFSET, lambda request: nested([], int(request.params["start"]), more=True))
    with pytest.raises(ListRepeats):
        walk(OFFSET, lambda _: {"data": [], "additional_data": {"more_items_in_collection": True}})


def test_a_list_whose_rows_never_join_ends() -> None:
    made = iter(range(0, 10**9, 10))

    def answers(request: Request) -> dict[str, Any]:
        first = next(made)
        return nested(rows(first, first + 10), int(request.params["start"]), more=True)

    with pytest.raises(ListUnstable, match="/v1/notes"):
        walk(OFFSET, answers)


@pytest.mark.parametrize("round_trip", [1, 2, 3, 7, 30])
def test_cursors_that_go_round_are_noticed(round_trip: int) -> None:
    seen: list[int] = []

    def answers(request: Request) -> dict[str, Any]:
        seen.append(len(seen))
        following = (int(request.params.get("cursor", "-1")) + 1) % round_trip
        return {"data": rows(len(seen) * 10, len(seen) * 10 + 10), "additional_data": {"next_cursor": str(following)}}

    with pytest.raises(ListRepeats, match="/api/v2/deals"):
        walk(CURSOR, answers)
    assert len(seen) <= 4 * round_trip + 2


def test_new_cursors_to_the_same_rows_are_noticed() -> None:
    made = iter(range(1000))
    with pytest.raises(ListRepeats):
        walk(CURSOR, lambda _: {"data": rows(0, 10), "additional_data": {"next_cursor": str(next(made))}})
    with pytest.raises(ListRepeats):
        walk(CURSOR, lambda _: {"data": [], "additional_data": {"next_cursor": str(next(made))}})


def test_as_many_rows_as_asked_for_and_no_word_about_more_is_said() -> None:
    assert paging.page(CURSOR, "", {"data": rows(0, 10)}).cut
    assert not paging.page(CURSOR, "", {"data": rows(0, 9)}).cut
    assert not paging.page(CURSOR, "", {"data": rows(0, 10), "additional_data": {"next_cursor": None}}).cut
    assert not paging.page(WHOLE, "", {"data": rows(0, 1000)}).cut


def test_a_list_that_says_it_goes_on_is_followed_whatever_was_declared() -> None:
    held = rows(0, 25)
    whole = Listing("/v1/noteFields", 20, Paging.WHOLE, limit=10)

    def answers(request: Request) -> dict[str, Any]:
        start = int(request.params.get("start", "0"))
        return nested(held[start : start + 10], start, more=start + 10 < len(held))

    assert ids(walk(whole, answers)) == list(range(25))

    def by_cursor(request: Request) -> dict[str, Any]:
        at = int(request.params.get("cursor", "0"))
        return {"data": held[at : at + 10], "additional_data": {"next_cursor": str(at + 10) if at + 10 < 25 else None}}

    assert ids(walk(OFFSET, by_cursor)) == list(range(25))


def test_deleted_rows_make_the_walk_step_back_and_miss_nothing() -> None:
    held = rows(0, 60)
    asked: list[int] = []

    def answers(request: Request) -> Mapping[str, Any]:
        asked.append(int(request.params["start"]))
        if len(asked) == 4:
            del held[:14]  # all of them read already: what follows moves up by more than the overlap
        return counting(held)(request)

    pages = walk(OFFSET, answers)
    assert {row["id"] for page in pages for row in page.rows} == set(range(60))
    assert [page.shifted for page in pages].count(True) >= 1
    assert any(later < earlier for earlier, later in pairwise(asked))


def test_rows_without_an_id_are_recognised_by_what_they_say() -> None:
    held = [{"user_id": number // 2, "add_time": str(number)} for number in range(25)]
    pages = walk(OFFSET, counting(held))
    assert [row for page in pages for row in page.rows[page.repeated :]] == held


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"unknown": 1}', '"x"', "null", '{"tail": 5}'])
def test_a_position_that_nothing_gave_is_the_beginning(text: str) -> None:
    assert paging.request(OFFSET, text) == paging.request(OFFSET)


def test_every_end_of_a_walk_that_fails_concerns_that_list_alone() -> None:
    for problem in (ListRepeats, ListUnstable, UnexpectedAnswer):
        assert issubclass(problem, ListingRefused)
