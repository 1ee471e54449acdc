"""The declarations of `make broken-promises` do not rot: each place and each test they name is there."""

import re
from pathlib import Path

import pytest
from promises.declared import PROMISES, Promise
from promises.page import PAGE, written

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.broken)
def test_what_breaks_a_promise_is_found_once_and_so_is_each_test_that_says_so(promise: Promise) -> None:
    assert (CHECKOUT / promise.file).read_text().count(promise.before) == 1
    for test in promise.tests:
        file, _, name = test.partition("::")
        assert re.search(rf"^(async )?def {name}\(", (CHECKOUT / file).read_text(), re.MULTILINE), test


def test_the_page_is_written_from_the_declarations() -> None:
    assert (CHECKOUT / PAGE).read_text() == written(), "run `make docs`"
