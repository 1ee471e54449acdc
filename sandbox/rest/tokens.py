"""Who may ask: API tokens and bearer tokens, which can be taken back at any time."""

from collections.abc import Collection, Mapping

from sandbox.rest.refusals import unauthorized


class Tokens:
    """Those that are valid now.

    A token in the query string counts for nothing, though Pipedrive takes it there: who leaks one in a URL fails.
    """

    def __init__(self, api: Collection[str] = (), bearer: Collection[str] = ()) -> None:
        self._api, self._bearer = set(api), set(bearer)

    def accept(self, token: str, *, bearer: bool = False) -> None:
        (self._bearer if bearer else self._api).add(token)

    def revoke(self, token: str) -> None:
        """From now on it is answered with 401. So is one that has expired."""
        self._api.discard(token)
        self._bearer.discard(token)

    def of(self, headers: Mapping[str, str]) -> str:
        """The valid token of a request; raises `Refused`."""
        given = headers.get("x-api-token")
        if given is not None and given in self._api:
            return given
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and given in self._bearer:
            return given
        raise unauthorized()
