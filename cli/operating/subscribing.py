"""`pipemirror webhooks`: the subscription at Pipedrive, by hand or by command."""

from typing import Annotated, Any

import typer

from cli.command import Json, Yes, confirm, operate, pool
from cli.operating.undertaking import CompanyOption, the_company
from cli.output import plain, show
from cli.reading import asking_as, entrance, token_of
from cli.values import identity
from pipedrive.subscriptions import Finding
from runtime.keys import has_secret, kept_at, signing_secrets
from runtime.settings import Settings, load
from schema.credentials import derive
from worker.healing import subscribing
from worker.healing.live import Entrance, Live

app = typer.Typer(help="The subscription at Pipedrive.", no_args_is_help=True)

_SIGNS = ("WEBHOOK_SECRET",)
_CONNECTIONS = 3

_THE_SAME_FOR_ALL = {"version": "2.0", "event action": "*", "event object": "*"}


@app.command()
def credentials(
    company: Annotated[int, typer.Option(parser=identity, metavar="ID", help="Company id.")],
    as_json: Json = False,
) -> None:
    """What to enter in Pipedrive's webhook form.

    Needs no database. With --json: `url`, `user` and `password` alone.
    """
    settings = load(_SIGNS)
    base = settings.public_url or f"http://{settings.receiver_host}:{settings.receiver_port}"
    is_new = not has_secret(settings)
    found = {
        "url": f"{base}/webhooks/{company}",
        "user": str(company),
        "password": derive(signing_secrets(settings)[0], company),
    }
    show(found if as_json else _THE_SAME_FOR_ALL | found, as_json=as_json)
    if settings.public_url is None:
        typer.echo("PUBLIC_URL is not set: Pipedrive cannot reach this address yet.", err=True)
    if is_new:
        typer.echo(f"{kept_at(settings).absolute()} was made: `pipemirror up` must run in this folder.", err=True)


@app.command()
def ensure(company: CompanyOption = None) -> None:
    """See that exactly one webhook tells of everything.

    Makes it, or makes it anew where it is not right. Touches only our own. The receiver must run and be reachable.
    """
    settings = load((*_SIGNS, "PUBLIC_URL"))
    operate(_ensure, settings, company)


@app.command("list")
def list_webhooks(company: CompanyOption = None, as_json: Json = False) -> None:
    """The webhooks that Pipedrive has, and which are ours."""
    operate(_list, load(_SIGNS), company, as_json=as_json)


@app.command()
def remove(company: CompanyOption = None, yes: Yes = False) -> None:
    """Remove ours: changes then come late, by sweeps.

    It is not made again until `webhooks ensure`, or `connect`.
    """
    operate(_remove, load(_SIGNS), company, yes=yes)


async def _ensure(dsn: str, settings: Settings, company_id: int | None) -> bool:
    async with pool(dsn, size=_CONNECTIONS) as found:
        company = await the_company(found, company_id)
        token = await token_of(settings, found, company.id)
        async with asking_as(settings, found, token) as client:
            live = await subscribing.ensure(client, found, company.id, entrance(settings), by_hand=True)
    tell(live)
    return live.problem is None


async def _list(dsn: str, settings: Settings, company_id: int | None, *, as_json: bool) -> bool:
    async with pool(dsn, size=_CONNECTIONS) as found:
        company = await the_company(found, company_id)
        token = await token_of(settings, found, company.id)
        wanted = _where(settings).wanted(company.id, token.user_id)
        async with asking_as(settings, found, token) as client, found.acquire() as connection:
            rows = [_row(one) for one in await subscribing.listed(client, connection, company.id, wanted)]
    if rows or as_json:
        show(rows, as_json=as_json)
    else:
        typer.echo("none: `pipemirror webhooks ensure` makes one")
    return True


async def _remove(dsn: str, settings: Settings, company_id: int | None, *, yes: bool) -> bool:
    async with pool(dsn, size=_CONNECTIONS) as found:
        company = await the_company(found, company_id)
        confirm(
            f"Remove our webhooks of company {company.id}?",
            f"our webhooks of company {company.id} would be removed, and live would be off",
            yes=yes,
        )
        token = await token_of(settings, found, company.id)
        wanted = _where(settings).wanted(company.id, token.user_id)
        async with asking_as(settings, found, token) as client:
            removed = await subscribing.remove(client, found, company.id, wanted)
    which = ", ".join(f"webhook {one}" for one in removed) or "there was none of ours"
    typer.echo(f"removed: {which}; live is off until `webhooks ensure`")
    return True


def _where(settings: Settings) -> Entrance:
    """Ours are known by name and by where they went before, too."""
    return entrance(settings) or Entrance("", signing_secrets(settings)[0])


def _row(one: subscribing.Listed) -> dict[str, Any]:
    """Never its password."""
    hook = one.hook
    return {
        "id": hook.id,
        "ours": one.ours,
        "active": hook.active,
        "tells": f"{hook.action}.{hook.object}",
        "version": hook.version,
        "user_id": hook.user_id,
        "last_http_status": hook.last_status,
        "url": hook.url,
        "name": hook.name,
    }


def tell(live: Live) -> None:
    """What was found and what came of it, for a person."""
    for finding in live.findings:
        typer.echo(_line(finding), err=True)
    if live.webhook is None:
        typer.echo("live is off: no webhook of ours tells of this company", err=True)
        return
    typer.echo(f"live is on: webhook {live.webhook} tells of everything", err=True)
    if live.gap_since is not None:
        since = plain(live.gap_since)
        typer.echo(f"events since {since} may be missing: the next sweep finds them, `pipemirror sweep` now", err=True)


def _line(finding: Finding) -> str:
    which = f", webhook {finding.id}" if finding.id is not None else ""
    return f"{finding.code}{which}: {finding.words}"
