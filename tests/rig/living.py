"""A made-up company that keeps changing while a test does its worst, and what its mirror must come to."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rig.events import COMPANY
from rig.processes import SECRET
from rig.waiting import until

from sandbox.cloud import Company, Truth
from sandbox.deliveries import Pace
from sandbox.ledger import Counters, Ledger
from sandbox.live import Outcome, run
from sandbox.mischief import Mischief
from schema.credentials import derive

QUICK = Pace(clock_scale=0.01)
"""A failed delivery is retried after 30 ms, 300 ms and 1.5 s."""


@dataclass(slots=True)
class Living:
    """`counters` while it lives; the rest once it was stopped."""

    counters: Counters = field(default_factory=Counters)
    outcome: Outcome | None = None

    @property
    def truth(self) -> Truth:
        assert self.outcome is not None, "still living"
        return self.outcome.truth

    @property
    def ledger(self) -> Ledger:
        assert self.outcome is not None, "still living"
        return self.outcome.ledger

    async def told(self, more: int, *, within: float = 60.0) -> None:
        """Wait until `more` events than now were acknowledged."""
        goal = self.counters.acked + more
        await until(lambda: self.counters.acked >= goal, within=within, what=f"{more} more events acknowledged")


def company(seed: int, company_id: int = COMPANY, *, deals: int = 40, same_instant: float = 0.0) -> Company:
    return Company(
        random.Random(seed), company_id, lambda: time.time_ns() // 1_000, deals=deals, same_instant=same_instant
    )


@asynccontextmanager
async def living(
    made: Company,
    url: str,
    *,
    rate: float = 200,
    mischief: Mischief | None = None,
    pace: Pace = QUICK,
    secret: str = SECRET,
) -> AsyncIterator[Living]:
    """Tell of the company's changes to `url`; at the end, wait for the last delivery."""
    company_id, stop, state = made.account.company_id, asyncio.Event(), Living()
    live = run(
        made, url, str(company_id), derive(secret, company_id), rate=rate, stop=stop, rng=random.Random(1),
        mischief=mischief, pace=pace, counters=state.counters,
    )  # fmt: skip
    running = asyncio.ensure_future(live)
    try:
        yield state
        stop.set()
        state.outcome = await asyncio.wait_for(running, 60)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
