"""Field definitions in the sandbox: listed in both versions, and changed while the account lives."""

from typing import Any

from rig.asking import Asking, asking, made_company

from sandbox.compare import differences
from sandbox.defining import (
    add_field,
    add_option,
    delete_field,
    delete_option,
    rename_field,
    rename_option,
)
from sandbox.payloads import body
from sandbox.rest.truth import listed

CARRIERS = ("deal", "person", "organization", "product", "project")


async def deal_fields(api: Asking) -> dict[str, Any]:
    return {row["field_code"]: row for row in await api.walk("/api/v2/dealFields", limit=20)}


async def test_every_carrier_lists_what_is_built_in_and_its_own_fields() -> None:
    company = made_company()
    async with asking(company) as api:
        for carrier in CARRIERS:
            rows = await api.walk(f"/api/v2/{carrier}Fields")
            own = {row["field_code"]: row["field_type"] for row in rows if row["is_custom_field"]}
            assert own == {field.code: field.type for field in company.fields[carrier]}
            assert "id" in {row["field_code"] for row in rows if not row["is_custom_field"]}
        assert not [row for row in await api.walk("/api/v2/activityFields") if row["is_custom_field"]]


async def test_options_have_labels_and_colors_and_labels_are_options() -> None:
    async with asking(made_company()) as api:
        fields = await deal_fields(api)
        one = (await api.get("/api/v2/dealFields/label_ids")).body["data"]
    enum = next(field for field in fields.values() if field["field_type"] == "enum" and field["is_custom_field"])
    assert {"id", "label", "color", "add_time", "update_time"} == set(enum["options"][0])
    assert [option["id"] for option in fields["label_ids"]["options"]] == [24, 25, 26]
    assert one["options"] == fields["label_ids"]["options"]


async def test_leads_and_notes_define_their_fields_as_v1_does() -> None:
    company = made_company()
    async with asking(company) as api:
        leads = (await api.get("/v1/leadFields", limit=500)).rows
        notes = (await api.get("/v1/noteFields")).rows
    assert {row["key"] for row in leads} == {field.code for field in company.fields["lead"]}
    assert "content" in {row["key"] for row in notes}
    assert "color" not in next(row for row in leads if row["options"])["options"][0]


async def test_a_field_is_added_renamed_and_deleted() -> None:
    company = made_company()
    async with asking(company) as api:
        code = str(add_field(company, "deal", "enum", "Farbe").id)
        assert (await deal_fields(api))[code]["field_name"] == "Farbe"
        assert all(row["custom_fields"][code] is None for row in await api.walk("/api/v2/deals"))
        rename_field(company, "deal", code, "Colour")
        assert (await deal_fields(api))[code]["field_name"] == "Colour"
        assert "Colour" in {row["name"] for row in (await api.get("/v1/leadFields", limit=500)).rows}
        delete_field(company, "deal", code)
        assert code not in await deal_fields(api)
        assert all(code not in row["custom_fields"] for row in await api.walk("/api/v2/deals"))
        assert (await api.get(f"/api/v2/dealFields/{code}")).status == 404


async def test_an_option_is_added_renamed_and_deleted_and_its_id_never_comes_again() -> None:
    company = made_company()
    code = str(add_field(company, "person", "set", "Tags").id)
    before = [one["id"] for one in company.live["person_field"][code]["options"]]
    async with asking(company) as api:

        async def labels() -> dict[int, str]:
            row = (await api.get(f"/api/v2/personFields/{code}")).body["data"]
            return {one["id"]: one["label"] for one in row["options"]}

        add_option(company, "person", code, "Neu")
        new = max(await labels())
        assert new > max(before)
        rename_option(company, "person", code, new, "Alt")
        assert (await labels())[new] == "Alt"
        delete_option(company, "person", code, new)
        assert new not in await labels()
        add_option(company, "person", code, "Noch eine")
        assert max(await labels()) > new


async def test_a_value_of_a_deleted_field_is_told_nowhere_and_asked_of_no_mirror() -> None:
    company = made_company()
    field = next(field for field in company.fields["deal"] if field.type == "varchar")
    record = company.live["deal"][1]
    record["custom_fields"][field.code] = "kept by a mirror"
    truth = listed(company)
    rows = {entity: {key: dict(row) for key, row in truth.live[entity].items()} for entity in truth.live}
    delete_field(company, "deal", field.code)
    del rows["deal_field"][field.code], rows["lead_field"][field.code]
    assert differences(listed(company), rows) == []


def test_changes_of_definitions_can_be_told_as_events() -> None:
    company = made_company()
    added = add_field(company, "deal", "varchar", "Note to self")
    told = body(company.account, added, "v2", 1)
    assert (told["meta"]["entity"], told["meta"]["action"]) == ("deal_field", "create")
    assert told["data"]["field_name"] == "Note to self"
    renamed = body(company.account, rename_field(company, "deal", str(added.id), "Other"), "v2", 1)
    assert renamed["previous"] == {"field_name": "Note to self"}
    deleted = body(company.account, delete_field(company, "deal", str(added.id)), "v2", 1)
    assert (deleted["data"], deleted["previous"]["field_name"]) == (None, "Other")
