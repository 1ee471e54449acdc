"""What may be in a log, and what never is."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from runtime.logs import configure


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_away_from_a_terminal_each_line_is_json_with_the_role(out: io.StringIO) -> None:
    configure("receiver", stream=out)
    structlog.stdlib.get_logger("here").info("on_spool", code="queue_unavailable", waiting=3)
    (line,) = lines(out)
    assert {"event": "on_spool", "code": "queue_unavailable", "waiting": 3, "role": "receiver"}.items() <= line.items()
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")


def test_on_a_terminal_lines_are_for_people() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    configure("worker", stream=out)
    structlog.stdlib.get_logger("here").info("drained", messages=3)
    assert "drained" in out.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(out.getvalue())


def test_secrets_and_payloads_are_dropped_wherever_they_are(out: io.StringIO) -> None:
    configure("receiver", form="json", stream=out)
    structlog.stdlib.get_logger("here").warning(
        "x",
        authorization="Basic leaked",
        webhook_secret="leaked",
        accessToken="leaked",
        raw=b"leaked",
        nested={"body": "leaked", "items": [{"payload": "leaked"}]},
        url="amqp://user:leaked@host/",
        routing_key="lane.0",
        body_bytes=12,
    )
    assert "leaked" not in out.getvalue()
    (line,) = lines(out)
    assert line["routing_key"] == "lane.0"
    assert line["body_bytes"] == 12
    assert line["raw"] == "<6 bytes>"
    assert line["url"] == "amqp://user:***@host/"


def test_the_detail_of_postgres_never_gets_out(out: io.StringIO) -> None:
    """DETAIL quotes the row: 'Key (email)=(somebody@example.com) already exists.'"""
    configure("worker", form="json", stream=out)
    log = structlog.stdlib.get_logger("here")
    error = ValueError('duplicate key value violates "x"\nDETAIL:  Key (email)=(leaked)\nis there.\nHINT:  none')
    other = ValueError("cannot be parsed:\nleaked")
    try:
        try:
            raise error
        except ValueError as cause:
            raise ExceptionGroup("several", [other, cause]) from cause
    except ExceptionGroup:
        log.exception("apply_failed", reason=str(error))
        logging.getLogger("asyncpg").exception("lost: %s", error)
    assert "leaked" not in out.getvalue()
    first, second = lines(out)
    assert first["reason"] == 'duplicate key value violates "x"'
    assert 'ValueError: duplicate key value violates "x"' in first["exception"]
    assert "test_logs.py" in first["exception"]
    assert second["event"] == 'lost: duplicate key value violates "x"'


def test_libraries_log_in_the_same_form_and_never_at_debug(out: io.StringIO) -> None:
    """At debug, an AMQP library logs its frames, and with them the events."""
    configure("worker", form="json", level="debug", stream=out)
    for name in ("aiohttp.server", "pamqp.frame", "asyncpg.connection"):
        logging.getLogger(name).debug("frame leaked")
        logging.getLogger(name).warning("lost %s", name)
    assert [line["event"] for line in lines(out)] == [
        "lost aiohttp.server",
        "lost pamqp.frame",
        "lost asyncpg.connection",
    ]
    assert {line["role"] for line in lines(out)} == {"worker"}


def test_what_is_raised_as_well_as_logged_is_told_once_and_by_us(out: io.StringIO) -> None:
    configure("worker", form="json", level="debug", stream=out)
    for name in ("aio_pika.queue", "aiormq.connection", "asyncpg.pool"):
        logging.getLogger(name).error("Unexpected connection close from remote")
    assert lines(out) == []


def test_what_is_below_the_level_is_not_logged(out: io.StringIO) -> None:
    configure("worker", form="json", level="warning", stream=out)
    structlog.stdlib.get_logger("here").info("quiet")
    structlog.stdlib.get_logger("here").warning("loud")
    assert [line["event"] for line in lines(out)] == ["loud"]
