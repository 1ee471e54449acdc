"""How Pipedrive's REST API lists an entity: the words in which a declaration says it.

A listing is one list of the API. An entity may have several (deals that are archived stand in a list of their own);
a row is the same whichever of them shows it. Facts are those of Pipedrive's OpenAPI specification, `cost` its
`x-token-cost`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
BY_ID: Final = MappingProxyType({"sort_by": "id", "sort_direction": "asc"})
BY_UPDATE: Final = MappingProxyType({"sort_by": "update_time", "sort_direction": "asc"})


class Paging(StrEnum):
    """How the next page is asked for."""

    CURSOR = "cursor"
    OFFSET = "offset"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Delta:
    """What a listing offers to those who want only what changed.

    since, until  parameters that take a time (`since` inclusive, `until` exclusive); None where there is none. Without
                  `since` the list can only be read newest first, until what is known comes
    params        that put the rows in the order of their update time
    """

    since: str | None = "updated_since"
    until: str | None = None
    params: Mapping[str, str] = field(default_factory=lambda: BY_UPDATE)


@dataclass(frozen=True, slots=True)
class Parent:
    """Whose children a listing lists. It is asked once for each parent, or for each `batch` of them.

    param    query parameter that takes the ids, comma-separated; None: `{parent}` in the path is the one id
    column   of the child, which holds the parent's id: filled in where the answer leaves it out
    counter  column of the parent that says how many children there are: where it is 0 nobody asks
    """

    entity: str
    param: str | None = None
    batch: int = 1
    column: str | None = None
    counter: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """One list of the API.

    path     from the API's root, version included
    cost     tokens of a call
    limit    rows of a page at most
    rows     keys that lead to the rows in a body
    params   sent with every call
    order    sent with a walk through all of it: rows that are made meanwhile must come later
    scopes   one of which an OAuth token needs
    says     cells that each of its rows has, told or not: in the list of the archived, all are archived
    ids      how many records may be asked for at once by `ids`; 0 if it takes none
    spread   of an object {name: value}, the columns for the two: each pair is a row
    mine     column that holds the id of the token's own user: the list tells of nobody else
    opt_in   whether it is read only where somebody wants it and its price: one call per parent
    name     tells it from another list of the same path
    """

    path: str
    cost: int
    paging: Paging = Paging.CURSOR
    limit: int = 500
    rows: tuple[str, ...] = ("data",)
    params: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    order: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    scopes: tuple[str, ...] = ()
    says: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    delta: Delta | None = None
    parent: Parent | None = None
    ids: int = 0
    spread: tuple[str, str] | None = None
    mine: str | None = None
    opt_in: bool = False
    name: str = ""

    @property
    def label(self) -> str:
        """By which we remember how far it was read."""
        return f"{self.path} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class Get:
    """How one record is asked for: a path with `{id}`, and the tokens of a call."""

    path: str
    cost: int
