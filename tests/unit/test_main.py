"""How the command ends when something goes wrong that nobody foresaw."""

import asyncpg
import pytest

from cli import main


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
