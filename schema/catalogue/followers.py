"""Who follows a record: of deals, persons, organizations and products alike."""

from schema.columns import BIGINT, TIMESTAMP
from schema.entity import WEEK, Entity, event, key
from schema.listing import Listing, Parent


def followers_of(parent: str, scopes: tuple[str, ...], *, counter: str | None = "followers_count") -> Entity:
    """A row for each record and follower. `counter`: as of `Parent`."""
    column = f"{parent}_id"
    return Entity(
        f"{parent}_follower",
        plural=f"{parent}_followers",
        key=key(**{column: BIGINT, "user_id": BIGINT}),
        webhook=False,
        listings=(
            Listing(
                f"/api/v2/{parent}s/{{parent}}/followers",
                cost=10,
                scopes=scopes,
                parent=Parent(parent, column=column, counter=counter),
                opt_in=True,
            ),
        ),
        cadence=WEEK,
        columns=(event("add_time", TIMESTAMP),),
    )
