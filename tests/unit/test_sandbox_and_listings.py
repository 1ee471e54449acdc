"""The sandbox and the mirror's catalogue were written apart, from the same documentation: here their lists meet."""

import pytest

from sandbox.rest.core import LISTINGS as CORE
from sandbox.rest.core import SINGLES
from sandbox.rest.listing import Listing
from sandbox.rest.me import ALONE
from sandbox.rest.polled import LISTINGS as POLLED
from sandbox.rest.polled import SINGLES as MORE_SINGLES
from sandbox.rest.rows import columns
from sandbox.rest.truth import _OF_OTHERS
from schema.entities import BY_NAME
from schema.entity import Entity
from schema.listing import Paging

HERE = {f"{'/api/v2' if one.v == 2 else '/v1'}{one.path}": one for one in (*CORE, *POLLED)}
GETS = {f"{'/api/v2' if one.v == 2 else '/v1'}{one.path}": one.cost for one in (*SINGLES, *MORE_SINGLES)}
ELSEWHERE = {f"/v1{path}": cost for path, cost, _ in ALONE} | {"/v1/webhooks": 10}
PAGING = {"cursor": Paging.CURSOR, "pagination": Paging.OFFSET, "flat": Paging.OFFSET, "whole": Paging.WHOLE}
NOT_OURS = {
    "organization": {"org_id"},  # stands in one example of the documentation, and in no schema
    "activity": {"custom_fields"},  # only events have it, and there it is empty
    "deal_participant": {"deal_id", "related_item_data"},  # the deal is `related_item_id`, too
}


@pytest.mark.parametrize("entity", BY_NAME.values(), ids=lambda entity: entity.name)
def test_every_list_of_the_catalogue_is_answered_at_the_same_price_and_in_the_same_pages(entity: Entity) -> None:
    for listing in entity.listings:
        one = listing.path.replace("{parent}", "{id}")
        if listing.path in ELSEWHERE:
            assert ELSEWHERE[listing.path] == listing.cost
        elif one in GETS:
            assert GETS[one] == listing.cost
        else:
            here: Listing = HERE[listing.path]
            assert (here.cost, PAGING[here.paging], here.most) == (listing.cost, listing.paging, listing.limit) or (
                (here.cost, PAGING[here.paging]) == (listing.cost, Paging.WHOLE)
            )
    if entity.get is not None:
        assert GETS[entity.get.path] == entity.get.cost


@pytest.mark.parametrize("entity", [one for one in BY_NAME.values() if not one.log], ids=lambda entity: entity.name)
def test_the_mirror_has_a_column_for_whatever_is_compared(entity: Entity) -> None:
    if entity.name in {"user_setting", "user_connection", "webhook"}:
        return
    ours = columns(entity.name) - _OF_OTHERS.get(entity.name, frozenset())
    theirs = {column.name for column in entity.columns} | {*entity.key_names} | ({"custom_fields"} & ours)
    assert ours <= theirs
    assert theirs - ours - _OF_OTHERS.get(entity.name, frozenset()) <= NOT_OURS.get(entity.name, set())
