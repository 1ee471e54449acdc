"""Every option and argument of every command, given what nobody means: it does what it was told, or says what not."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import pytest
import typer

from cli import doctor, main
from cli.command import EXIT_USAGE
from worker.upkeep.migrate import migrate

ABSURD: Final = (
    "", " ", "0", "-1", "1e400", "nan", "inf", "-inf", "9" * 19, "9" * 20, "9" * 5_000, "\N{FULLWIDTH DIGIT ONE}",
    "\udcff", "a\0", "\x1b[2J", "x" * 100_000, "'; --", "%", "{}",
    "0001-01-01", "9999-12-31", "0001-01-01T00:00+05:00", "9999-12-31T23:59-14:00", "999999d", "999999m",
    "http://", "http://[::1", "http://127.0.0.1:99999", "http://127.0.0.1:0", "ftp://127.0.0.1",
    "http://127.0.0.1:1/\n", "http://\udcff",
)  # fmt: skip
NEEDED: Final = {
    "replay": ["--from", "2026-01-01", "--entity", "deal"],
    "webhooks credentials": ["--company", "1"],
    "companies pause": ["1"],
    "companies resume": ["1"],
    "companies purge": ["1"],
    "webhooks remove": ["--yes"],
    "dead-letters show": ["1"],
    "dead-letters replay": ["--all"],
    "dead-letters discard": ["--all", "--yes"],
}
"""What a command cannot do without; where it is what the test gives, it is left out."""

FRAME: Final = '  File "'
"""Of a traceback, as the command renders it."""


def commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} ")
        else:
            yield above + name, command


def takes_value(parameter: Any) -> bool:
    return parameter.param_type_name == "argument" or not (parameter.is_flag or parameter.count)


PARAMETERS: Final = [
    pytest.param(name, parameter, id=f"{name} {parameter.name}")
    for name, command in commands(typer.main.get_command(main.app))
    for parameter in command.params
    if takes_value(parameter)
]


def words(name: str, parameter: Any, value: str) -> list[str]:
    needed = NEEDED.get(name, [])
    if parameter.param_type_name == "argument":
        return [*name.split(), *(word for word in needed if word == "--yes"), "--", value]
    [option, *_] = parameter.opts
    if option in needed:
        at = needed.index(option)
        needed = needed[:at] + needed[at + 2 :]
    return [*name.split(), f"{option}={value}", *needed]


@pytest.fixture
def alone(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, on a database that holds nothing; no company is made up, the tests' logs stay what they are."""
    asyncio.run(migrate(database))

    async def nothing(*_: Any, **__: Any) -> bool:
        return True

    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("WEBHOOK_SECRET", "a secret of sufficient length")
    monkeypatch.setenv("PUBLIC_URL", "https://mirror.example.com")
    monkeypatch.setattr("cli.command.configure", lambda *_, **__: None)
    monkeypatch.setattr(main, "configure", lambda *_, **__: None)
    monkeypatch.setattr(doctor, "configure", lambda *_, **__: None)
    monkeypatch.setattr(main, "run_demo", nothing)
    monkeypatch.setattr(main, "run_sandbox", nothing)
    monkeypatch.setattr(main, "serve_sandbox", nothing)


def ended(given: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("sys.argv", ["pipemirror", *given])
    with pytest.raises(SystemExit) as end:
        main.main()
    return end.value.code


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_an_absurd_value_is_taken_or_refused_by_the_name_of_its_option(
    name: str, parameter: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = []
    called = parameter.metavar if parameter.param_type_name == "argument" else parameter.opts[0]
    for value in ABSURD:
        code = ended(words(name, parameter, value), monkeypatch)
        told = capsys.readouterr().err
        if FRAME in told or (code == EXIT_USAGE and called not in told):
            wrong.append((value[:30], code, told[-600:]))
    assert not wrong, wrong


def test_every_command_with_values_is_tried() -> None:
    """The walk over the commands finds them: else nothing would be tried, and all be well."""
    tried = {parameter.values[0] for parameter in PARAMETERS}
    healing = {"backfill", "sweep", "reconcile", "webhooks ensure", "webhooks list"}
    assert tried == {*NEEDED, *healing, "demo", "sandbox", "doctor", "dead-letters list"}
