"""Walks over lists that change while they are walked."""

from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipedrive import paging
from pipedrive.errors import ListRepeats, ListUnstable
from pipedrive.request import Request
from schema.listing import Listing, Paging

LIMIT = 8
LISTING = Listing("/v1/notes", 20, Paging.OFFSET, limit=LIMIT)

Change = tuple[str, int]
changes = st.lists(
    st.lists(st.tuples(st.sampled_from(["delete", "touch", "add"]), st.integers(0, 200)), max_size=12), max_size=12
)


class Shifting:
    """A list in the order of its rows' last change, which answers as v1 does: by counting rows."""

    def __init__(self, size: int, cap: int, form: str) -> None:
        self.held = list(range(size))
        self.throughout = set(self.held)
        self._made = size
        self._touched = dict.fromkeys(self.held, 0)
        self._cap = cap
        self._form = form

    def change(self, kind: str, which: int) -> None:
        if kind == "add":
            self.held.append(self._made)
            self._made += 1
        elif self.held:
            row = self.held.pop(which % len(self.held))
            if kind == "touch":
                self._touched[row] = self._touched.get(row, 0) + 1
                self.held.append(row)
            else:
                self.throughout.discard(row)

    def answer(self, request: Request) -> Mapping[str, Any]:
        start, limit = int(request.params["start"]), min(int(request.params["limit"]), self._cap)
        more = start + limit < len(self.held)
        found = [{"id": row, "touched": self._touched.get(row)} for row in self.held[start : start + limit]]
        if self._form == "silent":
            return {"data": found}
        told: dict[str, Any] = {"start": start, "limit": limit, "more_items_in_collection": more}
        if self._form == "flat":
            return {"data": found, "additional_data": told}
        # Some count on by what was asked for, not by what they answered.
        following = {"next_start": start + int(request.params["limit"])} if more else {}
        return {"data": found or None, "additional_data": {"pagination": told | following}}


@settings(max_examples=300, deadline=None)  # how long an example takes is up to the machine
@given(
    st.integers(0, 90),
    changes,
    st.one_of(st.tuples(st.integers(2, LIMIT), st.sampled_from(["flat", "nested"])), st.just((LIMIT, "silent"))),
)
def test_a_walk_misses_nothing_that_was_there_throughout(
    size: int, history: list[list[Change]], form: tuple[int, str]
) -> None:
    shifting = Shifting(size, *form)
    seen: set[int] = set()
    position: str | None = ""
    pages = 0
    while position is not None:
        body = shifting.answer(paging.request(LISTING, position))
        try:
            page = paging.page(LISTING, position, body)
        except (ListRepeats, ListUnstable):
            return  # it failed, and says so: that is not to miss something in silence
        seen |= {row["id"] for row in page.rows}
        position = page.next
        for kind, which in history[pages] if pages < len(history) else []:
            shifting.change(kind, which)
        pages += 1
        assert pages < 2000, "the walk does not end"
    assert shifting.throughout <= seen


@settings(deadline=None)
@given(st.integers(0, 90), st.integers(2, LIMIT), st.sampled_from(["flat", "nested"]))
def test_a_list_that_stays_as_it_is_is_never_refused_and_read_once_but_for_the_overlap(
    size: int, cap: int, form: str
) -> None:
    shifting = Shifting(size, cap, form)
    seen: list[int] = []
    position: str | None = ""
    while position is not None:
        page = paging.page(LISTING, position, shifting.answer(paging.request(LISTING, position)))
        seen += [row["id"] for row in page.rows[page.repeated :]]
        position = page.next
    assert set(seen) == set(range(size))
    if form == "flat":
        assert seen == list(range(size))
