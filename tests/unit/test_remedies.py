"""What is said of a problem of which only the code is left."""

from cli.remedies import remedy_of
from pipedrive.errors import ScopeMissing
from schema.errors import BadId


def test_a_problem_has_its_own_remedy() -> None:
    assert remedy_of(ScopeMissing.code) == ScopeMissing.remedy


def test_who_reads_a_list_is_not_sent_to_a_dead_letter() -> None:
    assert "dead-letters" in BadId.remedy
    assert "dead-letters" not in remedy_of(BadId.code)
    assert "`status`" in remedy_of(BadId.code)


def test_a_code_that_nobody_knows_any_more_is_looked_up() -> None:
    assert "docs/errors.md" in remedy_of("of_long_ago")
