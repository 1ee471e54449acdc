"""Whose token it is."""

from typing import Any

import pytest

from pipedrive.account import Account, account_of
from pipedrive.errors import UnexpectedAnswer

ME: dict[str, Any] = {
    "id": 11,
    "name": "Ada",
    "company_id": 7,
    "company_name": "Acme",
    "company_domain": "acme",
    "access": [{"app": "sales", "admin": True, "permission_set_id": "x"}],
}


def test_a_token_belongs_to_a_user_of_a_company() -> None:
    assert account_of({"data": ME}) == Account(7, "Acme", "acme", 11, "Ada", is_admin=True)


def test_ids_may_be_text_and_names_may_be_missing() -> None:
    found = account_of({"data": {"id": "11", "company_id": "7"}})
    assert found == Account(7, "", "", 11, "", is_admin=None)


@pytest.mark.parametrize(
    ("told", "is_admin"),
    [
        ({"is_admin": 1}, True),
        ({"is_admin": 0}, False),
        ({"is_admin": "0"}, False),
        ({"is_admin": "1"}, True),
        ({"access": []}, False),
        ({"access": [{"app": "campaigns", "admin": True}]}, False),
        ({"access": [{"app": "global", "admin": True}]}, True),
        ({"access": None}, None),
    ],
)
def test_who_is_an_admin(told: dict[str, Any], is_admin: bool | None) -> None:
    assert account_of({"data": ME | told}).is_admin is is_admin


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"data": None},
        {"data": []},
        {"data": ME | {"id": None}},
        {"data": ME | {"company_id": "x"}},
        {"data": ME | {"company_id": 2**63}},
    ],
)
def test_an_answer_that_does_not_say_whose_it_is_is_none(content: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedAnswer):
        account_of(content)
