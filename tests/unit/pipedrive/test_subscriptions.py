"""Which webhooks stay, which are made and which removed, and what is said about them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pipedrive.account import Account
from pipedrive.errors import UnexpectedAnswer
from pipedrive.hooks import Hook, created, hooks, same_address
from pipedrive.request import Request
from pipedrive.subscriptions import MOST, Plan, Wanted, fingerprint, plan

URL = "https://mirror.example.com/webhooks/1234567"
OLD = "https://old.example.com/webhooks/1234567"
WANTED = Wanted(URL, "1234567", "the-password-of-43-characters", user_id=7)
ADMIN = Account(1234567, "Acme", "acme", 7, "Ada", is_admin=True)
RIGHT = Hook(
    1,
    URL,
    name=WANTED.name,
    version="2.0",
    action="*",
    object="*",
    kind="general",
    owner_id=7,
    user_id=7,
    user="1234567",
    password=WANTED.password,
    last_status=200,
)


def planned(*found: Hook, **options: Any) -> Plan:
    return plan(WANTED, found, options.pop("account", ADMIN), **options)


def steps(found: Plan) -> list[str]:
    return [request.name for request in found.steps]


def codes(found: Plan) -> list[str]:
    return [finding.code for finding in found.findings]


CREATE = "POST /v1/webhooks"


def test_one_that_is_right_stays_and_nothing_is_done() -> None:
    assert planned(RIGHT) == Plan(1)


def test_where_there_is_none_one_is_made() -> None:
    found = planned()
    assert (found.keep, steps(found), codes(found), found.gap) == (None, [CREATE], ["missing"], True)
    assert found.steps[0] == Request("POST", "/v1/webhooks", cost=10, json=WANTED.told)
    assert WANTED.told["version"] == "2.0"
    assert WANTED.told["event_object"] == WANTED.told["event_action"] == "*"


@pytest.mark.parametrize(
    ("change", "code", "gap"),
    [
        ({"active": False, "removed_for": "no success for 3 days"}, "inactive", True),
        ({"version": "1.0"}, "wrong_version", False),
        ({"version": ""}, "wrong_version", False),
        ({"object": "deal"}, "narrow", True),
        ({"action": "create"}, "narrow", True),
        ({"user_id": 8}, "wrong_owner", True),
        ({"password": "another"}, "superseded", False),
        ({"password": "another", "last_status": 401}, "superseded", True),
        ({"user": "somebody"}, "superseded", False),
        ({"url": OLD}, "superseded", True),
        ({"url": "http://mirror.example.com/webhooks/1234567"}, "superseded", True),
    ],
)
def test_one_that_is_not_right_is_made_anew_before_it_is_removed(
    change: Mapping[str, Any], code: str, gap: bool
) -> None:
    found = planned(replace(RIGHT, **change))
    assert (found.keep, steps(found), codes(found)) == (None, [CREATE, "DELETE /v1/webhooks/1"], [code])
    assert found.gap is gap


def test_of_several_that_are_right_one_stays_and_rather_one_that_works() -> None:
    found = planned(replace(RIGHT, last_status=503), replace(RIGHT, id=2), replace(RIGHT, id=3))
    assert (found.keep, steps(found)) == (2, ["DELETE /v1/webhooks/1", "DELETE /v1/webhooks/3"])
    assert codes(found) == ["duplicate", "duplicate"]


def test_one_that_is_right_makes_those_that_are_not_superfluous() -> None:
    found = planned(replace(RIGHT, id=5, url=OLD), RIGHT, addresses=[OLD])
    assert (found.keep, steps(found), codes(found)) == (1, ["DELETE /v1/webhooks/5"], ["superseded"])


def test_what_is_not_ours_is_never_touched() -> None:
    others = [
        replace(RIGHT, id=2, url="https://hooks.example.org/x", name="Zapier"),
        replace(RIGHT, id=3, url="https://mirror.example.com/webhooks/7654321", name="of another company"),
        replace(RIGHT, id=4, url=OLD, name="an address that we know nothing of"),
        replace(RIGHT, id=5, kind="automation"),
    ]
    assert steps(planned(*others)) == [CREATE]


def test_another_installation_is_left_alone_and_told() -> None:
    found = planned(RIGHT, replace(RIGHT, id=2, url=OLD, name="pipemirror 01234567"))
    assert (steps(found), codes(found), found.findings[0].id) == ([], ["another"], 2)
    assert steps(planned(RIGHT, replace(RIGHT, id=2, url=OLD, name="mine"), addresses=[OLD])) == [
        "DELETE /v1/webhooks/2"
    ]


def test_a_password_that_is_not_listed_is_compared_with_what_is_remembered() -> None:
    unlisted = replace(RIGHT, password=None)
    assert planned(unlisted, made_with={1: fingerprint(WANTED.password)}).keep == 1
    assert codes(planned(unlisted, made_with={1: fingerprint("another")})) == ["superseded"]
    assert codes(planned(unlisted)) == ["superseded"]


def test_where_there_is_no_room_an_old_one_goes_first() -> None:
    others = [Hook(number, "https://example.org/", owner_id=7) for number in range(100, 100 + MOST - 1)]
    found = planned(*others, replace(RIGHT, version="1.0"))
    assert steps(found) == ["DELETE /v1/webhooks/1", CREATE]
    assert codes(planned(*others, others[0])) == ["full", "missing"]
    assert steps(planned(*others[1:], replace(RIGHT, version="1.0"))) == [CREATE, "DELETE /v1/webhooks/1"]


def test_what_only_a_person_can_mend_is_told() -> None:
    failing = planned(replace(RIGHT, last_status=502))
    assert (failing.keep, codes(failing), failing.gap) == (1, ["failing"], True)
    assert codes(planned(RIGHT, account=replace(ADMIN, is_admin=False))) == ["not_admin"]
    assert codes(planned(RIGHT, account=replace(ADMIN, is_admin=None))) == []
    assert codes(planned(RIGHT, account=replace(ADMIN, user_id=9, is_admin=False))) == []


def test_the_password_shows_nowhere() -> None:
    found = planned(replace(RIGHT, password="another-password"))
    for text in (repr(found), repr(WANTED), repr(RIGHT), WANTED.name):
        assert WANTED.password not in text
        assert "another-password" not in text


def test_installations_with_other_secrets_have_other_names_wherever_they_are() -> None:
    assert WANTED.name == replace(WANTED, url=OLD).name
    assert WANTED.name != replace(WANTED, password="another").name


def test_webhooks_are_read_as_they_are_listed() -> None:
    told = {
        "id": "12",
        "owner_id": 7,
        "user_id": "8",
        "event_action": "*",
        "event_object": "*",
        "subscription_url": URL,
        "version": "2.0",
        "is_active": 1,
        "remove_time": None,
        "type": "general",
        "http_auth_user": "1234567",
        "http_auth_password": "secret",
        "last_http_status": 200,
        "name": "x",
    }
    (hook,) = hooks({"data": [told, None, {"id": None}, 7]})
    assert (hook.id, hook.user_id, hook.owner_id, hook.active, hook.password) == (12, 8, 7, True, "secret")
    assert "secret" not in repr(hook)
    assert not hooks({"data": [told | {"is_active": 0}]})[0].active
    assert not hooks({"data": [told | {"remove_time": "2026-01-01T00:00:00Z"}]})[0].active
    assert hooks({"data": [{"id": 1}]}) == [Hook(1, "")]
    assert hooks({"data": None}) == []
    with pytest.raises(UnexpectedAnswer):
        hooks({"data": {"id": 1}})


def test_the_one_that_was_made_is_known_by_its_id() -> None:
    assert created({"success": True, "data": {"id": 5}}) == 5
    for content in ({}, {"data": None}, {"data": {"id": None}}):
        with pytest.raises(UnexpectedAnswer):
            created(content)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (URL + "/", True),
        ("https://MIRROR.example.com:443/webhooks/1234567", True),
        ("https://mirror.example.com:8443/webhooks/1234567", False),
        ("https://mirror.example.com/webhooks/12345678", False),
        ("https://mirror.example.com/webhooks/1234567?x=1", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_addresses_are_the_same_however_they_are_written(other: str, same: bool) -> None:
    assert same_address(URL, other) is same
