"""What reading an account does not do: keep what it has written, or tell what it has read to the log."""

import gc
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest
import structlog
from rig import asking
from rig.healing import GENEROUS, reading
from rig.mirrored import company_of

from sandbox.rest.mischief import RestMischief
from sandbox.rest.server import TOKEN, serve
from schema.entities import BY_NAME, ENTITIES
from store.database import Pool
from store.walks import DONE, Walk
from worker.healing.backfill import backfill
from worker.healing.order import lists
from worker.healing.reconcile import reconcile
from worker.healing.sweep import sweep

LIMIT = 20
ROW_BYTES = 1_000
"""Less than a row of these takes, as an object: what is kept of one is less."""


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("how", [backfill, reconcile])
async def test_memory_does_not_grow_with_the_account(pool: Pool, how: object) -> None:
    cloud = asking.made_company(deals=20)
    while len(cloud.live["activity"]) < 1_200:
        cloud.create("activity")
    company = await company_of(pool, cloud.account.company_id)
    [(entity, [listing])] = lists([BY_NAME["activity"]])
    held: list[int] = []

    def on_page(walk: Walk) -> None:
        if walk.calls % 10 == 0:
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])

    async with (
        serve(cloud, limits=GENEROUS) as rest,
        reading(pool, company, rest, on_page=on_page) as reader,
    ):
        wanted = [(entity, [replace(listing, limit=LIMIT)])]
        await (backfill(reader, wanted) if how is backfill else reconcile(reader, wanted))
    early, late = held[2], held[5]
    assert late - early < 30 * LIMIT * ROW_BYTES


async def test_neither_the_token_nor_a_record_reaches_the_log(pool: Pool) -> None:
    """Whatever is refused, spoilt or unreadable on the way."""
    cloud = asking.made_company(deals=30)
    for title, record in (
        ("the title of a customer", cloud.live["deal"]),
        ("a note about somebody", cloud.live["note"]),
    ):
        column = "title" if record is cloud.live["deal"] else "content"
        for one in list(record):
            record.put({**one, column: title})
    cloud.live["deal"].put({**cloud.live["deal"][3], "stage_id": "the title of a customer"})
    company = await company_of(pool, cloud.account.company_id)
    mischief = RestMischief(broken=0.05, nulls=0.05, cut=0.05, forbidden=frozenset({"/api/v2/products"}))
    with structlog.testing.capture_logs() as told:
        async with serve(cloud, limits=GENEROUS, mischief=mischief) as rest, reading(pool, company, rest) as reader:
            walks = await backfill(reader, lists(ENTITIES))
            await sweep(reader, lists(ENTITIES))
            await reconcile(reader, lists(ENTITIES), repair=True)
    assert {line["event"] for line in told} >= {"row_refused", "list_refused", "pipedrive_refused"}
    assert any(walk.state == DONE and walk.refused for walk in walks)
    said = repr(told) + repr([(walk.code, walk.reason) for walk in walks])
    assert [secret for secret in (TOKEN, "the title of a customer", "a note about somebody") if secret in said] == []
