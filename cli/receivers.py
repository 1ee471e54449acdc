"""Asking receivers, over HTTP, what only they know."""

from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from runtime.measurements import ON_SPOOL, SECRET_USED, SPOOL_PENDING
from schema.errors import QueueUnavailable

_TIMEOUT = aiohttp.ClientTimeout(total=5)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a receiver's metrics say; None: it has not read it yet.

    secrets  name of the secret, `current` or `old-1` and on -> requests since its start
    date     its clock, as the HTTP header says it
    """

    spool_pending: float | None
    on_spool: float | None
    secrets: dict[str, float]
    date: str | None


async def ask(url: str) -> Asked:
    """Read `/metrics` below `url`. Raise QueueUnavailable, which for the one who asks is what it comes to."""
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.get(f"{url.rstrip('/')}/metrics") as answer,
        ):
            answer.raise_for_status()
            return _read(await answer.text(), answer.headers.get("Date"))
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
        raise QueueUnavailable(f"the receiver at {url} does not tell its metrics ({type(error).__name__})") from None


def _read(text: str, date: str | None) -> Asked:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    values = {sample.name: sample.value for sample in samples if not sample.labels}
    secrets = {sample.labels["secret"]: sample.value for sample in samples if sample.name == SECRET_USED.name}
    return Asked(values.get(SPOOL_PENDING.name), values.get(ON_SPOOL.name), secrets, date)
