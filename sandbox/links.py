"""What records say of each other: names, how many hang on one, or which. No event tells that it moved."""

from collections.abc import Iterator, Mapping
from typing import Final

from sandbox.draw import Draw
from sandbox.shelf import Id, Record

_COUNTED: Final[Mapping[str, tuple[str, str, str]]] = {
    "deal_product": ("deal", "deal_id", "products_count"),
    "deal_participant": ("deal", "related_item_id", "participants_count"),
    "deal_follower": ("deal", "deal_id", "followers_count"),
    "person_follower": ("person", "person_id", "followers_count"),
    "organization_follower": ("organization", "organization_id", "followers_count"),
}
"""Child -> parent, the child's column that holds its id, the parent's column that counts."""


_NAMES: Final = (
    ("owner_name", ("owner_id", "user_id"), "user", "name"),
    ("person_name", ("person_id",), "person", "name"),
    ("org_name", ("org_id",), "organization", "name"),
    ("deal_title", ("deal_id",), "deal", "title"),
)


def names(draw: Draw, record: Record) -> dict[str, str | None]:
    """Names of the records that this one refers to, which v1 events repeat."""
    found = {}
    for name, columns, entity, title in _NAMES:
        refers = next((record[column] for column in columns if column in record), None)
        found[name] = draw.column(entity, refers, title)
    return found


def moved(entity: str, before: Record | None, after: Record | None) -> Iterator[tuple[str, Id, Record]]:
    """(parent, its id, what `told_of` makes of it) after such a change of a child."""
    if entity in _COUNTED:
        parent, column, counter = _COUNTED[entity]
        for record, by in ((before, -1), (after, 1)):
            if record is not None:
                yield parent, record[column], {counter: by}
    if entity == "person_picture":
        picture = after or before or {}
        yield "person", picture["item_id"], {"picture_id": after and after["id"]}


def told_of(parent: Record, columns: Record) -> Record:
    """The parent's record: counts are moved by so many, other columns set."""
    counted = {name: max(0, parent[name] + by) for name, by in columns.items() if name.endswith("_count")}
    return {**parent, **columns, **counted}


def inherited(winner: Record, loser: Record) -> Record:
    """What the winner lacks it takes from the loser."""
    return {column: loser[column] for column, value in winner.items() if value is None and not column.endswith("_time")}
