"""What the REST side does wrong on purpose: all of it happens in reality, only more rarely."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Self

from sandbox.rest.refusals import Body, Refused, blocked, closed, out_of_scope, too_many, unavailable

_NO_PAGES: Final[Mapping[str, int]] = MappingProxyType({})
_BROKEN: Final = (500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class RestMischief:
    """Shares are between 0 and 1; routes are paths with `{id}` or `{parent}` in the place of keys.

    too_many     share of requests answered with 429 though no limit was reached
    broken       share answered with 5xx
    pages        share answered with Cloudflare's page and 403
    cut          share of answers whose connection ends in the middle
    nulls        share of good answers whose body, or whose `data`, is null
    once         no route is broken, cut or null twice in a row: asking again helps
    slow         share answered only after `delay` seconds
    stale        share of cursors that are refused
    twice        share of rows that a list tells twice
    sizes        route -> rows of its pages, whatever `limit` says
    forbidden    routes that the token has no scope for: 403
    closed       the company's account is closed: 402 on everything
    changes      things that happen in the company before each page of a list
    """

    too_many: float = 0.0
    broken: float = 0.0
    pages: float = 0.0
    cut: float = 0.0
    nulls: float = 0.0
    once: bool = False
    slow: float = 0.0
    delay: float = 1.0
    stale: float = 0.0
    twice: float = 0.0
    sizes: Mapping[str, int] = field(default_factory=lambda: _NO_PAGES)
    forbidden: frozenset[str] = frozenset()
    closed: bool = False
    changes: int = 0

    def asked_again(self) -> Self:
        """What is left of it for a route whose last answer was spoilt."""
        return replace(self, broken=0.0, cut=0.0, nulls=0.0) if self.once else self

    def refuse(self, rng: random.Random, route: str, params: Mapping[str, str]) -> None:
        """Raises `Refused` where this request is one of those."""
        if self.closed:
            raise closed()
        if route in self.forbidden:
            raise out_of_scope()
        if rng.random() < self.too_many:
            raise too_many({})
        if rng.random() < self.broken:
            raise unavailable(rng.choice(_BROKEN))
        if rng.random() < self.pages:
            raise blocked()
        if "cursor" in params and rng.random() < self.stale:
            raise Refused(400, "Provided cursor is not valid.")

    def asked(self, route: str, params: Mapping[str, str]) -> Mapping[str, str]:
        """The parameters as this list takes them."""
        return {**params, "limit": str(self.sizes[route])} if route in self.sizes else params

    def told(self, rng: random.Random, body: Body) -> Any:
        """The body as it is told after all."""
        if rng.random() < self.nulls:
            return rng.choice((None, {**body, "data": None}))
        rows = body.get("data")
        if self.twice and isinstance(rows, list):
            return {**body, "data": [again for row in rows for again in (row,) * (1 + (rng.random() < self.twice))]}
        return body
