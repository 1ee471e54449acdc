"""Receivers, as far as they can be asked over HTTP."""

import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime

import aiohttp

from cli import receivers
from cli.doctor.finding import Finding, elsewhere, fail, ok, warn
from cli.doctor.of_database import skew
from cli.receivers import Asked
from runtime.settings import Settings
from schema.errors import NotNow

_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - where one listens on all addresses, one is asked


async def of_receivers(settings: Settings, named: Sequence[str]) -> list[Finding]:
    """Those that are `named` must answer; the local one only where it is the only one there can be."""
    host = _ANY.get(settings.receiver_host, settings.receiver_host)
    local = f"http://{host}:{settings.receiver_port}"
    found: list[Finding] = []
    for url in named or [local]:
        found += await _of_receiver(url, must=bool(named) or settings.amqp_url is None)
    return found


async def _of_receiver(url: str, *, must: bool) -> list[Finding]:
    name = f"receiver {url}"
    try:
        asked = await receivers.ask(url)
    except NotNow as problem:
        if must:
            return [fail(name, problem.reason, "Start `pipemirror up`, or `pipemirror receiver`.")]
        return [elsewhere(name, "none on this machine", "Name one that is elsewhere: doctor --receiver URL.")]
    return [await _readiness(name, url), _spool(name, asked), _old_secrets(name, asked), *_clock(name, asked)]


async def _readiness(name: str, url: str) -> Finding:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(f"{url.rstrip('/')}/readyz") as answer,
        ):
            text = (await answer.text())[:500]
            return ok(name, "ready") if answer.ok else fail(name, text, "Every code is in docs/errors.md.")
    except (aiohttp.ClientError, TimeoutError) as error:
        return fail(name, f"does not answer ({type(error).__name__})", "Look at its log.")


def _spool(name: str, asked: Asked) -> Finding:
    if asked.on_spool:
        return warn(f"{name}: spool", "the broker is given up, events go to its disk", "See RabbitMQ.")
    if asked.spool_pending:
        return warn(f"{name}: spool", f"{asked.spool_pending:.0f} messages", "It drains by itself; look again.")
    return ok(f"{name}: spool", "not in use")


def _old_secrets(name: str, asked: Asked) -> Finding:
    """The counters begin with the process: one that was not used may merely not have been needed."""
    used = {secret: number for secret, number in asked.secrets.items() if secret.startswith("old") and number}
    if used:
        told = ", ".join(f"{secret} {number:.0f} times" for secret, number in used.items())
        advice = "Renew the webhooks made with it, before it goes: `pipemirror webhooks credentials --company ID`."
        return warn(f"{name}: old secrets", f"used since its start: {told}", advice)
    return ok(f"{name}: old secrets", "none used since its start")


def _clock(name: str, asked: Asked) -> list[Finding]:
    if asked.date is None:
        return []
    # The header tells whole seconds, cut off: half a second is what it is behind on average.
    return [skew(f"{name}: clock", parsedate_to_datetime(asked.date).timestamp() + 0.5 - time.time())]
