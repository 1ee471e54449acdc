"""How the command ends when something goes wrong that nobody foresaw."""

import io

import asyncpg
import pytest

from cli import main
from cli.command import confirm


def test_a_wrong_usage_is_one_line_and_blames_no_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody is there to be asked
    monkeypatch.setattr(main, "app", lambda: confirm("Close it?", "1 dead letter would be closed unapplied", yes=False))
    with pytest.raises(SystemExit) as ended:
        main.main()

    assert ended.value.code == 2
    told = "not done: 1 dead letter would be closed unapplied; repeat with --yes (no terminal to ask at)\n"
    assert capsys.readouterr().err == told


def test_what_was_confirmed_beforehand_is_not_asked() -> None:
    confirm("Close it?", "it would be closed", yes=True)


def test_an_unforeseen_error_is_shown_without_the_row_that_postgres_quotes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        error = asyncpg.CheckViolationError("new row violates check constraint")
        error.detail = "Failing row contains (Jane Doe)."
        raise error

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit) as ended:
        main.main()

    assert ended.value.code == 1
    shown = capsys.readouterr().err
    assert "CheckViolationError: new row violates check constraint" in shown
    assert "Jane" not in shown
