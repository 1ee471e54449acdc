"""The pages of docs that tell what is mirrored, how it is read at which price, and what is not mirrored and why."""

from collections.abc import Iterable, Iterator

from schema.catalogue import unmirrored
from schema.entities import ENTITIES
from schema.entity import DAY, HOUR, Entity
from schema.listing import Listing, Paging


def entities_page() -> str:
    """docs/entities.md: every table, and the lists that fill it."""
    return _page(
        "# Entities",
        "",
        "Generated from `schema/catalogue`. Each entity has a table, named as here, in the schema of each company. The",
        "price of a call is in Pipedrive's tokens; a list is paged unless its rows say `whole`. What is marked *on",
        "request* is read only where you ask for it: [not-mirrored.md](not-mirrored.md) tells at which price.",
        "",
        "Changes: `live` - webhooks tell them, and the list is read besides; `since` - the list tells what changed",
        "since a time; `newest first` - it is read backwards until what is known comes. Else it is read whole.",
        "",
        *_table(("table", "key", "list", "tokens", "rows", "changes"), map(_entity_row, ENTITIES)),
    )


def not_mirrored_page() -> str:
    """docs/not-mirrored.md: entities, fields and lists that are not read, and those that are on request."""
    return _page(*_never_read(), "", *_read_of_one_user(), "", *_read_on_request())


def _never_read() -> Iterator[str]:
    yield from ("# What is not mirrored", "")
    yield "Generated from `schema/catalogue`: what Pipedrive's REST API lists and no table holds."
    yield from ("", "## Entities", "")
    yield from _table(("entity", "why"), [(f"`{name}`", why) for name, why in unmirrored.ENTITIES.items()])
    yield from ("", "## Fields", "", "They are not even kept in `_extra`.", "")
    fields = [(f"`{entity.name}.{name}`", why) for entity in ENTITIES for name, why in entity.left_out.items()]
    yield from _table(("field", "why"), fields)
    yield ""
    yield "An object that stands for another record, as REST v1 sends it, is kept as the id of that record. A part of"
    yield "an object (`duration.start` of a goal) is no column: the object is one, as jsonb."
    yield from ("", "## Further lists of what is mirrored", "")
    yield from _table(("list", "why"), [(f"`{path}`", why) for path, why in unmirrored.LISTS.items()])


def _read_of_one_user() -> Iterator[str]:
    own = [entity.plural for entity in ENTITIES if any(listing.mine for listing in entity.listings)]
    yield from ("## What is other users' own", "", "Whichever token asks, these lists tell of its own user alone:")
    yield ", ".join(f"`{plural}`" for plural in own) + "."


def _read_on_request() -> Iterator[str]:
    yield from ("## On request", "")
    yield "They cost a call for each record of another table, or are private. Nobody reads them unless you ask."
    yield "The price is that of reading them once, in tokens; a parent with more rows than a page holds costs more."
    yield ""
    yield from _table(("table", "list", "price"), _on_request())


def _on_request() -> Iterator[tuple[str, ...]]:
    for entity in ENTITIES:
        for listing in entity.listings:
            if listing.opt_in:
                yield f"`{entity.plural}`", f"`{_shown(listing)}`", _price(listing)


def _price(listing: Listing) -> str:
    parent = listing.parent
    if parent is None:
        return f"{listing.cost} for every {listing.limit} rows"
    each = "each" if parent.batch == 1 else f"every {parent.batch}"
    some = f" with a `{parent.counter}`" if parent.counter else ""
    return f"{listing.cost} for {each} {parent.entity.replace('_', ' ')}{some}"


def _entity_row(entity: Entity) -> tuple[str, ...]:
    lists = "<br>".join(f"`{_shown(listing)}`" for listing in entity.listings)
    tokens = "<br>".join(str(listing.cost) for listing in entity.listings)
    rows = "<br>".join("whole" if found.paging is Paging.WHOLE else str(found.limit) for found in entity.listings)
    key = ", ".join(f"`{name}`" for name in entity.key_names)
    return f"`{entity.plural}`", key, lists, tokens, rows, _changes(entity)


def _changes(entity: Entity) -> str:
    if all(listing.opt_in for listing in entity.listings):
        return f"*on request*, every {_every(entity.cadence)}"
    deltas = {"since" if found.delta.since else "newest first" for found in entity.listings if found.delta}
    told = ["live"] * entity.webhook + (sorted(deltas, reverse=True) or [f"every {_every(entity.cadence)}"])
    return ", ".join(told)


def _every(seconds: int) -> str:
    return f"{seconds // DAY} d" if seconds % DAY == 0 else f"{seconds // HOUR} h"


def _shown(listing: Listing) -> str:
    """With the parameters that choose among its rows."""
    chosen = {name: value for name, value in listing.params.items() if not name.startswith("include_")}
    if listing.parent is not None and listing.parent.param is not None:
        chosen[listing.parent.param] = "..."
    query = "&".join(f"{name}={value}" for name, value in chosen.items())
    path = listing.path.replace("{parent}", "{id}")
    return f"{path}?{query}" if query else path


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (head, ("---",) * len(head), *rows):
        yield "| " + " | ".join(cells) + " |"


def _page(*lines: str) -> str:
    return "\n".join(lines) + "\n"
