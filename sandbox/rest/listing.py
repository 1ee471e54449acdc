"""The words in which a list of the API is declared here. Written from Pipedrive's documentation, apart from ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from sandbox.shelf import Record

Paging = Literal["cursor", "pagination", "flat", "whole"]
"""v2's cursor; v1's `start` told in `additional_data.pagination`, or in `additional_data` itself; no pages at all."""

Shows = Callable[[Record], bool]

NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Parent:
    """Whose children a list shows: `column` of a row, or `also`, holds the key of a parent, which is an `entity`.

    param   query parameter that names the parents, comma-separated; None: `{parent}` in the path does, and it is
            looked for: 404 where there is none
    most    of them in one request
    told    whether a row says whose it is
    """

    entity: str
    column: str
    param: str | None = None
    most: int = 1
    also: str | None = None
    told: bool = True


@dataclass(frozen=True, slots=True)
class Listing:
    """One list.

    path      after the version
    entity    whose records it shows
    cost      tokens of a call
    v         the API's version
    bare      a v1 list that only `/v1` knows: under `/api/v1` there is nothing
    most      rows of a page at most
    order     column by which it is sorted if nobody says how; `descending` likewise
    sorts     columns by which one may sort
    filters   parameter -> column that must equal it, or hold it; `kind.name` is the part of a column
    otherwise filters that hold where the parameter is not given
    own       only what the asking user has in this column is shown, unless one of these parameters is given
    omits     columns that only a get tells
    since     whether `updated_since` is understood; `until` likewise
    refuses   parameters that are an error; what else is unknown is ignored
    ids       whether `ids` picks up to 100
    statuses  those that `status` understands; without it all but `deleted` are shown
    shows     which records belong here
    parent    None, if it takes no parent to ask
    wrapped   what stands under `data`, given the rows
    """

    path: str
    entity: str
    cost: int
    v: Literal[1, 2] = 2
    bare: bool = False
    paging: Paging = "cursor"
    most: int = 500
    order: str = "id"
    descending: bool = False
    sorts: tuple[str, ...] = ("id",)
    filters: Mapping[str, str] = field(default_factory=lambda: NONE)
    otherwise: Mapping[str, str] = field(default_factory=lambda: NONE)
    own: tuple[str, tuple[str, ...]] | None = None
    omits: tuple[str, ...] = ()
    since: bool = False
    until: bool = False
    refuses: tuple[str, ...] = ()
    ids: bool = False
    statuses: tuple[str, ...] = ()
    shows: Shows = lambda _record: True
    parent: Parent | None = None
    wrapped: Callable[[list[Record]], Any] = lambda rows: rows


@dataclass(frozen=True, slots=True)
class Single:
    """One record by its key, which stands in the path as `{id}`."""

    path: str
    entity: str
    cost: int
    v: Literal[1, 2] = 2
    bare: bool = False
