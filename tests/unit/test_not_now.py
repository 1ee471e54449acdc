"""Which errors of Postgres say "not now": the work is held. All others are this one event's."""

import asyncpg
import psycopg
import pytest

from schema.errors import Conflict, DatabaseUnavailable
from store.database import describe, not_now


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InvalidPasswordError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.InvalidSchemaNameError,
        asyncpg.InvalidSQLStatementNameError,
        asyncpg.UndefinedTableError,
        asyncpg.InsufficientPrivilegeError,
        asyncpg.DiskFullError,
        asyncpg.CannotConnectNowError,
        asyncpg.LockNotAvailableError,
        asyncpg.ReadOnlySQLTransactionError,
    ],
)
def test_what_somebody_or_time_mends_is_held(error: type[asyncpg.PostgresError]) -> None:
    assert isinstance(not_now(error("mended later")), DatabaseUnavailable)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DeadlockDetectedError,
        asyncpg.SerializationError,
        asyncpg.InvalidCachedStatementError,
        asyncpg.CheckViolationError,  # without a constraint's name: the bounds of a partition
    ],
)
def test_what_another_transaction_changed_is_tried_again(error: type[asyncpg.PostgresError]) -> None:
    assert isinstance(not_now(error("changed underneath")), Conflict)


def test_a_check_of_somebodys_own_refuses_the_event() -> None:
    fields = {"S": "ERROR", "C": "23514", "M": "violates check constraint", "n": "their_own"}

    assert not_now(asyncpg.PostgresError.new(fields)) is None


@pytest.mark.parametrize(
    "error", [asyncpg.DataError, asyncpg.NumericValueOutOfRangeError, asyncpg.UniqueViolationError]
)
def test_what_the_content_is_to_blame_for_is_not_held(error: type[asyncpg.PostgresError]) -> None:
    assert not_now(error("never")) is None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (asyncpg.LockNotAvailableError("a lock timeout"), "LockNotAvailableError (55P03): a lock timeout"),
        (
            psycopg.errors.UniqueViolation("a duplicate key\nDETAIL:  Key (name)=(Ada) already exists."),
            "UniqueViolation (23505): a duplicate key",
        ),
        (
            asyncpg.InvalidTextRepresentationError('invalid input syntax: "Ada"'),
            "InvalidTextRepresentationError (22P02): Postgres cannot hold one of the values",
        ),
        (
            psycopg.errors.InvalidTextRepresentation('invalid input syntax: "Ada"'),
            "InvalidTextRepresentation (22P02): Postgres cannot hold one of the values",
        ),
        (TimeoutError(), "TimeoutError"),
        (ConnectionRefusedError("nobody there"), "ConnectionRefusedError: nobody there"),
    ],
)
def test_what_went_wrong_is_told_without_a_value(error: Exception, told: str) -> None:
    assert describe(error) == told
