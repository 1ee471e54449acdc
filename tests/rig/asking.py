"""Asks the sandbox's REST API, as plainly as can be: what a client makes of it is tested elsewhere."""

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp

from sandbox.cloud import Company
from sandbox.rest.api import Rest
from sandbox.rest.server import TOKEN, serve

START = 1_795_000_000_000_000
TICK = 50_000


def made_company(seed: int = 1, *, deals: int = 40, now: Callable[[], int] | None = None, **more: Any) -> Company:
    """One whose clock goes on by 50 ms each time it is read, unless it is given another."""
    ticks = count(START, TICK)
    return Company(random.Random(seed), 7, now or (lambda: next(ticks)), deals=deals, **more)


@dataclass(slots=True)
class Clock:
    """Stands still until it is told to go on."""

    micros: int = START

    def __call__(self) -> int:
        return self.micros

    def forward(self, seconds: float) -> None:
        self.micros += int(seconds * 1_000_000)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def rows(self) -> list[dict[str, Any]]:
        assert self.status == 200, self.body
        rows: list[dict[str, Any]] = self.body["data"]
        return rows

    @property
    def cursor(self) -> str | None:
        cursor: str | None = self.body["additional_data"]["next_cursor"]
        return cursor


@dataclass(slots=True)
class Asking:
    """`rest` is what is served, for a test to turn its knobs."""

    rest: Rest
    session: aiohttp.ClientSession
    headers: dict[str, str] = field(default_factory=lambda: {"x-api-token": TOKEN})

    async def get(self, path: str, **params: Any) -> Answer:
        return await self.ask("GET", path, params=params)

    async def ask(self, method: str, path: str, **more: Any) -> Answer:
        async with self.session.request(method, self.rest.url + path, headers=self.headers, **more) as answer:
            body = await answer.json() if answer.content_type == "application/json" else await answer.text()
            return Answer(answer.status, body, answer.headers)

    async def walk(
        self, path: str, *, between: Callable[[], None] = lambda: None, **params: Any
    ) -> list[dict[str, Any]]:
        """All rows of a list that has cursors; something may happen `between` its pages."""
        rows: list[dict[str, Any]] = []
        found = await self.get(path, **params)
        rows += found.rows
        while found.cursor is not None:
            between()
            found = await self.get(path, **params, cursor=found.cursor)
            rows += found.rows
        return rows


@asynccontextmanager
async def asking(company: Company, **rules: Any) -> AsyncIterator[Asking]:
    """Serve a company and ask it. The connection is always a new one: a test may cut it."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with serve(company, **rules) as rest, aiohttp.ClientSession(connector=connector) as session:
        yield Asking(rest, session)
