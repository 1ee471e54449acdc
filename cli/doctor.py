"""What a first deployment gets wrong, each checked and said in plain words."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import asyncpg

from runtime import amqp
from runtime.settings import Settings, signing_secrets
from schema.errors import Misconfigured
from store.database import describe

OLDEST_POSTGRES = 150_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `advice` is empty where it is well."""

    subject: str
    well: bool
    found: str
    advice: str = ""


async def examine(settings: Settings, dsn: str) -> list[Finding]:
    """Every finding; nothing is changed."""
    found = [_credentials(settings), _public_url(settings)]
    found += [finding async for finding in _postgres(dsn)]
    if settings.amqp_url is not None:
        found.append(await _broker(settings.amqp_url.get_secret_value()))
    found.append(await _receiver(settings))
    return found


def _credentials(settings: Settings) -> Finding:
    try:
        secrets = signing_secrets(settings)
    except Misconfigured as problem:
        return Finding("WEBHOOK_SECRET", well=False, found=problem.reason, advice=problem.remedy)
    if len(secrets) > 1:
        return Finding("WEBHOOK_SECRET", well=True, found=f"in rotation: {len(secrets) - 1} old beside the current one")
    return Finding("WEBHOOK_SECRET", well=True, found="one secret signs and verifies")


def _public_url(settings: Settings) -> Finding:
    if settings.public_url is None:
        return Finding(
            "PUBLIC_URL", well=False, found="not set", advice="Set the https address that Pipedrive shall post to."
        )
    return Finding("PUBLIC_URL", well=True, found=settings.public_url)


async def _postgres(dsn: str) -> AsyncIterator[Finding]:
    try:
        connection = await asyncpg.connect(dsn, timeout=5)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        yield Finding("Postgres", well=False, found=describe(error), advice="Start Postgres, check DATABASE_URL.")
        return
    try:
        version = int(await connection.fetchval("SHOW server_version_num"))
        yield Finding(
            "Postgres", well=version >= OLDEST_POSTGRES, found=f"version {version // 10_000}",
            advice="" if version >= OLDEST_POSTGRES else "Use Postgres 15 or newer.",
        )  # fmt: skip
        may_create = await connection.fetchval("SELECT has_database_privilege(current_database(), 'CREATE')")
        yield Finding(
            "database role", well=may_create, found="may create schemas" if may_create else "may not create schemas",
            advice="" if may_create else "GRANT CREATE ON DATABASE ... TO this role.",
        )  # fmt: skip
        migrated = await connection.fetchval("SELECT to_regclass('pipemirror.events') IS NOT NULL")
        yield Finding(
            "schemas", well=migrated, found="present" if migrated else "missing",
            advice="" if migrated else "Run `pipemirror migrate`, or start a worker.",
        )  # fmt: skip
    finally:
        await connection.close()


async def _broker(url: str) -> Finding:
    try:
        await amqp.waiting(url, ())
    except Exception as error:  # noqa: BLE001 - every reason not to connect is the finding
        # Only the kind of the error: its text may repeat the URL with the password.
        return Finding(
            "RabbitMQ",
            well=False,
            found=type(error).__name__,
            advice="Start RabbitMQ, check AMQP_URL and its password.",
        )
    return Finding("RabbitMQ", well=True, found="reachable")


async def _receiver(settings: Settings) -> Finding:
    url = f"http://{settings.receiver_host}:{settings.receiver_port}/readyz"
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session, session.get(url) as answer:
            text = await answer.text()
            return Finding("receiver", well=answer.ok, found=text[:300], advice="" if answer.ok else "See the reasons.")
    except (aiohttp.ClientError, TimeoutError) as error:
        return Finding(
            "receiver", well=False, found=f"{url}: {type(error).__name__}",
            advice="Start `pipemirror receiver` or `pipemirror up`.",
        )  # fmt: skip
