"""Telling a receiver everything that happens in a company, each event until it is acknowledged."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import aiohttp
import orjson
from chaos.scenario import Load

from sandbox.cloud import Company, Truth
from sandbox.events import Event, versions
from sandbox.payloads import v2_body
from sandbox.script import step
from schema import event as reading
from schema.credentials import header
from schema.envelope import Envelope

DEADLY: Final = "this-event-kills-whoever-reads-it"
_SENDERS: Final = 16
_TIMEOUT: Final = 10.0
"""Seconds: Pipedrive's own."""
_AGAIN: Final = 0.1
"""Seconds before a refused event is sent again. Pipedrive's 3, 30 and 150 would make events lost, and tests long."""


class Delivery(NamedTuple):
    """One POST. `key` is the event's identity; None of a body that is none."""

    key: str | None
    body: bytes


@dataclass(slots=True)
class Tally:
    """What became of the deliveries.

    acked    distinct events that were answered 200
    twice    deliveries answered 200 of an event that had been answered so before
    refused  deliveries answered with anything else
    silent   deliveries that got no answer
    parked   bodies answered 200 that must become dead letters
    """

    acked: set[str] = field(default_factory=set)
    twice: int = 0
    refused: int = 0
    silent: int = 0
    parked: set[bytes] = field(default_factory=set)

    @property
    def deliveries(self) -> int:
        """Answered 200."""
        return len(self.acked) + self.twice + len(self.parked)


class Teller:
    """Tells of one company. Use: ``run``; set `stop`, and it ends once everything that happened was acknowledged.

    `rate` in events per second may be changed at any time.
    """

    def __init__(self, load: Load, company_id: int, url: str, secret: str) -> None:
        self.company_id = company_id
        self.tally = Tally()
        self.stop = asyncio.Event()
        self.rate = load.rate
        self._load = load
        self._url = url
        self._headers = {"Authorization": header(secret, company_id)}
        self._rng = random.Random(company_id)
        self._company = Company(
            random.Random(company_id), company_id, lambda: time.time_ns() // 1_000, deals=load.deals
        )
        self._deliveries = self._overtaking()
        self._due = 0.0

    @property
    def truth(self) -> Truth:
        return self._company.snapshot({"v2"})

    async def run(self) -> None:
        self._due = asyncio.get_running_loop().time()
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(self._send(session) for _ in range(_SENDERS)))

    async def _send(self, session: aiohttp.ClientSession) -> None:
        for delivery in self._deliveries:
            await self._pace()
            while not await self._acknowledged(session, delivery.body):  # noqa: ASYNC110 - the next attempt
                await asyncio.sleep(_AGAIN)
            self._book(delivery)

    async def _pace(self) -> None:
        now = asyncio.get_running_loop().time()
        self._due = max(self._due + 1 / self.rate, now - 1)
        if self._due > now and not self.stop.is_set():
            await asyncio.sleep(self._due - now)

    async def _acknowledged(self, session: aiohttp.ClientSession, body: bytes) -> bool:
        try:
            async with session.post(self._url, data=body, headers=self._headers) as answer:
                self.tally.refused += answer.status != 200
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            self.tally.silent += 1
            return False

    def _book(self, delivery: Delivery) -> None:
        if delivery.key is None:
            self.tally.parked.add(delivery.body)
        elif delivery.key in self.tally.acked:
            self.tally.twice += 1
        else:
            self.tally.acked.add(delivery.key)

    def _overtaking(self) -> Iterator[Delivery]:
        held: list[Delivery] = []
        for delivery in self._happening():
            held.append(delivery)
            while len(held) > self._load.reorder:
                yield held.pop(self._rng.randrange(len(held)))
        yield from held

    def _happening(self) -> Iterator[Delivery]:
        """Ends with `stop`, never before everything there was at the start is told."""
        first = self._company.announce()
        yield from self._told(first)
        for number in range(self._load.deadly):
            yield Delivery(None, orjson.dumps(self._body(first[0])).replace(b'"meta"', _deadly(number), 1))
        number = 0
        while not self.stop.is_set():
            yield from self._told([self._edit()] if self._load.hot else step(self._company))
            if self._rng.random() < self._load.malformed:
                number += 1
                yield Delivery(None, _MALFORMED[number % len(_MALFORMED)].replace(b"#", b"%d" % number))

    def _told(self, events: list[Event]) -> Iterator[Delivery]:
        for event in events:
            if "v2" not in versions(event.entity):
                continue
            body = orjson.dumps(self._body(event))
            delivery = Delivery(self._key(body), body)
            yield delivery
            if self._rng.random() < self._load.duplicates:
                yield delivery

    def _edit(self) -> Event:
        while True:
            deal = self._company.draw.ref("deal")
            assert deal is not None, "what was announced has deals"
            if (event := self._company.edit("deal", deal)) is not None:
                return event

    def _body(self, event: Event) -> dict[str, object]:
        return v2_body(self._company.account, event, 1)

    def _key(self, body: bytes) -> str:
        event = reading.read(Envelope(self.company_id, 0, body), lambda _: {})
        assert isinstance(event, reading.Event), event
        return event.key


def _deadly(number: int) -> bytes:
    return b'"why":"%s %d","meta"' % (DEADLY.encode(), number)


_MALFORMED: Final = (b'{"meta": #', b"# <html>502 Bad Gateway</html>", b'{"meta": {"version": "9.#"}}', b'["#"]')
"""Bodies of no event; # is a number, so that each is another one."""
