"""From envelopes to committed transactions: read, group by company, apply; hold, isolate or park what fails.

Three outcomes per event and no fourth: applied, dead letter, or not yet. `apply` returns only when every envelope it
was given has one of the first two; it raises when the work is given up with nothing acknowledged.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import asyncpg
import structlog

from runtime.backoff import Backoff
from runtime.health import Condition
from runtime.metrics import (
    ACK_TO_COMMIT_SECONDS,
    APPLY_SECONDS,
    BATCHES,
    COMPANIES,
    DEAD_LETTERS,
    EVENT_TO_COMMIT_SECONDS,
    EVENTS,
    Metrics,
)
from schema.envelope import Envelope
from schema.errors import ApplyFailed, BadContent, BadValue, Conflict, NotNow
from schema.event import Event, Refusal, read
from store import companies, dead_letters, fields
from store.companies import Company, OutdatedCompanyError
from store.database import Connection, Pool, describe, not_now
from store.dead_letters import DeadLetter
from worker import mirror, parking, provision
from worker.breaker import Breaker
from worker.mirror import Applied

_log = structlog.stdlib.get_logger(__name__)

TOLD_EVERY = 60.0
_LOOK = "pipemirror dead-letters list"

Readable = Event | Refusal
T = TypeVar("T")

_CONFLICTS_IN_A_ROW = 8
"""More of them are no race: whatever they are, somebody should see them."""


@dataclass(slots=True)
class Outcome:
    """What one committed group became."""

    applied: Applied
    letters: list[DeadLetter]


class Applier:
    """Applies envelopes of any companies. One task uses it at a time."""

    def __init__(
        self,
        pool: Pool,
        metrics: Metrics,
        *,
        numbered_slugs: bool,
        breaker: Breaker | None = None,
        backoff: Backoff = Backoff(0.05, 10.0),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` reads seconds since 1970."""
        self._pool = pool
        self._metrics = metrics
        self._numbered_slugs = numbered_slugs
        self._breaker = breaker or Breaker()
        self._backoff = backoff
        self._clock = clock
        self._companies: dict[int, Company] = {}
        self._held: NotNow | None = None
        self._next_told: dict[str, float] = {}

    def conditions(self) -> Iterator[Condition]:
        if self._held is not None:
            yield Condition(self._held.code, self._held.reason)

    async def apply(self, envelopes: Sequence[Envelope]) -> None:
        """Return once each is committed, as rows or as a dead letter. Raise BreakerOpen if the fault is ours."""
        by_company: dict[int, list[Envelope]] = {}
        for envelope in envelopes:
            by_company.setdefault(envelope.company_id, []).append(envelope)
        for company_id in sorted(by_company):
            await self._apply_company(company_id, by_company[company_id])

    async def park(self, letters: Sequence[DeadLetter]) -> None:
        """Keep as dead letters what shall not, or not again, be applied."""
        await self.persist(lambda connection: dead_letters.park(connection, letters))
        self._count_letters(letters)

    async def _apply_company(self, company_id: int, envelopes: Sequence[Envelope]) -> None:
        # Known types are needed to read v1 events, so the company comes first; an unknown one has none.
        company = await self._known(company_id) or Company(company_id, "", companies.ACTIVE)
        if company.state == companies.PURGED:
            self._metrics.count(EVENTS, "discarded", by=len(envelopes))
            return
        readable = [read(envelope, company.types_of) for envelope in envelopes]
        if not company.slug and _events(readable):
            company = await self._provision(company_id)
        try:
            if await self._learn(company, _events(readable)):
                readable = [read(envelope, company.types_of) for envelope in envelopes]
            await self._apply_group(company, readable)
        except OutdatedCompanyError:
            self._companies.pop(company_id, None)
            await self._apply_company(company_id, envelopes)

    async def _learn(self, company: Company, events: Sequence[Event]) -> bool:
        """Where values came without their types: learn what the events beside them teach and what others have learnt.

        Whether anything new was learnt, so that the events are to be read again.
        """
        changes = [change for event in events for change in event.changes]
        if not any(change.untyped for change in changes):
            return False
        known = company.types
        company.types = await self.persist(lambda connection: mirror.learn(connection, company, changes))
        return company.types != known

    async def _apply_group(self, company: Company, group: Sequence[Readable]) -> None:
        """Apply a group in one transaction; if the database refuses it, halve it until the culprit stands alone."""
        began = self._clock()
        try:
            outcome = await self.persist(lambda connection: self._transact(connection, company, group))
        except OutdatedCompanyError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever one event provokes, the others go on
            if len(group) > 1:
                middle = len(group) // 2
                await self._apply_group(company, group[:middle])
                await self._apply_group(company, group[middle:])
            else:
                await self._give_up(group[0], error)
            return
        if outcome.applied.discarded:
            # Purged meanwhile: what comes next is not even read.
            self._companies.pop(company.id, None)
        self._measure(outcome, began)

    async def _transact(self, connection: Connection, company: Company, group: Sequence[Readable]) -> Outcome:
        """Rows, journal, history and dead letters of one group: all or nothing."""
        async with connection.transaction():
            events = _events(group)
            applied = await mirror.apply(connection, company, events) if events else Applied()
            letters = [parking.of_refusal(found) for found in group if isinstance(found, Refusal)]
            letters += await parking.of_unknown_entities(connection, applied.written)
            await dead_letters.park(connection, letters)
        company.learn(applied.learnt)
        return Outcome(applied, letters)

    async def _give_up(self, culprit: Readable, error: Exception) -> None:
        if isinstance(culprit, Refusal):
            raise error
        problem = _problem_of(error)
        _log.error(
            "event_refused", code=problem.code, reason=problem.reason, company_id=culprit.envelope.company_id,
            entity=culprit.entity, entity_id=culprit.entity_id,
        )  # fmt: skip
        if isinstance(problem, ApplyFailed):
            record = f"{culprit.envelope.company_id}:{culprit.entity}:{culprit.entity_id}"
            self._breaker.failed(record, time.monotonic())
        await self.park([parking.of_event(culprit, problem)])

    async def _known(self, company_id: int) -> Company | None:
        if company_id not in self._companies:
            company = await self.persist(lambda connection: _load(connection, company_id))
            if company is None or company.state == companies.PURGED:
                # Not remembered: a purged company may be connected again at any time.
                return company
            self._companies[company_id] = company
        return self._companies[company_id]

    async def _provision(self, company_id: int) -> Company:
        company = await self.persist(
            lambda connection: provision.provision(connection, company_id, numbered_slugs=self._numbered_slugs)
        )
        _log.info("company_provisioned", company_id=company_id, slug=company.slug)
        self._companies[company_id] = company
        return company

    async def persist(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do `work` on a connection until the database takes it: hold as long as it says "not now"."""
        attempt = 0
        while True:
            try:
                async with self._pool.acquire() as connection:
                    found = await work(connection)
            except Exception as error:
                problem = not_now(error)
                if problem is None:
                    raise
                attempt = await self._hold(problem, attempt)
            else:
                self._held = None
                return found

    async def _hold(self, problem: NotNow, attempt: int) -> int:
        """Wait before the next attempt; a conflict between workers is over at once and worth no alarm."""
        if not isinstance(problem, Conflict) or attempt >= _CONFLICTS_IN_A_ROW:
            if self._held is None:
                _log.warning("holding", code=problem.code, reason=problem.reason)
            self._held = problem
        await asyncio.sleep(self._backoff.delay(attempt))
        return attempt + 1

    def _measure(self, outcome: Outcome, began: float) -> None:
        now = self._clock()
        metrics, applied = self._metrics, outcome.applied
        metrics.count(BATCHES)
        metrics.observe(APPLY_SECONDS, now - began)
        metrics.set(COMPANIES, len(self._companies))
        metrics.count(EVENTS, "applied", by=len(applied.written))
        metrics.count(EVENTS, "duplicate", by=applied.duplicates)
        metrics.count(EVENTS, "discarded", by=applied.discarded)
        self._count_letters(outcome.letters)
        for event in applied.written:
            metrics.observe(ACK_TO_COMMIT_SECONDS, now - event.envelope.received_at / 1_000_000)
            if event.occurred_at is not None:
                metrics.observe(EVENT_TO_COMMIT_SECONDS, now - event.occurred_at.timestamp())

    def _count_letters(self, letters: Iterable[DeadLetter]) -> None:
        for letter in letters:
            self._metrics.count(DEAD_LETTERS, letter.code)
            self._metrics.count(EVENTS, "dead_letter")
            self._tell(letter)

    def _tell(self, letter: DeadLetter) -> None:
        """One line per code and minute: a flood of letters shall be seen, not logged."""
        now = time.monotonic()
        if now >= self._next_told.get(letter.code, 0.0):
            self._next_told[letter.code] = now + TOLD_EVERY
            # Without the reason, which may name a word of the body: that is for those who may read the database.
            _log.warning("dead_letter", code=letter.code, company_id=letter.company_id, look_with=_LOOK)


def _events(readable: Iterable[Readable]) -> list[Event]:
    return [found for found in readable if isinstance(found, Event)]


def _problem_of(error: Exception) -> BadContent:
    """A value the database cannot hold is the content's fault; anything else is ours."""
    state = getattr(error, "sqlstate", None) or ""
    if isinstance(error, asyncpg.DataError) or state.startswith("22"):
        return BadValue(describe(error))
    if isinstance(error, RecursionError):
        return BadValue("the body is nested too deeply")
    return ApplyFailed(describe(error))


async def _load(connection: Connection, company_id: int) -> Company | None:
    company = await companies.find(connection, company_id)
    if company is not None:
        company.types = await fields.types(connection, company_id)
    return company
