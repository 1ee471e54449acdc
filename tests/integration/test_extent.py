"""How far lists reach, for who is told how long it takes: one call for each list that comes in the order of its ids."""

from rig import asking
from rig.healing import GENEROUS, reading
from rig.mirrored import company_of

from sandbox.rest.mischief import RestMischief
from sandbox.rest.server import serve
from schema.entities import BY_NAME
from store.database import Pool
from worker.healing.extent import highest
from worker.healing.order import lists

WANTED = lists([BY_NAME[name] for name in ("deal", "activity", "product", "currency")])


async def test_the_highest_id_is_asked_for_once_and_only_where_it_tells_how_far_a_list_reaches(pool: Pool) -> None:
    cloud = asking.made_company(deals=40)
    company = await company_of(pool, cloud.account.company_id)
    mischief = RestMischief(forbidden=frozenset({"/api/v2/products"}))
    async with serve(cloud, limits=GENEROUS, mischief=mischief) as rest, reading(pool, company, rest) as reader:
        found = await highest(reader, WANTED)
        asked = rest.log.calls()
    live = max(one["id"] for one in cloud.live["deal"] if not one["is_archived"])
    assert found["/api/v2/deals"] == live
    assert found["/api/v2/activities"] == max(one["id"] for one in cloud.live["activity"])
    assert "/api/v2/products" not in found, "the walk will tell why"
    assert "/v1/currencies" not in asked
    assert set(asked.values()) == {1}
