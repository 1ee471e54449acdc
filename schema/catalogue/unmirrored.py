"""What Pipedrive's API lists and the mirror does not hold, and why. Single fields: `Entity.left_out`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ENTITIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "recent": "a feed of what changed in other lists, for a month at most: no records of its own",
        "subscription": "the API lists none any more; deal products and installments say when is billed",
    }
)

_SAME: Final = "the list that is read shows the same"
_V1: Final = "the list of v2 shows the same for half the price"
_FLOW: Final = "a mixture of changes, activities, notes, files and mails, each of which has a list of its own"
_MAIL: Final = "shows mails of colleagues, too, as far as they share them: the mailbox of the token's user is read"

LISTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "/api/v2/deals/{id}/products": "the list of a hundred deals shows the same",
        "/v1/activityFields": _V1,
        "/v1/dealFields": _V1,
        "/v1/deals/{id}/flow": _FLOW,
        "/v1/deals/{id}/mailMessages": _MAIL,
        "/v1/goals/{id}/results": "reckoned from deals and activities, for a period that one has to name",
        "/v1/legacyTeams/{id}/users": "`users` of a team says the same",
        "/v1/organizationFields": _V1,
        "/v1/organizations/{id}/flow": _FLOW,
        "/v1/organizations/{id}/mailMessages": _MAIL,
        "/v1/personFields": _V1,
        "/v1/persons/{id}/flow": _FLOW,
        "/v1/persons/{id}/mailMessages": _MAIL,
        "/v1/productFields": _V1,
        "/v1/roles/{id}/pipelines": "which pipelines a role sees: no record of its own",
        "/v1/roles/{id}/settings": "how visible new records of a role are: no record of its own",
        "/v1/users/me": _SAME,
        "/v1/users/{id}/roleAssignments": "the list of each role shows the same",
        "/v1/users/{id}/roleSettings": "follows from the role of the user",
    }
)
"""Further lists of entities that are mirrored."""
