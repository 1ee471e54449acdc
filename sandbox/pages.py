"""A fast stand-in for Pipedrive's REST API: pages of a large account rendered beforehand, served from memory.

For measuring a reader: what it reads costs next to nothing to serve. `python -m sandbox.pages` runs it as a process of
its own and prints its URL once it can be asked. Deals, persons, organizations and activities are rendered; whatever
else a reader asks for is answered by a small account, as `sandbox.rest` answers it.
"""

import argparse
import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Final

import aiohttp
import orjson
from aiohttp import web

from sandbox.cloud import Company
from sandbox.defining import add_field
from sandbox.draw import Draw
from sandbox.records import ALL, make, stamp
from sandbox.rest.api import Handler, Rest
from sandbox.rest.limits import Gate, Limits
from sandbox.rest.mischief import RestMischief
from sandbox.rest.refusals import Refused
from sandbox.rest.routes import Route
from sandbox.rest.rows import row
from sandbox.rest.server import TOKEN, application, listening
from sandbox.rest.subscriptions import Subscriptions
from sandbox.rest.tokens import Tokens
from sandbox.rest.view import View
from sandbox.shelf import Record, Shelf

PAGE: Final = 500
COMPANY: Final = 7
_FILLED: Final = 0.15
"""Share of custom fields that have a value: the others are listed as null, as real ones are."""

_EXTRA_FIELDS: Final = ("varchar", "double", "date", "enum")
"""Of deals, beside one of each type: twenty in all."""

_PATHS: Final = {
    "organization": "/api/v2/organizations",
    "person": "/api/v2/persons",
    "deal": "/api/v2/deals",
    "activity": "/api/v2/activities",
}


@dataclass(frozen=True, slots=True)
class Size:
    """Rows of an account."""

    deals: int = 20_000
    persons: int = 10_000
    organizations: int = 5_000
    activities: int = 20_000

    @property
    def by_entity(self) -> Mapping[str, int]:
        return dict(zip(_PATHS, (self.organizations, self.persons, self.deals, self.activities), strict=True))


def small(seed: int, now: Callable[[], int], company_id: int = COMPANY) -> Company:
    """The account around the large one: users, stages, definitions, a handful of everything else."""
    company = Company(random.Random(seed), company_id, now, deals=1)  # noqa: S311 - made-up data
    for number, kind in enumerate(_EXTRA_FIELDS):
        add_field(company, "deal", kind, f"Extra {number}")
    return company


def render(company: Company, size: Size) -> dict[str, list[bytes]]:
    """Path -> bodies of its pages, in order."""
    shelves = {**company.live, **{entity: Shelf() for entity in _PATHS}}
    draw, view, pages = Draw(company.rng, shelves), View(company), {}
    for entity, count in size.by_entity.items():
        asked = ALL[entity].asked_for
        rows = (row(view, entity, record, asked) for record in _records(company, draw, entity, count, shelves[entity]))
        pages[_PATHS[entity]] = list(_bodies(rows, count))
    return pages


def _records(company: Company, draw: Draw, entity: str, count: int, known: Shelf) -> Iterator[Record]:
    """Only the ids are kept, for later records to refer to."""
    for number in range(1, count + 1):
        record = make(entity, draw, company.fields, {"id": number}, stamp(company.now()))
        values = record.get("custom_fields", {})
        for code in values:
            if not draw.chance(_FILLED):
                values[code] = None
        known.put({"id": number})
        yield record


def _bodies(rows: Iterator[Record], count: int) -> Iterator[bytes]:
    last = max(1, -(-count // PAGE))
    for number in range(1, last + 1):
        cursor = None if number == last else f"page-{number}"
        data = list(islice(rows, PAGE))
        yield orjson.dumps({"success": True, "data": data, "additional_data": {"next_cursor": cursor}})


@asynccontextmanager
async def serving(
    size: Size,
    *,
    company_id: int = COMPANY,
    burst: int | None = None,
    seed: int = 1,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[Rest]:
    """Render, then serve. `burst`: requests of one token per two seconds, None for as many as there come."""
    company = small(seed, lambda: time.time_ns() // 1_000, company_id)
    pages = render(company, size)
    async with aiohttp.ClientSession() as session:
        rng = random.Random(seed)  # noqa: S311 - nothing is left to chance
        told = Subscriptions(company, session, user_id=1, rng=rng)
        gate = Gate(Limits(burst=burst), time.monotonic)
        rest = Rest(View(company), Tokens((TOKEN,)), gate, told, rng, RestMischief())
        app = application(rest, lambda route: _answering(rest, route, pages.get(route.path)))
        async with listening(app, host, port) as rest.url:
            yield rest


def _answering(rest: Rest, route: Route, pages: list[bytes] | None) -> Handler:
    otherwise = rest.answering(route)
    if pages is None:
        return otherwise

    async def answer(request: web.Request) -> web.StreamResponse:
        if "ids" in request.query or "updated_since" in request.query:
            return await otherwise(request)
        try:
            headers = rest.gate.admit(rest.tokens.of(request.headers), route.cost)
        except Refused as refused:
            return web.json_response(refused.told(2), status=refused.status, headers=refused.headers)
        number = int(request.query.get("cursor", "page-0").removeprefix("page-"))
        return web.Response(body=pages[number], content_type="application/json", headers=headers)

    return answer


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.pages", description=__doc__)
    for name, count in asdict(Size()).items():
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--company", type=int, default=COMPANY)
    parser.add_argument("--burst", type=int)
    parser.add_argument("--port", type=int, default=0)
    given = vars(parser.parse_args())
    company_id, burst, port = given.pop("company"), given.pop("burst"), given.pop("port")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(Size(**given), company_id=company_id, burst=burst, port=port) as rest:
        print(rest.url, flush=True)  # noqa: T201 - whoever started us waits for it
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_main())
