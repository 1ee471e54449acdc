"""An account that is read while it lives, over answers and webhooks of which some are lost, late, twice or broken."""

import pytest
from rig import asking
from rig.healing import reading
from rig.mirrored import company_of
from rig.racing import EVERYTHING, Mischief, Ticking, broken_history, differing, hearing, lives, shown

from sandbox.rest.limits import Limits
from sandbox.rest.mischief import RestMischief
from sandbox.rest.server import serve
from store.database import Pool
from store.walks import DONE
from worker.healing.backfill import backfill
from worker.healing.reconcile import reconcile
from worker.healing.sweep import sweep

LIMITS = Limits(burst=5_000)
ROUGH = RestMischief(broken=0.02, cut=0.02, nulls=0.02, slow=0.02, delay=0.05, stale=0.005, changes=1)


@pytest.mark.parametrize("seed", [2])
async def test_whatever_raced_and_was_lost_sweep_and_reconcile_make_the_mirror_the_account(
    pool: Pool, seed: int
) -> None:
    clock = Ticking()
    cloud = asking.made_company(seed, deals=40, now=clock, same_instant=0.1, lists_empty_fields=seed % 2 == 0)
    lives(cloud, 100)
    company = await company_of(pool, cloud.account.company_id)
    async with (
        serve(cloud, limits=LIMITS, mischief=ROUGH, seed=seed) as rest,
        reading(pool, company, rest) as reader,
    ):
        async with hearing(pool, cloud, seed, Mischief()) as heard:
            walks = await backfill(reader, EVERYTHING)
            assert [walk for walk in walks if walk.state != DONE or walk.refused] == []
            lives(cloud, 300)
        assert heard.dropped
        assert await differing(pool, company, cloud), "nothing was lost: this proves nothing"
        clock.forward(600)
        await sweep(reader, EVERYTHING)
        rest.mischief = RestMischief(broken=0.02, cut=0.02)
        await reconcile(reader, EVERYTHING, repair=True)
        assert "\n".join(await differing(pool, company, cloud)) == ""
        assert "\n".join(shown(await reconcile(reader, EVERYTHING))) == ""
    assert "\n".join(await broken_history(pool, company)) == ""
