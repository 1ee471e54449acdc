"""One request to Pipedrive's REST API, as a plain value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from schema.listing import NOTHING


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, apart from whom and by whom: the token is never part of it.

    path    from the API's root, version included, nothing left to fill in
    params  of the query, not yet encoded
    cost    tokens that Pipedrive charges for it
    json    of the body; what stands there may be secret and is never shown
    one     whether one record is asked for: where its answer holds none, it has failed
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    cost: int = 1
    json: Mapping[str, Any] | None = field(default=None, repr=False)
    one: bool = False

    @property
    def name(self) -> str:
        """For logs and reasons: method and path. They hold ids at most."""
        return f"{self.method} {self.path}"

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again when nobody knows what became of it."""
        return self.method in {"GET", "DELETE"}


WHO_AM_I: Final = Request("GET", "/v1/users/me", cost=2, one=True)
"""The cheapest question there is that every token may ask."""
