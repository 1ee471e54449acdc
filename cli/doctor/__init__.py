"""`pipemirror doctor`: what a first deployment gets wrong, each checked and said in plain words. It changes nothing."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from cli import embedded, roles
from cli.command import EXIT_FAILED, Json, configure
from cli.doctor.finding import Finding, elsewhere, guarded
from cli.doctor.of_accounts import of_accounts
from cli.doctor.of_broker import of_broker
from cli.doctor.of_database import of_database
from cli.doctor.of_receivers import of_receivers
from cli.doctor.of_settings import of_disk, of_settings
from cli.output import plain, show
from cli.values import address
from runtime.settings import Settings, load

_WIDTH = len("not applicable")


def doctor(
    receiver: Annotated[
        list[str] | None,
        typer.Option(parser=address, metavar="URL", help="A receiver to ask; default: the local one. Repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check what a first deployment gets wrong.

    It changes nothing, and says what to do in plain words. Exit code 0 if nothing fails.
    """
    settings = load()
    configure("doctor", settings, level="error")
    findings = asyncio.run(examine(settings, receiver or ()))
    if as_json:
        show([asdict(finding) for finding in findings], as_json=True)
    else:
        _print(findings)
    if any(finding.verdict == "fail" for finding in findings):
        sys.exit(EXIT_FAILED)


async def examine(settings: Settings, receivers: Sequence[str] = ()) -> list[Finding]:
    """Every finding, the services in the order in which they are needed."""
    found = of_settings(settings)
    found += await guarded("DATA_DIR", partial(of_disk, settings))
    found += await guarded("Postgres", partial(_database, settings))
    if settings.amqp_url is None:
        found.append(elsewhere("RabbitMQ", "AMQP_URL is not set: the spool under DATA_DIR is the queue"))
    else:
        found += await guarded("RabbitMQ", partial(of_broker, settings.amqp_url.get_secret_value(), settings.lanes))
    return found + await guarded("receiver", partial(of_receivers, settings, receivers))


async def _database(settings: Settings) -> list[Finding]:
    if settings.database_url is None and settings.amqp_url is not None and not embedded.exists(settings.data_dir):
        return [
            elsewhere(
                "Postgres", "DATABASE_URL is not set; a receiver needs none", "Run doctor with a worker's settings."
            )
        ]
    async with roles.database(settings) as dsn:
        found = await of_database(dsn)
        if any(finding.verdict == "fail" for finding in found):
            return [*found, elsewhere("Pipedrive", "not looked at before the database is right")]
        return found + await guarded("Pipedrive", partial(of_accounts, settings, dsn))


def _print(findings: Sequence[Finding]) -> None:
    for finding in findings:
        typer.echo(f"{finding.verdict:<{_WIDTH}}  {finding.name}: {plain(finding.found)}")
        if finding.advice:
            typer.echo(f"{'':<{_WIDTH}}  {finding.advice}")
    counts = {verdict: sum(finding.verdict == verdict for finding in findings) for verdict in ("ok", "warn", "fail")}
    typer.echo(", ".join(f"{number} {verdict}" for verdict, number in counts.items()))
