"""What commands print may come from anybody who can post: it is shown, not obeyed."""

from datetime import UTC, datetime

import pytest

from cli.output import show


def test_text_that_looks_like_markup_is_only_text(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"id": 1, "entity": "[/x]", "reason": "[red]no table[/]"}], as_json=False)
    assert "[/x]" in (shown := capsys.readouterr().out)
    assert "[red]no table[/]" in shown


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show({"body": "a\x1b]0;title\x07b\nÅ"}, as_json=False)
    show([{"reason": "a\x1b[2Jb"}], as_json=False)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\\x1b" in shown
    assert "Å" in shown


def test_moments_are_shown_to_the_second(capsys: pytest.CaptureFixture[str]) -> None:
    show({"received_at": datetime(2026, 3, 4, 12, 0, 5, 426_000, UTC)}, as_json=False)
    assert "2026-03-04 12:00:05Z" in capsys.readouterr().out
