"""What was asked for, for tests to ask: never a token, nor any other secret."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from sandbox.rest.query import Params

_SECRETS: Final = frozenset(("api_token", "access_token"))


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `route` is its path with `{id}` or `{parent}` in the place of keys; `cost` what it took."""

    method: str
    path: str
    route: str
    params: Params
    status: int
    cost: int


@dataclass(slots=True)
class Log:
    """Requests in the order in which they were answered."""

    asked: list[Asked] = field(default_factory=list)

    def note(self, asked: Asked) -> None:
        params = {name: "?" if name in _SECRETS else value for name, value in asked.params.items()}
        self.asked.append(Asked(asked.method, asked.path, asked.route, params, asked.status, asked.cost))

    def __iter__(self) -> Iterator[Asked]:
        return iter(self.asked)

    def calls(self, status: int | None = None) -> Counter[str]:
        """Requests by route; all of them, or those that were answered with `status`."""
        return Counter(one.route for one in self.asked if status in (None, one.status))

    def tokens(self) -> Counter[str]:
        """Tokens spent by route."""
        spent: Counter[str] = Counter()
        for one in self.asked:
            spent[one.route] += one.cost
        return spent
