"""`/users/me`: whose token it is, and of which company."""

from typing import Final

from sandbox.rest.refusals import Body
from sandbox.rest.rows import row
from sandbox.rest.view import View


def me(view: View) -> Body:
    """The user, and what is known of the company beside."""
    account = view.company.account
    user = row(view, "user", view.company.live["user"][view.user_id])
    company = {
        "company_id": account.company_id,
        "company_name": f"Company {account.company_id}",
        "company_domain": account.host.partition(".")[0],
        "company_country": "EE",
        "company_industry": "IT Services",
        "language": {"language_code": "en", "country_code": "US"},
    }
    return {"success": True, "data": user | company}


SETTINGS: Final = {
    "marketplace_team": False,
    "list_limit": 100,
    "beta_app": False,
    "prevent_salesphone_callto_override": False,
    "file_upload_destination": "s3",
    "callto_link_syntax": "callto:[number]",
    "autofill_deal_expected_close_date": False,
    "person_duplicate_condition": "name && (org_id || email || phone)",
}

CONNECTIONS: Final = {"google": "someone-123"}

ALONE: Final[tuple[tuple[str, int, Body], ...]] = (
    ("/userSettings", 2, {"success": True, "data": SETTINGS}),
    ("/userConnections", 20, {"success": True, "data": CONNECTIONS}),
)
"""(path, cost, body) of what is one thing of the token's user alone."""
