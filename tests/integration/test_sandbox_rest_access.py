"""Who may ask the sandbox's REST API, how it refuses, and what it remembers of being asked."""

from email.utils import parsedate_to_datetime

from rig.asking import START, Clock, asking, made_company

from sandbox.rest.server import TOKEN


async def test_only_a_header_carries_a_token() -> None:
    async with asking(made_company(), bearer=("access",)) as api:
        assert (await api.get("/v1/users/me")).status == 200
        api.headers = {"authorization": "Bearer access"}
        assert (await api.get("/v1/users/me")).status == 200
        for headers in ({}, {"x-api-token": "other"}, {"authorization": f"Bearer {TOKEN}"}, {"x-api-token": "access"}):
            api.headers = headers
            assert (await api.get("/v1/users/me")).status == 401
        assert (await api.get("/v1/users/me", api_token=TOKEN)).status == 401


async def test_a_token_that_was_revoked_is_refused_from_then_on() -> None:
    async with asking(made_company()) as api:
        api.rest.tokens.revoke(TOKEN)
        assert (await api.get("/v1/users/me")).status == 401
        api.rest.tokens.accept("another")
        api.headers = {"x-api-token": "another"}
        assert (await api.get("/v1/users/me")).status == 200


async def test_each_version_has_its_own_envelope_for_errors() -> None:
    async with asking(made_company()) as api:
        v2 = (await api.get("/api/v2/deals/9999")).body
        v1 = (await api.get("/v1/notes/9999")).body
        lead = (await api.get("/v1/leads/00000000-0000-1000-8000-000000000000")).body
    assert v2.keys() == lead.keys() == {"success", "error", "error_info", "data", "additional_data"}
    assert (v1["success"], v1["errorCode"]) == (False, 404)


async def test_leads_are_nowhere_but_under_v1() -> None:
    async with asking(made_company()) as api:
        assert (await api.get("/v1/leads")).status == 200
        assert (await api.get("/api/v1/leads")).status == 404
        assert (await api.get("/api/v1/notes")).status == (await api.get("/v1/notes")).status == 200
        assert (await api.get("/v2/deals")).status == 404


async def test_who_am_i() -> None:
    company = made_company()
    async with asking(company) as api:
        me = (await api.get("/v1/users/me")).body["data"]
        users = (await api.get("/v1/users")).rows
    assert (me["id"], me["company_id"], me["company_domain"]) == (1, 7, "company7")
    assert me["access"][0]["admin"] is True
    assert [user["id"] for user in users if user["is_you"]] == [1]


async def test_the_date_is_that_of_the_companys_own_clock() -> None:
    async with asking(made_company(now=Clock())) as api:
        told = (await api.get("/v1/users/me")).headers["Date"]
    assert parsedate_to_datetime(told).timestamp() == START // 1_000_000


async def test_the_log_knows_calls_and_tokens_but_no_secret() -> None:
    async with asking(made_company()) as api:
        await api.walk("/api/v2/deals", limit=20)
        await api.get("/api/v2/deals/1")
        await api.get("/v1/leads", api_token="in a URL")
        log = api.rest.log
    assert log.calls() == {"/api/v2/deals": 2, "/api/v2/deals/{id}": 1, "/v1/leads": 1}
    assert log.tokens() == {"/api/v2/deals": 20, "/api/v2/deals/{id}": 1, "/v1/leads": 20}
    assert log.calls(200) == log.calls()
    assert "in a URL" not in repr(log)
    assert TOKEN not in repr(log)
