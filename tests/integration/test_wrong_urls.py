"""A DATABASE_URL that can never work is told from a Postgres that is not there now: nobody shall wait for it."""

from pathlib import Path

import pytest

from cli.doctor.of_database import of_database
from schema.errors import DatabaseUnavailable, Misconfigured
from store.database import create_pool
from worker.upkeep.migrate import migrate

NOWHERE = "postgresql://user:pass-word@127.0.0.1:1/none"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a file that is no certificate."""
    (tmp_path / "garbage").write_text("no certificate")
    return tmp_path


async def refused(dsn: str) -> str:
    """What all who connect say of it."""
    with pytest.raises(Misconfigured, match="DATABASE_URL is not valid: ") as by_pool:
        await create_pool(dsn, size=1, application="tests")
    with pytest.raises(Misconfigured) as by_migration:
        await migrate(dsn)
    [finding] = await of_database(dsn)
    reasons = {by_pool.value.reason, by_migration.value.reason, finding.found}
    assert len(reasons) == 1, reasons
    assert finding.verdict == "fail"
    assert "pass-word" not in finding.found
    return reasons.pop()


@pytest.mark.parametrize(
    ("dsn", "named"),
    [
        (f"{NOWHERE}?sslmode=nonsense", "sslmode"),
        (f"{NOWHERE}?sslnegotiation=nonsense", "sslnegotiation"),
        (f"{NOWHERE}?ssl_min_protocol_version=1", "TLS version"),
        (f"{NOWHERE}?nonsense", "parameters"),
        ("postgresql://user:pass-word@/none?port=pass-word", "ports"),
        ("postgresql://user:pass-word@127.0.0.1:99999/none", "ports"),
        ("postgresql://user:pass-word@a..b/none", "hosts"),
        ("postgresql://user:pass-word@a%00b/none", "hosts"),
    ],
)
async def test_what_cannot_be_read_is_refused_without_a_value(dsn: str, named: str) -> None:
    assert named in await refused(dsn)


@pytest.mark.parametrize("name", ["sslrootcert", "sslcrl", "sslcert"])
@pytest.mark.parametrize("file", ["missing", "garbage", ""])
async def test_a_file_that_cannot_be_loaded_is_named(folder: Path, name: str, file: str) -> None:
    mode = "sslmode=verify-ca" if name == "sslrootcert" else "sslmode=require"
    assert f"the file of {name}" in await refused(f"{NOWHERE}?{mode}&{name}={folder / file}")


async def test_a_parameter_that_postgres_does_not_know_is_refused(migrated: str) -> None:
    assert 'parameter "nonsense"' in await refused(f"{migrated}{'&' if '?' in migrated else '?'}nonsense=pass-word")
    assert 'parameter "work_mem"' in await refused(f"{migrated}{'&' if '?' in migrated else '?'}work_mem=pass-word")


async def test_settings_of_the_session_are_taken_in_the_form_that_every_driver_knows(database: str) -> None:
    with_query = f"{database}{'&' if '?' in database else '?'}"
    with pytest.raises(Misconfigured, match='"work_mem"; expected options=-c%20name=value'):
        await migrate(f"{with_query}work_mem=8MB")
    assert await migrate(f"{with_query}options=-c%20work_mem=8MB")


@pytest.mark.parametrize("dsn", [NOWHERE, f"{NOWHERE}?sslmode=require", "postgresql://user@/none?host=/no/such/folder"])
async def test_a_postgres_that_is_not_there_is_waited_for(dsn: str) -> None:
    with pytest.raises(DatabaseUnavailable):
        await create_pool(dsn, size=1, application="tests")
    with pytest.raises(DatabaseUnavailable):
        await migrate(dsn)


async def test_a_file_that_is_not_used_keeps_nobody_from_waiting(folder: Path) -> None:
    """Without `sslmode` certificates are not looked at, so it is not the file that is to blame."""
    with pytest.raises(DatabaseUnavailable):
        await create_pool(f"{NOWHERE}?sslrootcert={folder / 'missing'}", size=1, application="tests")
