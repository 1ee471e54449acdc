"""Events to measure with: what a made-up company tells, cut into templates so that no event is ever sent twice.

A template is a v2 body with three gaps: the company, the event's id and its time. Filled with a number and a moment it
is a new event about the same record; repeated, the templates are a history that goes on.
"""

import random
import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID
from zlib import crc32

import orjson

from sandbox.cloud import Company
from sandbox.events import Event
from sandbox.payloads import v2_body
from sandbox.script import step
from schema.credentials import header

SEED: Final = 20_261_122
FIRST_COMPANY: Final = 7_000_001
_SILENT: Final = frozenset({"user", "activity_type"})
"""Told without an id of their own, or not in v2."""
_ID, _TIME = "[the event's id]", "[the event's time]"
"""Marks where a body is cut. JSON writes them as they are, and no made-up record says them."""
_HEADER: Final = struct.Struct(">QIII")


class Template(NamedTuple):
    """A body in three parts; between them stand the event's id and its time."""

    company_id: int
    before: bytes
    between: bytes
    after: bytes

    def body(self, number: int, moment: float) -> bytes:
        """The event of that number, at a moment in seconds since 1970."""
        return b"".join((self.before, event_id(number), self.between, stamp(moment), self.after))


def event_id(number: int) -> bytes:
    return str(UUID(int=number, version=4)).encode()


def stamp(moment: float) -> bytes:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()


def head(path: str, authorization: str | None) -> str:
    """A request up to the value of Content-Length."""
    credentials = f"Authorization: {authorization}\r\n" if authorization else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Pipedrive Webhooks\r\n"
        f"Content-Type: application/json\r\n{credentials}Content-Length: "
    )


def heads(companies: Iterable[int], secret: str) -> dict[str, str]:
    """Company -> head of a request with its credentials."""
    return {str(company): head(f"/webhooks/{company}", header(secret, company)) for company in companies}


def request(head_: bytes, body: bytes) -> bytes:
    return b"%b%d\r\n\r\n%b" % (head_, len(body), body)


class Story(NamedTuple):
    """A company's records as they are first told, and what happens to them then."""

    announced: list[Template]
    happening: list[Template]


def story(*, deals: int, events: int, companies: int = 1, only: str | None = None) -> Story:
    """Always the same for the same arguments. Records are spread over `companies`, each belonging to one of them.

    only  the one entity to tell of
    """
    ticks = iter(range(1_790_000_000_000_000, 2**62, 1_000_000))
    made = Company(random.Random(SEED), FIRST_COMPANY, lambda: next(ticks), deals=deals)  # noqa: S311 - no secret

    def told(event: Event) -> bool:
        return event.entity not in _SILENT and (only is None or event.entity == only)

    announced = [_template(made, event, companies) for event in made.announce() if told(event)]
    happening: list[Template] = []
    while len(happening) < events:
        happening += [_template(made, event, companies) for event in step(made) if told(event)]
    return Story(announced, happening[:events])


def company_ids(companies: int) -> range:
    return range(FIRST_COMPANY, FIRST_COMPANY + companies)


def _template(made: Company, event: Event, companies: int) -> Template:
    company_id = FIRST_COMPANY + crc32(f"{event.entity} {event.id}".encode()) % companies
    body = v2_body(made.account, event, 1)
    body["meta"] |= {"company_id": str(company_id), "id": _ID, "timestamp": _TIME}
    return _cut(company_id, body)


def _cut(company_id: int, body: dict[str, Any]) -> Template:
    """The body, which has marks where the gaps are to be."""
    before, _, rest = orjson.dumps(body).partition(_ID.encode())
    between, _, after = rest.partition(_TIME.encode())
    return Template(company_id, before, between, after)


def _marked(template: Template) -> bytes:
    return b"".join((template.before, _ID.encode(), template.between, _TIME.encode(), template.after))


def scattered(deals: Sequence[Template], ids: int, number: int, seed: int) -> list[Template]:
    """Changes of random deals with ids from 1 to `ids`, each of which sets title and value anew.

    The deals are copies of `deals`, the announced ones with ids from 1 on, in turn: nothing else in them changes.
    """
    rng = random.Random(seed)  # noqa: S311 - no secret
    originals = [orjson.loads(_marked(deal)) for deal in deals]
    return [_changed(originals[(record_id - 1) % len(deals)], record_id, rng) for record_id in _ids(rng, ids, number)]


def _ids(rng: random.Random, most: int, number: int) -> Iterator[int]:
    return (rng.randint(1, most) for _ in range(number))


def _changed(original: dict[str, Any], record_id: int, rng: random.Random) -> Template:
    before = original["data"]
    now = before | {"id": record_id, "title": f"Deal {rng.getrandbits(32)}", "value": rng.randint(1, 10**6)}
    meta = original["meta"] | {"action": "change", "entity_id": str(record_id)}
    previous = {"title": before["title"], "value": before["value"]}
    return _cut(int(meta["company_id"]), {"data": now, "previous": previous, "meta": meta})


def mean_size(templates: Sequence[Template]) -> float:
    """Bytes of a body."""
    return sum(len(template.body(0, 0)) for template in templates) / len(templates)


def write(path: Path, templates: Iterable[Template]) -> None:
    with path.open("wb") as file:
        for company_id, *parts in templates:
            file.write(_HEADER.pack(company_id, *map(len, parts)))
            file.writelines(parts)


def read(path: Path) -> list[Template]:
    return list(_parsed(path.read_bytes()))


def _parsed(data: bytes) -> Iterator[Template]:
    at = 0
    while at < len(data):
        company_id, *lengths = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        parts = []
        for length in lengths:
            parts.append(data[at : at + length])
            at += length
        yield Template(company_id, *parts)
