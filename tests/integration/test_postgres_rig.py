"""The servers of the tests keep what other tests rely on."""

from typing import Literal

import asyncpg
import psycopg
import pytest
from rig.postgres import PrivateServer, Server


@pytest.fixture
def private_server(postgres_server: Server) -> PrivateServer:
    if not isinstance(postgres_server, PrivateServer):
        pytest.skip("an external server is not ours to hurt")
    return postgres_server


async def test_the_role_of_the_tests_is_no_superuser_but_creates_in_its_database(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        assert await connection.fetchval("SELECT current_setting('is_superuser')") == "off"
        await connection.execute("CREATE SCHEMA ours CREATE TABLE ours (id bigint PRIMARY KEY)")
    finally:
        await connection.close()


def test_the_server_is_of_the_version_asked_for(private_server: PrivateServer, database: str) -> None:
    with psycopg.connect(database) as connection:
        assert connection.info.server_version // 10_000 == int(private_server.version)


@pytest.mark.parametrize("how", ["kill9", "immediate", "fast"])
def test_what_was_committed_is_there_after_a_crash(
    private_server: PrivateServer, database: str, how: Literal["kill9", "immediate", "fast"]
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
    before = private_server.pid
    if how == "kill9":
        private_server.kill9()
        private_server.start()
    else:
        private_server.restart(how)
    assert private_server.pid != before
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT id FROM kept").fetchall() == [(1,)]


def test_each_test_gets_a_database_of_its_own(postgres_server: Server, database: str) -> None:
    other = postgres_server.new_database()
    try:
        with psycopg.connect(database) as ours, psycopg.connect(other) as theirs:
            ours.execute("CREATE TABLE only_here ()")
            ours.commit()
            assert theirs.execute("SELECT to_regclass('only_here')").fetchone() == (None,)
    finally:
        postgres_server.drop_database(other)


def test_a_template_is_prepared_once_and_copied_whole(postgres_server: Server) -> None:
    prepared: list[str] = []

    def prepare(dsn: str) -> None:
        prepared.append(dsn)
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE made_before AS SELECT 7 AS id")

    for _ in range(2):
        copy = postgres_server.new_database(postgres_server.template("rig", prepare))
        with psycopg.connect(copy) as connection:
            assert connection.execute("SELECT id FROM made_before").fetchall() == [(7,)]
            assert connection.execute("SELECT current_user = tableowner FROM pg_tables").fetchone() == (True,)
        postgres_server.drop_database(copy)
    assert len(prepared) == 1
