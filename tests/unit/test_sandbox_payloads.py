"""Bodies have the shapes that Pipedrive documents or was recorded with."""

import random
from itertools import count
from typing import Any

import pytest

from sandbox.cloud import Company
from sandbox.events import Event, versions
from sandbox.payloads import v1_body, v2_body
from sandbox.records import SHAPES

START = 1_795_000_000_000_123
V2_DATA = {
    "deal": (
        "id title value currency status stage_id pipeline_id owner_id creator_user_id person_id org_id label_ids "
        "probability expected_close_date channel channel_id origin origin_id lost_reason add_time update_time "
        "stage_change_time close_time won_time first_won_time lost_time visible_to is_archived archive_time "
        "custom_fields"
    ),
    "lead": (
        "id title value owner_id creator_id person_id organization_id label_ids expected_close_date next_activity_id "
        "source_name origin origin_id channel channel_id was_seen is_archived add_time update_time custom_fields"
    ),
    "person": (
        "id name first_name last_name emails phones org_id owner_id label visible_to add_time update_time custom_fields"
    ),
    "organization": (
        "id name address country_code label owner_id picture_id visible_to add_time update_time custom_fields "
        "website linkedin industry annual_revenue employee_count"
    ),
    "activity": (
        "id subject type done due_date due_time duration busy_flag active_flag deal_id lead_id person_id org_id "
        "owner_id location public_description update_user_id add_time update_time custom_fields"
    ),
    "note": (
        "id content user_id deal_id person_id org_id lead_id project_id active_flag pinned_to_deal_flag "
        "pinned_to_person_flag pinned_to_organization_flag add_time update_time"
    ),
    "product": (
        "id name code description category owner_id selectable tax unit prices visible_to add_time update_time "
        "custom_fields"
    ),
    "pipeline": "id name url_title order_nr active_flag deal_probability add_time update_time",
    "stage": ("id name pipeline_id order_nr deal_probability rotten_days rotten_flag active_flag add_time update_time"),
    "user": (
        "id name email phone locale lang default_currency active_flag last_login timezone_name icon_url created "
        "modified access"
    ),
}
V2_META = {
    *("action", "company_id", "correlation_id", "entity_id", "entity", "id", "is_bulk_edit", "timestamp", "type"),
    *("user_id", "version", "webhook_id", "webhook_owner_id", "change_source", "attempt", "host", "permitted_user_ids"),
}


@pytest.fixture
def company() -> Company:
    ticks = count(START, 400_000)
    return Company(random.Random(8), 7, lambda: next(ticks), deals=60)


def first(company: Company, entity: str) -> Event:
    return next(event for event in company.announce() if event.entity == entity)


def told(company: Company, event: Event | None) -> dict[str, Any]:
    assert event is not None
    return v2_body(company.account, event, 1)


@pytest.mark.parametrize("entity", V2_DATA)
def test_v2_tells_the_documented_keys(company: Company, entity: str) -> None:
    body = told(company, first(company, entity))
    assert list(body) == ["data", "previous", "meta"]
    assert set(body["data"]) == set(V2_DATA[entity].split())
    assert body["previous"] is None
    assert set(body["meta"]) == (V2_META - {"permitted_user_ids"} if entity == "user" else V2_META)


@pytest.mark.parametrize("entity", sorted(SHAPES.keys() - V2_DATA.keys() - {"activity_type"}))
def test_v2_tells_undocumented_entities_as_rest_v2_does(company: Company, entity: str) -> None:
    event = first(company, entity)
    assert event.after is not None
    data = told(company, event)["data"]
    data.pop("custom_fields", None)
    assert data == {key: value for key, value in event.after.items() if key != "custom_fields"}


def test_v2_meta_tells_ids_and_times_as_text(company: Company) -> None:
    meta = told(company, first(company, "lead"))["meta"]
    for key in ("company_id", "entity_id", "id", "user_id", "webhook_id", "webhook_owner_id"):
        assert isinstance(meta[key], str)
    assert all(isinstance(user, str) for user in meta["permitted_user_ids"])
    assert len(meta["timestamp"]) == len("2026-05-27T06:54:41.426Z")
    assert (meta["version"], meta["action"], meta["entity"]) == ("2.0", "create", "lead")


def test_v2_ids_in_data_are_numbers_but_a_users_is_text_and_a_leads_a_uuid(company: Company) -> None:
    created = {event.entity: event for event in company.announce()}
    assert isinstance(told(company, created["deal"])["data"]["id"], int)
    assert isinstance(told(company, created["user"])["data"]["id"], str)
    assert len(told(company, created["lead"])["data"]["id"]) == 36
    assert isinstance(told(company, created["deal"])["data"]["visible_to"], str)


def test_a_new_deal_has_no_update_time_in_v2_and_one_in_v1(company: Company) -> None:
    event = first(company, "deal")
    assert told(company, event)["data"]["update_time"] is None
    current = v1_body(company.account, event, 1)["current"]
    assert current["update_time"] == current["add_time"]


def test_times_have_the_resolution_of_their_kind(company: Company) -> None:
    created = {event.entity: event for event in company.announce()}
    assert told(company, created["person"])["data"]["add_time"][-4:-1].isdigit() is False
    assert told(company, created["lead"])["data"]["add_time"][-5] == "."
    assert told(company, created["user"])["data"]["created"][10] == " "
    assert len(v1_body(company.account, created["person"], 1)["current"]["add_time"]) == len("2026-05-27 06:54:41")


def test_v2_previous_of_a_change_is_what_changed_only(company: Company) -> None:
    deal = next(iter(company.live["deal"]))
    previous = told(company, company.set("deal", deal["id"], {"title": "another"}))["previous"]
    assert previous == {"title": deal["title"]}, "deals do not tell that their update time moved"
    note = next(iter(company.live["note"]))
    previous = told(company, company.set("note", note["id"], {"content": "another"}))["previous"]
    assert previous == {"content": note["content"], "update_time": note["update_time"]}


