"""The embedded Postgres starts anywhere, is shared, and outlives neither its users nor a crash of its own."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psycopg
import pytest

from cli import embedded
from cli.embedded import home as embedded_home
from schema.errors import DatabaseUnavailable, Misconfigured

REPOSITORY = Path(__file__).parents[2]
UNSAFE_AND_FAST = {"fsync": "off"}
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends Postgres another account")

# A process that uses the database of argv[1] until its stdin closes, or it is killed.
USER_OF_IT = """
import sys
from pathlib import Path
from cli import embedded
postgres = embedded.start(Path(sys.argv[1]), shelter=Path(sys.argv[2]), settings={"fsync": "off"})
print(postgres.pid, postgres.dsn, flush=True)
sys.stdin.read()
postgres.stop()
"""


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that any account may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="pm-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def shelter() -> Iterator[Path]:
    """Shared, so that programs are copied into it once."""
    with open_folder() as folder:
        yield folder


@pytest.fixture
def start(shelter: Path) -> Iterator[Callable[..., embedded.EmbeddedPostgres]]:
    """Starts without fsync, sheltered in a temporary folder, and stops whatever the test left running."""
    started: list[embedded.EmbeddedPostgres] = []

    def start(data_dir: Path, **settings: str) -> embedded.EmbeddedPostgres:
        started.append(embedded.start(data_dir, shelter=shelter, settings={**UNSAFE_AND_FAST, **settings}))
        return started[-1]

    yield start
    for postgres in started:
        postgres.stop()


@contextmanager
def another_process(data_dir: Path, shelter: Path) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """A process that uses the database, with the postmaster's pid and the DSN it got."""
    command = [sys.executable, "-c", USER_OF_IT, str(data_dir), str(shelter)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            pid, dsn = process.stdout.readline().split()
            yield process, int(pid), dsn
        finally:
            process.kill()


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def query(dsn: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, connect_timeout=10) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


Start = Callable[..., embedded.EmbeddedPostgres]


async def test_the_application_owns_its_database_and_is_no_superuser(start: Start, tmp_path: Path) -> None:
    connection = await asyncpg.connect(start(tmp_path).dsn)
    try:
        assert await connection.fetchval("SELECT current_setting('is_superuser')") == "off"
        await connection.execute("CREATE SCHEMA ours CREATE TABLE deals (id bigint)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE ROLE another")
    finally:
        await connection.close()


def test_the_printed_psql_line_works_in_a_shell(start: Start, tmp_path: Path) -> None:
    line = start(tmp_path).psql + " -Atc 'SELECT current_user, current_database()'"
    shown = subprocess.run(line, shell=True, env={}, capture_output=True, text=True, check=True)
    assert shown.stdout == "pipemirror|pipemirror\n"


def test_nobody_gets_in_without_the_password(start: Start, tmp_path: Path) -> None:
    postgres = start(tmp_path)
    without = postgres.dsn.split("&passfile=")[0]
    for dsn in (without, without.replace("pipemirror@/pipemirror", "postgres@/postgres")):
        with pytest.raises(psycopg.OperationalError, match="no password"):
            query(dsn, "SELECT 1")
    closed = (postgres.home.passwords, postgres.home.sockets, postgres.home.data, postgres.home.log)
    assert [path.stat().st_mode & 0o077 for path in closed] == [0] * len(closed)
    assert query(postgres.admin_dsn, "SHOW listen_addresses") == [("",)]


def test_a_second_start_joins_and_the_last_to_stop_ends_it(start: Start, tmp_path: Path) -> None:
    first = start(tmp_path)
    second = start(tmp_path)
    assert second.pid == first.pid
    first.stop()
    assert query(second.dsn, "SELECT 1") == [(1,)]
    second.stop()
    second.stop()
    assert not embedded.runs(first.home)
    until(lambda: not lives(first.pid))  # an ended process keeps its pid until its parent has seen it


def test_data_outlives_a_stop(start: Start, tmp_path: Path) -> None:
    first = start(tmp_path)
    query(first.dsn, "CREATE TABLE kept AS SELECT 1 AS id")
    first.stop()
    second = start(tmp_path)
    assert second.dsn == first.dsn
    assert query(second.dsn, "SELECT id FROM kept") == [(1,)]


def test_it_recovers_from_a_killed_postmaster_with_its_pid_file_left(start: Start, tmp_path: Path) -> None:
    first = start(tmp_path)
    query(first.dsn, "CREATE TABLE kept AS SELECT 1 AS id")
    os.kill(first.pid, signal.SIGKILL)
    second = start(tmp_path)
    assert second.pid != first.pid
    assert query(second.dsn, "SELECT id FROM kept") == [(1,)]


def test_a_stale_pid_file_that_names_another_process_does_not_matter(start: Start, tmp_path: Path) -> None:
    """After a reboot its pid may belong to anything, also to a process of the same account."""
    first = start(tmp_path)
    pid_file = first.home.data / "postmaster.pid"
    written = pid_file.read_text()
    first.stop()
    account = first.home.account
    with subprocess.Popen(["sleep", "600"], user=account.uid if account else None) as other:
        try:
            pid_file.write_text(written.replace(str(first.pid), str(other.pid), 1))
            assert query(start(tmp_path).dsn, "SELECT 1") == [(1,)]
        finally:
            other.kill()


def test_it_ends_with_a_user_that_was_killed(tmp_path: Path, shelter: Path) -> None:
    with another_process(tmp_path, shelter) as (process, postmaster, _):
        assert lives(postmaster)
        process.kill()
        until(lambda: not lives(postmaster))


def test_the_starter_may_be_killed_while_others_use_it(start: Start, tmp_path: Path, shelter: Path) -> None:
    with another_process(tmp_path, shelter) as (process, postmaster, dsn):
        joined = start(tmp_path)
        assert joined.pid == postmaster
        process.kill()
        process.wait(10)
        assert query(dsn, "SELECT 1") == [(1,)]
    joined.stop()
    until(lambda: not lives(postmaster))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_it_ends_in_good_order_with_a_killed_keeper(start: Start, tmp_path: Path) -> None:
    postgres = start(tmp_path)
    keeper = int(Path(f"/proc/{postgres.pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(keeper, signal.SIGKILL)
    until(lambda: not lives(postgres.pid))
    assert "database system is shut down" in postgres.home.log.read_text()


def test_processes_that_start_at_once_share_one(tmp_path: Path, shelter: Path) -> None:
    command = [sys.executable, "-c", USER_OF_IT, str(tmp_path), str(shelter)]
    starters = [
        subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)
    ]
    try:
        assert len({starter.stdout.readline() for starter in starters if starter.stdout}) == 1
    finally:
        for starter in starters:
            starter.communicate(timeout=60)
    assert [starter.returncode for starter in starters] == [0] * 4


def test_an_interrupted_first_start_leaves_nothing_half_made(start: Start, tmp_path: Path, shelter: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        embedded.start(tmp_path, shelter=shelter, timeout=0.0)
    assert query(start(tmp_path).dsn, "SELECT 1") == [(1,)]


def test_what_an_interrupted_first_start_goes_on_writing_is_in_nobodys_way(
    start: Start, tmp_path: Path, shelter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its initdb may outlive it for a moment: then its folder cannot be removed."""
    with pytest.raises(DatabaseUnavailable):
        embedded.start(tmp_path, shelter=shelter, timeout=0.0)
    with monkeypatch.context() as writing:
        writing.setattr(shutil, "rmtree", lambda *_, **__: None)
        assert query(start(tmp_path).dsn, "SELECT 1") == [(1,)]


def test_a_server_that_cannot_start_says_why(start: Start, tmp_path: Path) -> None:
    start(tmp_path).stop()
    with pytest.raises(DatabaseUnavailable, match='unrecognized configuration parameter "no_such_setting"'):
        start(tmp_path, no_such_setting="on")


def test_a_path_too_long_for_a_socket_works(start: Start, tmp_path: Path, shelter: Path) -> None:
    data_dir = tmp_path / ("long" * 30)
    postgres = start(data_dir)
    assert query(postgres.dsn, "SELECT 1") == [(1,)]
    postgres.stop()
    embedded.discard(data_dir, shelter=shelter)
    assert not postgres.home.sockets.exists()


def test_a_short_folder_for_a_socket_is_ours_alone(tmp_path: Path) -> None:
    """As root the whole cluster moves instead, so this is what an ordinary user with a long path gets."""
    home = tmp_path / ("long" * 30)
    sockets = embedded_home._sockets(home, None)
    try:
        assert len(os.fsencode(sockets / ".s.PGSQL.5432")) <= 103
        assert sockets.stat().st_mode & 0o777 == 0o700
        sockets.chmod(0o770)
        with pytest.raises(Misconfigured, match="somebody else made"):
            embedded_home._sockets(home, None)
    finally:
        sockets.rmdir()


def test_a_path_with_odd_characters_works(start: Start, tmp_path: Path) -> None:
    postgres = start(tmp_path / """it's, "10%" & é""")
    shown = subprocess.run([*shlex.split(postgres.psql), "-Atc", "SELECT 1"], capture_output=True, check=True)
    assert shown.stdout == b"1\n"


def test_discard_leaves_nothing(start: Start, tmp_path: Path, shelter: Path) -> None:
    postgres = start(tmp_path)
    with pytest.raises(Misconfigured, match="still runs"):
        embedded.discard(tmp_path, shelter=shelter)
    postgres.stop()
    embedded.discard(tmp_path, shelter=shelter)
    assert not postgres.home.folder.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["postgres.lock"]


def test_a_cluster_of_another_version_is_refused_in_words(start: Start, tmp_path: Path) -> None:
    postgres = start(tmp_path)
    postgres.stop()
    (postgres.home.data / "PG_VERSION").write_text("14\n")
    with pytest.raises(Misconfigured, match=r"is of Postgres 14, this is 18"):
        start(tmp_path)


def test_a_platform_without_the_wheel_is_told_what_to_do(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_home, "PACKAGE", "no_such_package")
    with pytest.raises(Misconfigured, match=r"DATABASE_URL: the embedded Postgres is not installed"):
        start(tmp_path)


def test_a_user_without_a_name_is_told_so(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(Misconfigured, match="uid not found: 54321"):
        start(tmp_path)


@as_root
def test_as_root_below_a_closed_folder_nothing_is_opened(start: Start, tmp_path: Path, shelter: Path) -> None:
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    postgres = start(closed / "data")
    assert query(postgres.dsn, "SELECT 1") == [(1,)]
    assert Path(f"/proc/{postgres.pid}").stat().st_uid == NOBODY
    assert closed.stat().st_mode & 0o777 == 0o700
    assert postgres.home.folder.is_relative_to(shelter)
    assert (closed / "data" / "postgres.location").read_text().strip() == str(postgres.home.folder)


@as_root
def test_as_root_programs_below_a_closed_folder_are_copied(tmp_path: Path) -> None:
    """A virtual environment in a 0700 home: the account could not run what lies there."""
    packages = embedded_home.packaged().parents[2]
    closed = tmp_path / "site-packages"
    closed.mkdir(mode=0o700)
    for tree in (embedded_home.PACKAGE, f"{embedded_home.PACKAGE}.libs"):
        subprocess.run(["cp", "-a", str(packages / tree), str(closed)], check=True)
    programs = closed / embedded_home.PACKAGE / "pginstall18" / "bin"
    with open_folder() as shelter:
        for _ in range(2):  # the second time the copy is there
            postgres = embedded.start(tmp_path / "data", shelter=shelter, binaries=programs)
            try:
                assert postgres.home.binaries.folder.is_relative_to(shelter)
                line = [*shlex.split(postgres.psql), "-Atc", "SELECT 1"]
                assert subprocess.run(line, capture_output=True, check=True).stdout == b"1\n"
            finally:
                postgres.stop()


@as_root
def test_as_root_an_open_data_dir_holds_the_data_itself(start: Start) -> None:
    with open_folder() as folder:
        postgres = start(folder)
        assert postgres.home.folder == folder / "postgres"
        assert Path(f"/proc/{postgres.pid}").stat().st_uid == NOBODY
        postgres.stop()


@as_root
def test_as_root_the_data_of_another_user_is_refused(start: Start) -> None:
    with open_folder() as folder:
        (folder / "postgres").mkdir()
        os.chown(folder / "postgres", NOBODY, NOBODY)
        with pytest.raises(Misconfigured, match=f"belongs to uid {NOBODY}"):
            start(folder)
