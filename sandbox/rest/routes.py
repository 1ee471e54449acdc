"""Which path is answered by what."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from sandbox.rest import answer, core, polled
from sandbox.rest.listing import Listing, Single
from sandbox.rest.me import ALONE, me
from sandbox.rest.query import Params
from sandbox.rest.refusals import Body
from sandbox.rest.subscriptions import Subscriptions
from sandbox.rest.view import View


@dataclass(frozen=True, slots=True)
class Question:
    """A request that was let in. `keys` are the places of its path, `body` what was posted."""

    params: Params
    keys: Mapping[str, str]
    body: Any = None


Reply = tuple[int, Body]
Handle = Callable[[Question], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """`path` from the API's root; `cost` in tokens."""

    path: str
    cost: int
    handle: Handle = field(repr=False)
    method: str = "GET"


def reading(view: View) -> Iterator[Route]:
    """All that can be read. Lists come first: `/deals/archived` is no deal."""
    yield from _everywhere(1, "/users/me", 2, _always(lambda: me(view)))
    for path, cost, body in ALONE:
        yield from _everywhere(1, path, cost, _always(partial(_itself, body)))
    for listing in (*core.LISTINGS, *polled.LISTINGS):
        yield from _everywhere(listing.v, listing.path, listing.cost, _listed(listing, view), bare=listing.bare)
    for single in (*core.SINGLES, *polled.SINGLES):
        yield from _everywhere(single.v, single.path, single.cost, _got(single, view), bare=single.bare)


def subscribing(subscriptions: Subscriptions) -> Iterator[Route]:
    """The management of webhooks, the only thing that is written through the API."""

    async def listed(_question: Question) -> Reply:
        return 200, subscriptions.all()

    async def created(question: Question) -> Reply:
        return 201, await subscriptions.create(question.body)

    async def removed(question: Question) -> Reply:
        return 200, subscriptions.remove(int(question.keys["id"]))

    for prefix in _PREFIXES[1]:
        yield Route(f"{prefix}/webhooks", 10, listed)
        yield Route(f"{prefix}/webhooks", 10, created, "POST")
        yield Route(f"{prefix}/webhooks/{{id:[0-9]+}}", 6, removed, "DELETE")


def _everywhere(version: int, path: str, cost: int, handle: Handle, *, bare: bool = False) -> Iterator[Route]:
    """v1 answers under `/v1` and `/api/v1`, but for a few paths that only the first knows."""
    prefixes = _PREFIXES[version]
    for prefix in prefixes[:1] if bare else prefixes:
        yield Route(prefix + path, cost, handle)


def _listed(listing: Listing, view: View) -> Handle:
    async def handle(question: Question) -> Reply:
        return 200, answer.page(listing, view, question.params, question.keys.get("parent"))

    return handle


def _got(single: Single, view: View) -> Handle:
    async def handle(question: Question) -> Reply:
        return 200, answer.single(single, view, question.params, question.keys["id"])

    return handle


def _itself(body: Body) -> Body:
    return body


def _always(told: Callable[[], Body]) -> Handle:
    async def handle(_question: Question) -> Reply:
        return 200, told()

    return handle


_PREFIXES: Final = {1: ("/v1", "/api/v1"), 2: ("/api/v2",)}