def test_v2_previous_tells_changed_custom_fields_alone(company: Company) -> None:
    deal = next(iter(company.live["deal"]))
    field = next(field for field in company.fields["deal"] if field.type == "double")
    changed = {**deal["custom_fields"], field.code: 123.25}
    body = told(company, company.set("deal", deal["id"], {"custom_fields": changed}))
    old = deal["custom_fields"][field.code]
    wrapped = None if old is None else {"type": "double", "value": old}
    assert body["previous"] == {"custom_fields": {field.code: wrapped}}
    assert body["data"]["custom_fields"][field.code] == {"type": "double", "value": 123.25}


def test_a_delete_has_no_data_and_the_last_state_as_previous(company: Company) -> None:
    for entity in ("deal", "activity", "note"):
        record_id = next(iter(company.live[entity]))["id"]
        body = told(company, company.delete(entity, record_id))
        assert body["data"] is None
        assert body["meta"]["action"] == "delete"
        left_out = {"update_user_id"} if entity == "activity" else set()
        assert set(body["previous"]) == set(V2_DATA[entity].split()) - left_out
        assert body["previous"].get("active_flag", True) is (entity != "note")


def test_a_merge_is_a_delete_and_a_change_in_v2_and_tells_the_loser_as_previous_in_v1(company: Company) -> None:
    events = company.merge("person", 1, 2)
    gone, won = (next(event for event in events if event.action == action) for action in ("delete", "change"))
    assert told(company, gone)["meta"]["merged_to_id"] == "2"
    assert told(company, won)["meta"]["merged_from_id"] == "1"
    assert "merged_from_id" not in told(company, gone)["meta"]
    deleted, merged = v1_body(company.account, gone, 1), v1_body(company.account, won, 1)
    assert (deleted["event"], deleted["current"], deleted["previous"]["id"]) == ("deleted.person", None, 1)
    assert (merged["event"], merged["meta"]["id"]) == ("merged.person", 2)
    assert (merged["current"]["id"], merged["current"]["merge_what_id"], merged["previous"]["id"]) == (2, 1, 1)


def test_a_deactivated_user_changes_and_tells_its_own_id_as_the_events(company: Company) -> None:
    event = company.set("user", 3, {"active_flag": False})
    body = told(company, event)
    assert (body["meta"]["action"], body["meta"]["id"]) == ("change", "3")
    assert body["data"]["active_flag"] is False
    assert body["previous"]["active_flag"] is True
    current = v1_body(company.account, event, 1)["current"]
    assert [user["active_flag"] for user in current] == [False]


def test_every_type_of_custom_field_is_wrapped_with_its_type(company: Company) -> None:
    shapes: dict[str, set[str]] = {}
    for event in company.announce():
        if event.entity == "deal":
            for field in filter(None, told(company, event)["data"]["custom_fields"].values()):
                shapes[field["type"]] = set(field) - {"type"}
    value, ident = {"value"}, {"id"}
    assert shapes == {
        **dict.fromkeys(("varchar", "varchar_auto", "text", "double", "phone", "date"), value),
        **dict.fromkeys(("enum", "user", "org", "people"), ident),
        "set": {"values"},
        "monetary": {"value", "currency"},
        "daterange": {"from", "until"},
        "time": {"value", "timezone_id"},
        "timerange": {"from", "until", "timezone_id"},
        "address": {
            *("value", "formatted_address", "country", "locality", "sublocality", "subpremise", "route"),
            *("street_number", "admin_area_level_1", "admin_area_level_2", "postal_code"),
        },
    }


def test_v1_spreads_custom_fields_over_flat_keys(company: Company) -> None:
    event = first(company, "deal")
    current = v1_body(company.account, event, 1)["current"]
    codes = {field.type: field.code for field in company.fields["deal"]}
    assert "custom_fields" not in current
    assert set(codes.values()) <= set(current)
    for kind, suffix in {"monetary": "_currency", "time": "_timezone_id", "daterange": "_until"}.items():
        assert codes[kind] + suffix in current
    options = {v1_body(company.account, one, 1)["current"][codes["set"]] for one in company_deals(company)}
    assert any(option and "," in option for option in options)


def company_deals(company: Company) -> list[Event]:
    return [event for record in list(company.live["deal"]) if (event := company.set("deal", record["id"], {}))]


def test_v1_has_its_own_envelope(company: Company) -> None:
    body = v1_body(company.account, first(company, "deal"), 2)
    assert (body["v"], body["event"], body["retry"], body["meta"]["object"]) == (1, "added.deal", 1, "deal")
    assert body["meta"]["timestamp"] == body["meta"]["timestamp_micro"] // 1_000_000
    assert isinstance(body["meta"]["id"], int)
    assert isinstance(body["current"]["user_id"], int)
    assert body["current"]["deleted"] is False
    event = company.create("activity_type")
    assert v1_body(company.account, event, 1)["event"] == "added.activityType"


def test_empty_custom_fields_are_left_out_on_request() -> None:
    ticks = count(START, 400_000)
    company = Company(random.Random(8), 7, lambda: next(ticks), lists_empty_fields=False)
    fields = told(company, first(company, "deal"))["data"]["custom_fields"]
    assert None not in fields.values()


def test_each_entity_is_told_in_the_versions_that_document_it() -> None:
    assert {entity for entity in SHAPES if versions(entity) == {"v1"}} == {"activity_type"}
    both = {entity for entity in SHAPES if len(versions(entity)) == 2}
    assert both == V2_DATA.keys() - {"lead"}
