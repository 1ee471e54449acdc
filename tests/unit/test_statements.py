"""The texts of statements, which are kept for as long as they are likely to be needed again."""

from collections.abc import Callable

import pytest

from schema import dml
from schema.entities import BY_NAME
from schema.entity import Entity


@pytest.mark.parametrize("make", [dml.lock_rows, dml.upsert])
def test_a_text_is_made_once_and_those_of_ever_more_companies_are_not_kept_for_ever(
    make: Callable[[str, Entity], str],
) -> None:
    stage = BY_NAME["stage"]
    first = make("pipedrive", stage)
    assert make("pipedrive", stage) is first
    for number in range(10_000):
        make(f"pipedrive_{number}", stage)
    again = make("pipedrive", stage)
    assert again == first
    assert again is not first
