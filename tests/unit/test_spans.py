"""Spans of time in `status`: short, and of one unit each, so that they can be compared at a glance."""

import pytest

from cli.spans import spread


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        ([], "-"),
        ([0.0], "0 ms"),
        ([0.013, 0.079, 0.0886], "13/79/89 ms"),
        ([0.2, 1.1, 3.44], "0.2/1.1/3.4 s"),
        ([30.0, 600.0], "0/10 min"),
        ([-7_200.0, 3_600.0], "-2/1 h"),
    ],
)
def test_several_spans_are_told_in_the_unit_of_the_longest(seconds: list[float], told: str) -> None:
    assert spread(seconds) == told
