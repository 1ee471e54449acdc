"""How often garbage is looked for."""

import gc
from collections.abc import Iterator

import pytest

from runtime.garbage import collect_seldom


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.parametrize("roles", [(100_000, 10_000), (10_000, 100_000)])
def test_of_two_roles_in_one_process_the_one_that_makes_more_objects_decides(roles: tuple[int, int]) -> None:
    for new_objects in roles:
        collect_seldom(new_objects)
    assert gc.get_threshold()[0] == 100_000


def test_what_is_there_when_a_process_is_ready_is_not_looked_through_again() -> None:
    collect_seldom(10_000)
    assert gc.get_freeze_count() > 0
