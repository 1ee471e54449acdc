"""Column types: how a JSON value of any source becomes the typed value of a column, and back.

Each type accepts every form Pipedrive is known to send (catalogue, webhooks v1 and v2, REST v1 and v2): numbers as
strings, references as objects, times without a zone, `0000-00-00`. What it cannot hold raises ValueError.
"""

import math
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

ADDRESS_PARTS = (
    "value", "street_number", "route", "sublocality", "locality", "subpremise", "admin_area_level_1",
    "admin_area_level_2", "country", "postal_code", "formatted_address",
)  # fmt: skip

# int() alone would take underscores and foreign digits, and its time is quadratic: no id is longer.
_WHOLE = re.compile(r"\s*[+-]?\d{1,38}\s*", re.ASCII)
_DURATION = re.compile(r"(\d{1,6}):([0-5]?\d)(?::([0-5]?\d))?", re.ASCII)
_CLOCK = re.compile(r"\d\d:\d\d", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Type:
    """A column type: its SQL name, the reader of its JSON forms, and what a carried null means.

    REST v2 writes an empty list where an event writes null; so that both read the same, a list is never null.
    """

    sql: str
    read: Callable[[Any], Any]
    is_list: bool = False

    def of(self, value: Any) -> Any:
        """The typed value; raises ValueError or TypeError."""
        if value is None:
            return [] if self.is_list else None
        return self.read(value)


def to_json(value: Any) -> Any:
    """A typed column value as plain JSON, as Pipedrive's REST v2 would write it."""
    match value:
        case None | bool() | int() | float() | str() | dict():
            return value
        case Decimal():
            return int(value) if value == value.to_integral_value() and abs(value) < 2**53 else float(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date() | uuid.UUID():
            return str(value)
        case timedelta():
            return _clock_text(value)
        case list() | tuple():
            return [to_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} is no column value")


def parse_time(value: Any) -> datetime | None:
    """An instant from ISO text (zone-less means UTC), a v1 text, or unix seconds, milliseconds or microseconds."""
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{_shown(value)} is no time")
    return _from_number(value)


def _from_text(value: str) -> datetime | None:
    if value.isascii() and value.isdigit():
        return _from_number(int(value))
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        if not value or value.startswith("0000-00-00"):
            return None
        raise ValueError(f"{_shown(value)} is no time") from None
    zone = found.tzinfo
    return found if zone is UTC else found.replace(tzinfo=UTC) if zone is None else found.astimezone(UTC)


def microseconds(at: datetime) -> int:
    """Since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def instant(since_1970: int) -> datetime:
    """Of microseconds; exact, which a float would not be."""
    return _EPOCH + timedelta(microseconds=since_1970)


def _from_number(value: float) -> datetime:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value!r} is no time")
    # 10 digits are seconds, 13 milliseconds, 16 microseconds: Pipedrive has sent all three.
    unit = 1_000_000 if abs(value) < 10**11 else 1_000 if abs(value) < 10**14 else 1
    try:
        return _EPOCH + timedelta(microseconds=int(value * unit))
    except OverflowError as error:
        raise ValueError(f"{value!r} is no time") from error


def _integer(low: int, high: int) -> Callable[[Any], int | None]:
    def read(value: Any) -> int | None:
        number = value if type(value) is int else _whole(value)
        if number is not None and not low <= number <= high:
            raise ValueError(f"{number} is out of range")
        return number

    return read


def _whole(value: Any) -> int | None:
    if isinstance(value, dict):
        # A v1 reference: the id stands under `value` (persons, organizations) or `id` (users).
        return _whole(value.get("value", value.get("id")))
    if value is None or value == "" or value is False:
        return None
    if (value is not True and isinstance(value, int)) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    raise ValueError(f"{_shown(value)} is no whole number")


def _numeric(value: Any) -> Decimal | None:
    if value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{_shown(value)} is no number")
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation as error:
        raise ValueError(f"{_shown(value)} is no number") from error
    if not number.is_finite() or number.adjusted() > 1000:  # noqa: PLR2004 - "1e99999999" must not become digits
        raise ValueError(f"{_shown(value)} is out of range")
    return number


def _text(value: Any) -> str:
    # Open: Pipedrive has turned numbers into text and text into objects before, and text can hold any of them.
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _boolean(value: Any) -> bool | None:
    if value in (True, 1, "1", "true"):
        return True
    if value in (False, 0, "0", "false"):
        return False
    if value == "":
        return None
    raise ValueError(f"{_shown(value)} is neither true nor false")


def _date(value: Any) -> date | None:
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is no date")
    if not value or value.startswith("0000-00-00"):
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        raise ValueError(f"{_shown(value)} is no date") from None


def _time_of_day(value: Any) -> str | None:
    """REST and v1 send text, v1 without seconds; v2 events {timezone_id, value}."""
    inner = value.get("value") if isinstance(value, dict) else value
    if inner in (None, ""):
        return None
    text = _text(inner)
    return f"{text}:00" if _CLOCK.fullmatch(text) else text


def _duration(value: Any) -> timedelta | None:
    text = _time_of_day(value)
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{_shown(value)} is no duration")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _uuid(value: Any) -> uuid.UUID | None:
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is no uuid")
    return uuid.UUID(value) if value else None


def _list_of(item: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def read(value: Any) -> list[Any]:
        # v1 labels come as "2,3" or as one number; REST with include_labels as objects.
        items = value if isinstance(value, list) else str(value).split(",") if value != "" else []
        return [found for one in items if one is not None and (found := item(one)) is not None]

    return read


def address(value: Any) -> dict[str, Any] | None:
    """REST and v2 events send an object or one line of text."""
    if not isinstance(value, dict):
        return {"value": _text(value)} if value != "" else None
    return {key: (None if part == "" else part) for key, part in value.items() if key != "type"}


def _clock_text(value: timedelta) -> str:
    minutes, seconds = divmod(int(value.total_seconds()), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"


def _shown(value: Any) -> str:
    """The kind of a value for a reason: values themselves may be personal data and stay out of logs."""
    if isinstance(value, (bool, int, float)):
        return str(value)[:40]
    return f"a {type(value).__name__} of {len(value)}" if hasattr(value, "__len__") else type(value).__name__


def renamed_items(names: dict[str, str]) -> Type:
    """A list of objects whose keys differ between the sources."""

    def read(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [{names.get(k, k): v for k, v in item.items()} if isinstance(item, dict) else item for item in value]

    return Type("jsonb", read)


BIGINT = Type("bigint", _integer(-(2**63), 2**63 - 1))
INTEGER = Type("integer", _integer(-(2**31), 2**31 - 1))
SMALLINT = Type("smallint", _integer(-(2**15), 2**15 - 1))
NUMERIC = Type("numeric", _numeric)
TEXT = Type("text", _text)
BOOLEAN = Type("boolean", _boolean)
TIMESTAMP = Type("timestamptz", parse_time)
DATE = Type("date", _date)
TIME_OF_DAY = Type("text", _time_of_day)
DURATION = Type("interval", _duration)
UUID = Type("uuid", _uuid)
BIGINTS = Type("bigint[]", _list_of(BIGINT.read), is_list=True)
TEXTS = Type("text[]", _list_of(_text), is_list=True)
UUIDS = Type("uuid[]", _list_of(_uuid), is_list=True)
JSON = Type("jsonb", lambda value: value)
ADDRESS = Type("jsonb", address)
