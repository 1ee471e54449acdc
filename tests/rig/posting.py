"""POSTing single bodies by hand, and remembering which of them were acknowledged."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import orjson
from rig.processes import Installation

from sandbox.cloud import Company
from sandbox.payloads import v2_body
from sandbox.script import step

NO_ANSWER: Final = 0


@dataclass
class Poster:
    """One sender; `acknowledged` holds the ids (v2 `meta.id`) of what `send_all` had answered with 200."""

    session: aiohttp.ClientSession
    installation: Installation
    acknowledged: set[str] = field(default_factory=set)
    refused: int = 0

    async def post(self, company_id: int, body: bytes, headers: Mapping[str, str] | None = None) -> int:
        """The status; NO_ANSWER when there was none. `headers` instead of the right credentials."""
        url = self.installation.url(company_id)
        given = self.installation.authorization(company_id) if headers is None else headers
        try:
            async with self.session.post(url, data=io.BytesIO(body), headers=given) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return NO_ANSWER

    async def send_all(self, company_id: int, events: Iterable[tuple[str, bytes]], *, senders: int = 16) -> None:
        """Each event once, without a retry, by so many senders at once."""
        waiting = iter(events)

        async def send() -> None:
            for event_id, body in waiting:
                if await self.post(company_id, body) == 200:
                    self.acknowledged.add(event_id)
                else:
                    self.refused += 1
                    await asyncio.sleep(0.01)  # a closed port refuses faster than anybody can listen again

        await asyncio.gather(*(send() for _ in range(senders)))


@asynccontextmanager
async def posting(installation: Installation) -> AsyncIterator[Poster]:
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        yield Poster(session, installation)


def happenings(made: Company, number: int) -> list[tuple[str, bytes]]:
    """What a company tells in v2 while `number` things happen, but for users, whose events have no id of their own."""
    told = [event for _ in range(number) for event in step(made) if event.entity not in {"user", "activity_type"}]
    return [(event.event_id, _json(v2_body(made.account, event, 1))) for event in told]


def _json(document: Any) -> bytes:
    return orjson.dumps(document)
