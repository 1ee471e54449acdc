"""What is sold: products, the products of a deal, and its installments."""

from typing import Any, Final

from sandbox.draw import Draw
from sandbox.shape import Shape, between, constant, one_of, rarely, ref
from sandbox.shelf import Id, Record


def _prices(draw: Draw) -> list[dict[str, Any]]:
    return [
        {
            "price": draw.money(),
            "cost": draw.money(),
            "currency": code,
            "notes": "",
            "direct_cost": draw.one_of((0, 12.5, None)),
        }
        for code in draw.some_of(("EUR", "USD", "JPY"), 3)
    ]


def _own_prices(_draw: Draw, record: Record) -> Record:
    return {**record, "prices": [{**price, "product_id": record["id"]} for price in record["prices"]]}


PRODUCT: Final = Shape(
    columns={
        "name": lambda draw: f"{draw.one_of(('Café', 'Widget', 'ライセンス'))} {draw.number(1, 999)}",
        "code": rarely(lambda draw: f"SKU-{draw.number(1, 9999):05}"),
        "unit": rarely(one_of("kg", "m²", "")),
        "tax": one_of(0, 2, 19.5),
        "is_deleted": constant(False),
        "is_linkable": one_of(True, False),
        "visible_to": one_of(1, 3, 5, 7),
        "owner_id": ref("user"),
        "description": rarely(Draw.text, 0.6),
        "category": rarely(one_of("15", "18")),
        "billing_frequency": one_of("one-time", "monthly"),
        "billing_frequency_cycles": constant(None),
        "prices": _prices,
    },
    edited=(
        "name",
        "code",
        "unit",
        "tax",
        "is_linkable",
        "visible_to",
        "owner_id",
        "description",
        "category",
        "prices",
    ),
    complete=_own_prices,
)


def _total(_draw: Draw, record: Record) -> Record:
    return {**record, "sum": round(record["item_price"] * record["quantity"], 2)}


DEAL_PRODUCT: Final = Shape(
    columns={
        "sum": constant(0),
        "tax": one_of(0, 19.5),
        "deal_id": ref("deal"),
        "name": Draw.title,
        "product_id": ref("product"),
        "product_variation_id": constant(None),
        "order_nr": rarely(between(1, 9)),
        "comments": Draw.text,
        "currency": Draw.currency,
        "discount": one_of(0, 10, 12.5),
        "discount_type": one_of("percentage", "amount"),
        "quantity": one_of(1, 3, 0.5),
        "item_price": Draw.money,
        "tax_method": one_of("inclusive", "exclusive", "none"),
        "is_enabled": one_of(True, False),
        "billing_frequency": one_of("one-time", "monthly"),
        "billing_frequency_cycles": rarely(between(1, 208)),
        "billing_start_date": rarely(Draw.day),
    },
    edited=("tax", "comments", "discount", "quantity", "item_price", "is_enabled", "billing_start_date"),
    complete=_total,
)


def _with_products(draw: Draw) -> Id | None:
    """Only a deal that sells something is paid in installments."""
    deal: Id | None = draw.column("deal_product", draw.ref("deal_product"), "deal_id")
    return deal


DEAL_INSTALLMENT: Final = Shape(
    columns={
        "amount": Draw.money,
        "billing_date": Draw.day,
        "description": Draw.sentence,
        "deal_id": _with_products,
    },
    edited=("amount", "billing_date", "description"),
    created=None,
    updated=None,
)
