"""Tokens for Pipedrive's REST API: at rest they are encrypted, by keys the database does not know."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from schema.errors import Misconfigured, Problem
from store.database import Connection

API: Final = "api"
OAUTH: Final = "oauth"


@dataclass(frozen=True, slots=True)
class StoredToken:
    """Of one company: the token of a user, and where it opens the API. `stored_at` once it is."""

    company_id: int
    kind: str
    value: str = field(repr=False)
    api_url: str
    user_id: int
    is_admin: bool | None = None
    stored_at: datetime | None = field(default=None, compare=False)


class Vault:
    """Encrypts with the first of its keys, and decrypts with any. Without keys it opens nothing."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = MultiFernet([Fernet(key) for key in keys]) if keys else None

    async def put(self, connection: Connection, token: StoredToken) -> None:
        """In the place of the company's token before, if it had one."""
        assert self._keys is not None, "who stores a token has a key"
        await connection.execute(
            "INSERT INTO pipemirror.tokens (company_id, kind, secret, api_url, user_id, is_admin) "
            "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (company_id) DO UPDATE SET kind = excluded.kind, "
            "secret = excluded.secret, api_url = excluded.api_url, user_id = excluded.user_id, "
            "is_admin = excluded.is_admin, stored_at = now(), refused_at = NULL, code = NULL, reason = NULL",
            token.company_id, token.kind, self._keys.encrypt(token.value.encode()),
            token.api_url, token.user_id, token.is_admin,
        )  # fmt: skip

    async def get(self, connection: Connection, company_id: int) -> StoredToken | None:
        """Raise Misconfigured if none of the keys opens it, or there are none."""
        row = await connection.fetchrow(
            "SELECT company_id, kind, secret, api_url, user_id, is_admin, stored_at FROM pipemirror.tokens "
            "WHERE company_id = $1",
            company_id,
        )
        if row is None:
            return None
        if self._keys is None:
            raise Misconfigured(
                f"ENCRYPTION_KEYS is missing to open the token of company {company_id}: "
                "expected the key it was stored with"
            )
        try:
            value = self._keys.decrypt(row["secret"]).decode()
        except InvalidToken:
            raise Misconfigured(
                f"ENCRYPTION_KEYS does not open the token of company {company_id}: "
                "expected the key it was stored with among them; or `connect` again"
            ) from None
        told = {name: row[name] for name in row.keys() if name != "secret"}  # noqa: SIM118 - a record yields values
        return StoredToken(value=value, **told)


async def of_companies(connection: Connection) -> list[int]:
    """Companies that are active and have a token that Pipedrive accepts, as far as known."""
    rows = await connection.fetch(
        "SELECT company_id FROM pipemirror.tokens JOIN pipemirror.companies ON id = company_id "
        "WHERE state = 'active' AND refused_at IS NULL ORDER BY company_id"
    )
    return [row["company_id"] for row in rows]


async def refused(connection: Connection, token: StoredToken, problem: Problem) -> None:
    """Pipedrive does not accept it: a person must do something. It is said in `status` until a new one is stored.

    Nothing is said of one that was stored while the one before was still being used.
    """
    await connection.execute(
        "UPDATE pipemirror.tokens SET refused_at = coalesce(refused_at, now()), code = $2, reason = $3 "
        "WHERE company_id = $1 AND stored_at = $4",
        token.company_id, problem.code, problem.reason, token.stored_at,
    )  # fmt: skip
