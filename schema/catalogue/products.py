"""Products, their variations and images."""

from typing import Final

from schema.catalogue.followers import followers_of
from schema.columns import BIGINT, BOOLEAN, JSON, NUMERIC, SMALLINT, TEXT, TIMESTAMP, renamed_items
from schema.entity import WEEK, Entity, event, v1
from schema.listing import BY_ID, Delta, Get, Listing, Paging, Parent

PRICES: Final = renamed_items({"overhead_cost": "direct_cost"})

SCOPES: Final = ("products:read", "products:full")

PRODUCT: Final = Entity(
    "product",
    plural="products",
    custom_fields="product",
    listings=(Listing("/api/v2/products", cost=10, order=BY_ID, scopes=SCOPES, delta=Delta(), ids=100),),
    get=Get("/api/v2/products/{id}", 1),
    columns=(
        event("name", TEXT),
        event("code", TEXT),
        event("unit", TEXT),
        event("tax", NUMERIC),
        event("is_deleted", BOOLEAN),
        event("is_linkable", BOOLEAN, "selectable"),
        event("visible_to", SMALLINT),
        event("owner_id", BIGINT, ref="user"),
        event("add_time", TIMESTAMP),
        event("update_time", TIMESTAMP),
        event("description", TEXT),
        event("category", TEXT),
        v1("billing_frequency", TEXT),
        v1("billing_frequency_cycles", BIGINT),
        event("prices", PRICES),
    ),
)

PRODUCT_VARIATION: Final = Entity(
    "product_variation",
    plural="product_variations",
    webhook=False,
    listings=(
        Listing(
            "/api/v2/products/{parent}/variations",
            cost=10,
            scopes=SCOPES,
            parent=Parent("product", column="product_id"),
            opt_in=True,
        ),
    ),
    cadence=WEEK,
    columns=(
        event("name", TEXT),
        event("product_id", BIGINT, ref="product"),
        event("prices", JSON),
    ),
)

PRODUCT_IMAGE: Final = Entity(
    "product_image",
    plural="product_images",
    webhook=False,
    listings=(
        Listing(
            "/api/v2/products/{parent}/images",
            cost=10,
            paging=Paging.WHOLE,
            scopes=SCOPES,
            parent=Parent("product", column="product_id"),
            opt_in=True,
        ),
    ),
    cadence=WEEK,
    columns=(
        event("product_id", BIGINT, ref="product"),
        event("company_id", TEXT),
        event("public_url", TEXT),
        event("add_time", TIMESTAMP),
        event("mime_type", TEXT),
        event("name", TEXT),
    ),
)

PRODUCT_FOLLOWER: Final = followers_of("product", SCOPES, counter=None)
