"""From envelopes to committed transactions: read, group by company, apply; wait, isolate or park where that fails.

Three outcomes per event and no fourth: applied, dead letter, or not yet. `apply` returns only when every envelope it
was given is committed as one of the first two, or is kept in `pipemirror.held` because its company cannot be written
while others can; it raises when the work is given up with nothing acknowledged.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from runtime.backoff import Backoff
from runtime.health import Condition
from runtime.metrics import Metrics
from schema.envelope import Envelope
from schema.errors import ApplyFailed, BadContent, BadValue, CompanyHeld
from schema.event import Event, Readable, Refusal
from store import companies, dead_letters, purges
from store import held as held_events
from store.companies import Company, OutdatedCompanyError
from store.database import Connection, Pool, describe, is_bad_content
from store.dead_letters import DeadLetter
from worker.applying import marks, mirror, parking
from worker.applying.altered import altered
from worker.applying.breaker import Breaker
from worker.applying.held_companies import HeldCompanies
from worker.applying.known_companies import KnownCompanies
from worker.applying.lag import LagWatch
from worker.applying.marks import Met
from worker.applying.mirror import Applied
from worker.applying.persistence import Persistence
from worker.applying.tally import Tally

_log = structlog.stdlib.get_logger(__name__)

TRIES: Final = 5


@dataclass(slots=True)
class Outcome:
    """What one committed group became."""

    applied: Applied
    letters: list[DeadLetter]


@dataclass(frozen=True, slots=True)
class Shared:
    """What the appliers of one process have in common.

    breaker  a fault of ours is the same whoever meets it
    pools    what cuts off a connection of one has most likely cut off those of all
    heard    is told what was committed of a company's events
    """

    companies: KnownCompanies
    held: HeldCompanies
    breaker: Breaker
    tally: Tally
    pools: Sequence[Pool]
    heard: Callable[[int, Applied], None]


def nobody(_: int, __: Applied) -> None:
    """For `Shared.heard`, where nobody asks."""


def share(
    metrics: Metrics,
    *,
    numbered_slugs: bool,
    held: HeldCompanies | None = None,
    breaker: Breaker | None = None,
    pools: Sequence[Pool] = (),
    heard: Callable[[int, Applied], None] = nobody,
    clock: Callable[[], float] = time.time,
) -> Shared:
    """`clock` reads seconds since 1970."""
    known = KnownCompanies(numbered_slugs=numbered_slugs)
    tally = Tally(metrics, LagWatch(metrics, clock))
    return Shared(known, held or HeldCompanies(), breaker or Breaker(), tally, pools, heard)


class Applier:
    """Applies envelopes of any companies. One task uses it at a time; several of them may share a process."""

    def __init__(
        self,
        pool: Pool,
        metrics: Metrics,
        shared: Shared,
        *,
        backoff: Backoff = Backoff(0.05, 10.0),  # noqa: B008 - frozen
        tries: int = TRIES,
    ) -> None:
        """After `tries` in vain a company is held by itself."""
        self._companies = shared.companies
        self._held = shared.held
        self._breaker = shared.breaker
        self._tally = shared.tally
        self._heard = shared.heard
        self._persistence = Persistence(pool, metrics, shared.held, siblings=shared.pools, backoff=backoff, tries=tries)
        self.persist = self._persistence.persist
        self.read = self._companies.read
        """As well as is known now. What has to be read again, `apply_read` does."""

    @property
    def stalled(self) -> bool:
        """Whether nothing moves just now."""
        return self._persistence.stalled

    @property
    def waits_for(self) -> str | None:
        """The code of what it waits for."""
        return self._persistence.waits_for

    def conditions(self) -> Iterator[Condition]:
        return self._persistence.conditions()

    async def apply(self, envelopes: Sequence[Envelope]) -> None:
        """Return once each is committed: as rows, as a dead letter, as held. Raise BreakerOpen if the fault is ours."""
        await self.apply_read(self.read(envelopes))

    async def apply_read(self, readable: Iterable[Readable]) -> None:
        """As `apply`, of what `read` returned: each company's in one transaction, however many (see worker.groups)."""
        by_company: dict[int, list[Readable]] = {}
        for found in readable:
            by_company.setdefault(found.envelope.company_id, []).append(found)
        for company_id in sorted(by_company):
            await self._apply_or_hold(company_id, by_company[company_id])

    async def _apply_or_hold(self, company_id: int, readable: Sequence[Readable]) -> None:
        if company_id not in self._held:
            try:
                await self._apply_company_read(company_id, readable)
            except CompanyHeld as problem:
                self._held.add(company_id, problem)
            else:
                return
        events = [parking.to_hold(found.envelope) for found in readable]
        await self.persist(lambda connection: held_events.keep(connection, events))
        self._tally.held(len(events))

    async def apply_company(self, company_id: int, envelopes: Sequence[Envelope]) -> None:
        """Apply one company's envelopes. Raise CompanyHeld, part of them being committed perhaps."""
        await self._apply_company_read(company_id, self.read(envelopes))

    async def _apply_company_read(self, company_id: int, readable: Sequence[Readable]) -> None:
        try:
            await self._apply_company(company_id, readable)
        except CompanyHeld:
            self._companies.forget(company_id)
            raise

    async def park(self, letters: Sequence[DeadLetter]) -> None:
        """Keep as dead letters what shall not, or not again, be applied."""
        await self.persist(lambda connection: dead_letters.park(connection, letters))
        self._tally.parked(letters)

    async def _apply_company(self, company_id: int, readable: Sequence[Readable]) -> None:
        found, readable = marks.part(readable)
        if readable:
            await self._apply_events(company_id, readable)
        if found:
            await self._pass_marks(company_id, found)

    async def _pass_marks(self, company_id: int, met: Sequence[Met]) -> None:
        """To be called when what was queued before is done with. A mark that nobody sent is a refusal like others."""
        known = await self.persist(
            lambda connection: purges.pass_marks(connection, company_id, [mark for mark, _ in met])
        )
        strange = [parking.of_refusal(refusal) for mark, refusal in met if mark not in known]
        if strange:
            await self.park(strange)

    async def _apply_events(self, company_id: int, readable: Sequence[Readable]) -> None:
        company = await self._companies.get(company_id, self.persist)
        if company.state == companies.PURGED:
            self._tally.discarded(len(readable))
            return
        if not company.slug and _events(readable):
            company = await self._companies.make(company_id, self.persist)
        try:
            await self._apply_group(company, readable)
        except OutdatedCompanyError:
            self._companies.forget(company_id)
            await self._apply_events(company_id, self.read(found.envelope for found in readable))

    async def _apply_group(self, company: Company, group: Sequence[Readable]) -> None:
        """Apply a group in one transaction; if the database refuses it, halve it until the culprit stands alone."""
        began = time.monotonic()
        try:
            outcome = await self.persist(
                lambda connection: self._transact(connection, company, group), company_id=company.id
            )
        except (OutdatedCompanyError, CompanyHeld):
            raise
        except Exception as error:  # noqa: BLE001 - whatever one event provokes, the others go on
            if len(group) > 1:
                middle = len(group) // 2
                await self._apply_group(company, group[:middle])
                await self._apply_group(company, group[middle:])
            else:
                await self._give_up(company, group[0], error)
            return
        if outcome.applied.discarded:
            # Purged meanwhile: what comes next is not even read.
            self._companies.forget(company.id)
        elif outcome.applied.written:
            self._breaker.written(company.id, time.monotonic())
            self._heard(company.id, outcome.applied)
        self._tally.committed(outcome.applied, outcome.letters, time.monotonic() - began)

    async def _transact(self, connection: Connection, company: Company, group: Sequence[Readable]) -> Outcome:
        """Rows, journal, history and dead letters of one group: all or nothing."""
        async with connection.transaction():
            events = _events(group)
            applied = await mirror.apply(connection, company, events) if events else Applied()
            if applied.discarded:
                return Outcome(Applied(discarded=len(group)), [])
            letters = [parking.of_refusal(found) for found in group if isinstance(found, Refusal)]
            letters += await parking.of_unknown_entities(connection, applied.written)
            await dead_letters.park(connection, letters)
        company.learn(applied.learnt)
        return Outcome(applied, letters)

    async def _give_up(self, company: Company, culprit: Readable, error: Exception) -> None:
        """Park what can never be applied. Raise CompanyHeld or BreakerOpen where the event is not to blame."""
        if isinstance(culprit, Refusal):
            raise error
        problem = _problem_of(error)
        if isinstance(problem, BadValue):
            await self._blame_altered_tables(company, culprit)
        _log.error(
            "event_refused", code=problem.code, reason=problem.reason, company_id=culprit.envelope.company_id,
            entity=culprit.entity, entity_id=culprit.entity_id,
        )  # fmt: skip
        if isinstance(problem, ApplyFailed):
            self._breaker.failed(company.id, f"{culprit.entity}:{culprit.entity_id}", time.monotonic())
        await self.park([parking.of_event(culprit, problem)])

    async def _blame_altered_tables(self, company: Company, culprit: Event) -> None:
        entities = {change.entity for change in culprit.changes}
        found = await self.persist(lambda connection: altered(connection, company.slug, entities))
        if found:
            raise CompanyHeld(f"company {company.id}: somebody altered its tables: {'; '.join(found)}")


def _events(readable: Iterable[Readable]) -> list[Event]:
    return [found for found in readable if isinstance(found, Event)]


def _problem_of(error: Exception) -> BadContent:
    """A value the database cannot hold is the content's fault; anything else is ours."""
    if is_bad_content(error):
        return BadValue(describe(error))
    if isinstance(error, RecursionError):
        return BadValue("the body is nested too deeply")
    return ApplyFailed(describe(error))
