"""Which errors of Postgres say "not now": the work is held. All others are this one event's."""

import asyncpg
import pytest

from schema.errors import Conflict, DatabaseUnavailable
from store.database import not_now


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
