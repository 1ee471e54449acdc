"""Commands where the database is the embedded one: which may make it, and how a person gets into it."""

import asyncio
import re
import shlex
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from rig.processes import Installation, installation

DONE, FAILED, USAGE = 0, 1, 2
SUPERUSER = "select current_setting('is_superuser')"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that any account may enter, unlike pytest's own: where we are root, Postgres runs as another."""
    with tempfile.TemporaryDirectory(prefix="pm-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
async def embedded(open_folder: Path) -> AsyncIterator[Installation]:
    async with installation(open_folder, "", None) as found:
        found.settings["WEBHOOK_SECRET"] = ""
        yield found


async def test_a_command_in_the_wrong_folder_says_so_and_leaves_nothing_there(embedded: Installation) -> None:
    asked = await asyncio.gather(
        embedded.run("status"),
        embedded.run("companies", "list"),
        embedded.run("dead-letters", "list"),
        embedded.run("replay", "--from", "1h"),
    )
    assert [ran.code for ran in asked] == [USAGE] * len(asked)
    told = f"there is no embedded database under {embedded.folder / 'data'}: run this in the folder of `pipemirror up`"
    assert all(told in ran.err for ran in asked)
    doctor = await embedded.run("doctor")
    assert doctor.code == FAILED
    assert told in doctor.out
    assert not (embedded.folder / "data").exists()


async def test_credentials_of_a_secret_that_was_just_made_come_with_a_warning(embedded: Installation) -> None:
    first = await embedded.run("webhooks", "credentials", "--company", "1", "--json")
    assert (first.code, f"{embedded.folder / 'data' / 'master-secret'} was made" in first.err) == (DONE, True)
    again = await embedded.run("webhooks", "credentials", "--company", "1", "--json")
    assert (again.json, "was made" in again.err) == (first.json, False)


async def test_up_prints_a_line_to_paste_that_leads_into_the_database(embedded: Installation) -> None:
    up = await embedded.up()
    (line,) = (line.strip() for line in up.log.splitlines() if "/bin/psql " in line)
    program, dsn = shlex.split(line)
    assert await psql(program, dsn, "select current_user") == "pipemirror"
    assert await psql(program, dsn, SUPERUSER) == "off"
    assert await psql(program, dsn.replace("pipemirror@", "postgres@"), SUPERUSER) == "on"
    assert (await embedded.run("companies", "list", "--json")).json == []
    assert await up.terminate() == DONE


async def test_the_demo_connects_to_an_account_and_proves_that_the_mirror_equals_it(embedded: Installation) -> None:
    ran = await embedded.run("demo", "--for", "4", "--deals", "20", within=180.0)
    assert ran.code == DONE, ran.out + ran.err
    assert "live is on: webhook" in ran.err
    assert re.search(r"^reading: [1-9]", ran.err, re.MULTILINE)
    verdict = ran.out.splitlines()[-1]
    found = re.fullmatch(r"mirror equals sandbox: (\d+) records, (\d+) events \(.+\)", verdict)
    assert found is not None, verdict
    assert min(map(int, found.groups())) > 0


async def psql(program: str, dsn: str, query: str) -> str:
    process = await asyncio.create_subprocess_exec(
        program, dsn, "--no-psqlrc", "--tuples-only", "--no-align", "--command", query, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    return out.decode().strip()
