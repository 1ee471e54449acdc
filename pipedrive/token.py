"""What says who we are: a value with its kind, which shows itself nowhere but in one header."""

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    API = "api"
    OAUTH = "oauth"


@dataclass(frozen=True, slots=True)
class Token:
    """A user's API token, or the access token of an app."""

    value: str = field(repr=False)
    kind: Kind = Kind.API

    @property
    def header(self) -> tuple[str, str]:
        return ("x-api-token", self.value) if self.kind is Kind.API else ("authorization", f"Bearer {self.value}")
