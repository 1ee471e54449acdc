"""Structured logs on stderr: console on a terminal, else one JSON document a line.

Our own events and those of the libraries (stdlib logging) pass the same processors, which guarantee that no secret,
no payload and no row of a customer gets into a log: keys named like one are dropped, bytes become their size,
passwords in URLs are masked, and what Postgres adds as DETAIL (it quotes rows) is cut from messages and tracebacks.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

Format = Literal["console", "json"]

_FORBIDDEN: Final = frozenset(
    {"authorization", "password", "body", "payload", "secret", "secrets", "token", "tokens", "cookie", "credentials"}
)
_WORD = re.compile(r"[A-Za-z][a-z]*|[A-Z]+")
_POSTGRES_DETAIL = re.compile(r"\s*\bDETAIL:.*", re.DOTALL)
_URL_PASSWORD = re.compile(r"(://[^\s:/@]*):[^\s/]*@")
_LONGEST: Final = 2_000
_DEPTH: Final = 10


def configure(role: str, *, form: Format | None = None, level: str = "info", stream: TextIO | None = None) -> None:
    """Set up logging for the whole process. `form` None: console where `stream` (stderr) is a terminal, else JSON."""
    out = sys.stderr if stream is None else stream
    form = form or ("console" if out.isatty() else "json")
    handler = logging.StreamHandler(out)
    shared = _processors(role)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(form, out)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    _quieten_libraries(logging.getLevelName(level.upper()))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _quieten_libraries(level: int) -> None:
    # Some log at debug what passes through them, and that is the events: libraries never go below info.
    floor = logging.INFO if level <= logging.DEBUG else max(level, logging.WARNING)
    for name in ("aiohttp", "asyncio", "asyncpg", "pamqp", "yoyo"):
        logging.getLogger(name).setLevel(floor)
    # Whatever they warn of is also raised, and then told by us once and in words.
    for name in ("aio_pika", "aiormq", "asyncpg.pool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _processors(role: str) -> list[Processor]:
    def bind_role(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("role", role)
        return event

    return [
        structlog.contextvars.merge_contextvars,
        bind_role,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(render_exception),
        redact,
    ]


def _renderer(form: Format, out: TextIO) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(default=str)
    return structlog.dev.ConsoleRenderer(colors=out.isatty())


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop what must not be logged. Numbers stay, whatever their key: a size or a count tells nothing."""
    # The traceback is made of lines that were redacted one by one.
    return {key: event[key] if key == "exception" else _safe(event[key]) for key in event if _allowed(key, event[key])}


def _allowed(key: object, value: object) -> bool:
    if value is None or isinstance(value, bool | int | float):
        return True
    return _FORBIDDEN.isdisjoint(word.lower() for word in _WORD.findall(str(key)))


def _safe(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool | int | float) or depth > _DEPTH:
        return value if depth <= _DEPTH else "…"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return {str(key): _safe(item, depth + 1) for key, item in value.items() if _allowed(key, item)}
    if isinstance(value, list | tuple | set | frozenset):
        return [_safe(item, depth + 1) for item in value]
    return _safe_text(str(value))


def _safe_text(text: str) -> str:
    return _URL_PASSWORD.sub(r"\1:***@", _POSTGRES_DETAIL.sub("", text))[:_LONGEST]


def render_exception(exc_info: ExcInfo) -> str:
    """The traceback, root cause first. Of each exception only the first line: the next ones may quote a row."""
    return "".join(_lines(exc_info[1], seen=set()))


def _lines(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    hidden = error.__suppress_context__ and error.__cause__ is None
    if not hidden:
        yield from _lines(error.__cause__ or error.__context__, seen)
    yield from traceback.format_tb(error.__traceback__)
    first_line = str(error).partition("\n")[0]
    yield f"{type(error).__qualname__}: {_safe_text(first_line)}\n"
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _lines(member, seen)
