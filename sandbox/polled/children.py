"""What hangs on deals, contacts, products, notes and projects, and can be listed only there."""

from typing import Any, Final

from sandbox.draw import Draw
from sandbox.shape import Shape, between, constant, mostly, one_of, ref
from sandbox.shelf import Record


def _follower(column: str, entity: str) -> Shape:
    """Without a time of its own besides that of its making."""
    return Shape(
        columns={column: ref(entity), "user_id": ref("user")},
        edited=(),
        updated=None,
        key=(column, "user_id"),
        made_of="columns",
    )


PARTICIPANT: Final = Shape(
    columns={
        "related_item_id": ref("deal"),
        "related_item_type": constant("deal"),
        "person_id": ref("person"),
        "active_flag": constant(True),
        "added_by_user_id": ref("user"),
    },
    edited=(),
    updated=None,
)

DISCOUNT: Final = Shape(
    columns={
        "type": one_of("percentage", "amount"),
        "amount": between(1, 50),
        "description": Draw.sentence,
        "deal_id": ref("deal"),
        "created_by": ref("user"),
        "updated_by": ref("user"),
    },
    edited=("amount", "description"),
    created="created_at",
    updated="updated_at",
    made_of="uuid",
)


def _variation_prices(draw: Draw) -> list[dict[str, Any]]:
    codes = draw.some_of(("EUR", "USD"), 2)
    return [{"price": draw.money(), "currency": code, "cost": draw.money(), "direct_cost": None} for code in codes]


def _own_prices(_draw: Draw, record: Record) -> Record:
    prices = [{**price, "product_variation_id": record["id"], "notes": ""} for price in record["prices"]]
    return {**record, "prices": prices}


VARIATION: Final = Shape(
    columns={
        "name": lambda draw: f"{draw.one_of(('Groß', 'S', '緑'))} {draw.number(1, 99)}",
        "product_id": ref("product"),
        "prices": _variation_prices,
    },
    edited=("name", "prices"),
    complete=_own_prices,
    created=None,
    updated=None,
)

IMAGE: Final = Shape(
    columns={
        "product_id": ref("product"),
        "public_url": lambda draw: f"https://images.example/{draw.uuid()}.png",
        "mime_type": constant("image/png"),
        "name": lambda draw: f"bild-{draw.number(1, 99)}.png",
    },
    edited=("public_url", "name"),
    alone="product_id",
    updated=None,
)

PICTURE: Final = Shape(
    columns={
        "item_type": constant("person"),
        "item_id": ref("person"),
        "added_by_user_id": ref("user"),
        "active_flag": constant(True),
        "file_size": between(1_000, 900_000),
        "pictures": lambda draw: {
            size: f"https://pictures.example/{draw.hash40()}_{size}.jpg" for size in ("128", "512")
        },
    },
    edited=("pictures", "file_size"),
    alone="item_id",
    created=None,
    updated=None,
)


def _about_a_note(_draw: Draw, record: Record) -> Record:
    return {**record, "object_id": str(record["object_id"])}


COMMENT: Final = Shape(
    columns={
        "active_flag": constant(True),
        "content": Draw.text,
        "object_id": ref("note"),
        "object_type": constant("note"),
        "user_id": ref("user"),
        "updater_id": ref("user"),
    },
    edited=("content",),
    complete=_about_a_note,
    milliseconds=True,
    key=("uuid",),
    made_of="uuid",
)

RELATIONSHIP: Final = Shape(
    columns={
        "type": one_of("parent", "related"),
        "rel_owner_org_id": ref("organization"),
        "rel_linked_org_id": ref("organization"),
        "active_flag": constant(True),
    },
    edited=("type",),
)

GROUP: Final = Shape(
    columns={
        "project_id": ref("project"),
        "name": lambda draw: f"{draw.one_of(('Aushub', '基礎'))} {draw.number(1, 99)}",
        "order_nr": between(1, 9),
    },
    edited=("name", "order_nr"),
    created=None,
    updated=None,
)

PLAN_ITEM: Final = Shape(
    columns={
        "project_id": ref("project"),
        "item_type": one_of("task", "activity"),
        "item_id": ref("task"),
        "phase_id": mostly(ref("phase")),
        "group_id": mostly(ref("project_group")),
    },
    edited=("phase_id", "group_id"),
    created=None,
    updated=None,
    key=("project_id", "item_type", "item_id"),
    made_of="columns",
)

SHAPES: Final = {
    "deal_participant": PARTICIPANT,
    "deal_follower": _follower("deal_id", "deal"),
    "person_follower": _follower("person_id", "person"),
    "organization_follower": _follower("organization_id", "organization"),
    "product_follower": _follower("product_id", "product"),
    "user_follower": _follower("followed_user_id", "user"),
    "deal_discount": DISCOUNT,
    "product_variation": VARIATION,
    "product_image": IMAGE,
    "person_picture": PICTURE,
    "note_comment": COMMENT,
    "organization_relationship": RELATIONSHIP,
    "project_group": GROUP,
    "project_plan_item": PLAN_ITEM,
}
