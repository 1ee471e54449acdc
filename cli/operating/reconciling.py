"""`pipemirror reconcile`: compare an account with its mirror, and mend what differs."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Final

import typer

from cli.command import Json, UsageError, operate_long, pool
from cli.operating.undertaking import (
    CONNECTIONS,
    NOT_THERE,
    CompanyOption,
    EntityOption,
    Undertaking,
    chosen,
    number_of,
    tell_price,
    tell_remedies,
    the_company,
)
from cli.output import show
from cli.reading import token_of
from cli.walks import Walks
from pipedrive.budget import Need
from runtime.settings import Settings, load
from worker.healing.drift import Drift
from worker.healing.order import Wanted
from worker.healing.reconcile import reconcile as compare
from worker.healing.walking import Reader

_AS_IN_THE_TABLE: Final = {"missing": "only in Pipedrive", "superfluous": "only here", "different": "different"}
_NOT_THERE = tuple(f"{code}:" for code in NOT_THERE)


def reconcile(
    company: CompanyOption = None,
    entity: EntityOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what differs; the default.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what differs.")] = False,
    as_json: Json = False,
) -> None:
    """Compare an account with its mirror over the REST API.

    Reads all lists whole. What a list does not show is asked for before it is declared deleted.
    """
    if dry_run and repair:
        raise UsageError("--dry-run and --repair exclude each other")
    settings = load()
    operate_long(_reconcile, settings, company, chosen(settings, entity), repair=repair, as_json=as_json)


async def _reconcile(
    dsn: str,
    settings: Settings,
    company_id: int | None,
    wanted: Wanted,
    *,
    repair: bool,
    as_json: bool,
    stop: asyncio.Event,
) -> bool:
    async with pool(dsn, size=CONNECTIONS, lasting=True) as found:
        company = await the_company(found, company_id)
        token = await token_of(settings, found, company.id)
        await tell_price(found, company, wanted)
        drifts: dict[str, Drift] = {}

        async def work(reader: Reader, _: Walks) -> bool:
            """Again after a wait: what is compared is compared."""
            left = [(one, listings) for one, listings in wanted if one.name not in drifts]
            await compare(reader, left, repair=repair, trusted=token.is_admin is not False, on_end=drifts.setdefault)
            return True

        comparing = Undertaking(settings, found, company, token, Need.BULK, "comparing", stop, number_of(wanted))
        done = await comparing.run(work)
        if done is None:
            return False
        _tell([drifts[one.name] for one, _ in wanted if one.name in drifts], repair=repair, as_json=as_json)
        if done[1] is None:
            typer.echo(
                f"stopped: {len(drifts)} of {len(wanted)} entities were compared; the rest is not known", err=True
            )
        return done[1] is not None and _is_well(list(drifts.values()), repair=repair)


def _is_well(drifts: list[Drift], *, repair: bool) -> bool:
    """Nothing differs, or what did is mended."""
    if any(drift.refused or (drift.unread and not drift.unread.startswith(_NOT_THERE)) for drift in drifts):
        return False
    if any(drift.recent for drift in drifts):
        return False
    return all(not (drift.doubted or drift.hidden) if repair else not drift.total for drift in drifts)


def _tell(drifts: list[Drift], *, repair: bool, as_json: bool) -> None:
    differing = [one for one in drifts if one.total or one.unread or one.hidden or one.refused or one.recent]
    if as_json:
        # `asdict` would count the pairs of a Counter.
        show([asdict(drift) | {"fields": dict(drift.fields)} for drift in drifts], as_json=True)
    elif differing:
        show([_row(drift) for drift in differing], as_json=False)
        for drift in differing:
            for line in _details(drift):
                typer.echo(line)
    rows, calls, tokens = (sum(getattr(drift, name) for drift in drifts) for name in ("rows", "calls", "tokens"))
    total = sum(drift.total for drift in drifts)
    what = "differed and were mended" if repair else "differ"
    typer.echo(f"{total:,} of {rows:,} records {what}; {calls:,} calls, {tokens:,} tokens", err=True)
    tell_remedies(drift.unread.partition(":")[0] for drift in drifts if drift.unread)
    for drift in drifts:
        if drift.doubted:
            typer.echo(
                f"{drift.entity}: {drift.doubted:,} records are too many to be gone at once. They stay as they are; "
                "look at some of them in Pipedrive, then `reconcile --repair` again.",
                err=True,
            )
        if drift.recent:
            typer.echo(
                f"{drift.entity}: {drift.recent:,} records were told of within the last minute, and are not shown. "
                "Compare again in a minute: Pipedrive's lists may be late.",
                err=True,
            )


def _row(drift: Drift) -> dict[str, object]:
    return {
        "entity": drift.entity,
        "only in Pipedrive": drift.missing,
        "only here": drift.superfluous,
        "different": drift.different,
        "tokens": drift.tokens,
        "not compared": _not_compared(drift),
    }


def _details(drift: Drift) -> Iterator[str]:
    """Lines below the table: which records, some of them, and which fields."""
    for what, ids in drift.samples.items():
        yield f"{drift.entity} {_AS_IN_THE_TABLE[what]}, such as {', '.join(ids)}"
    if drift.fields:
        fields = ", ".join(f"{name} {number:,}" for name, number in drift.fields.most_common(5))
        yield f"{drift.entity} different in {fields}"


def _not_compared(drift: Drift) -> str:
    unreadable = f"{drift.refused:,} rows that cannot be read" if drift.refused else ""
    recent = f"{drift.recent:,} told of just now" if drift.recent else ""
    return drift.unread or unreadable or recent or ("not shown to this user" if drift.hidden else "")
