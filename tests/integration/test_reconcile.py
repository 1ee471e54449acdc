"""After whatever was missed, sweep and reconcile make the mirror what the account is, and can tell that it is."""

import pytest
from rig import asking
from rig.healing import GENEROUS, differing, reading
from rig.mirrored import company_of

from sandbox.cloud import Company as Cloud
from sandbox.rest.server import serve
from sandbox.script import step
from schema.entities import ENTITIES
from store.database import Pool
from worker.healing.backfill import backfill
from worker.healing.drift import Drift
from worker.healing.order import lists
from worker.healing.reconcile import reconcile
from worker.healing.sweep import sweep

EVERYTHING = lists(ENTITIES, frozenset(entity.name for entity in ENTITIES))


def lives(cloud: Cloud, steps: int) -> None:
    for _ in range(steps):
        step(cloud)


def shown(drifts: list[Drift]) -> list[str]:
    return [
        f"{one.entity}: {one.missing} missing, {one.different} different, {one.superfluous} superfluous "
        f"{dict(one.fields)} {one.samples} {one.unread}"
        for one in drifts
        if one.total or one.unread
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_what_was_missed_is_found_counted_and_mended(pool: Pool, seed: int) -> None:
    cloud = asking.made_company(seed, deals=60)
    lives(cloud, 200)
    company = await company_of(pool, cloud.account.company_id)
    async with serve(cloud, limits=GENEROUS) as rest, reading(pool, company, rest) as reader:
        await backfill(reader, EVERYTHING)
        assert shown(await reconcile(reader, EVERYTHING)) == []
        lives(cloud, 400)
        before = await differing(pool, company, cloud)
        assert before
        await sweep(reader, EVERYTHING)
        found = await reconcile(reader, EVERYTHING)
        assert shown(found)
        await reconcile(reader, EVERYTHING, repair=True)
        assert await differing(pool, company, cloud) == []
        assert shown(await reconcile(reader, EVERYTHING)) == []
