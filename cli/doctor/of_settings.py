"""Settings, and the machine this process runs on."""

import asyncio
import os
import platform
import shutil
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cli import spooled
from cli.doctor.finding import Finding, elsewhere, fail, ok, warn
from runtime.keys import has_secret, signing_secrets
from runtime.settings import Settings
from runtime.spool.file import SUFFIX, SpoolFile
from runtime.spool.lease import Lease
from runtime.spool.place import RESERVE, refuse_network
from schema.errors import Misconfigured, Problem

ENOUGH_BYTES: Final = 1024**3


def of_settings(settings: Settings) -> list[Finding]:
    return [ok("Python", platform.python_version()), _secret(settings), _public_url(settings)]


def receives(settings: Settings) -> bool:
    """Whether a receiver could run with these settings: a worker beside a broker needs no secret."""
    return settings.webhook_secret is not None or settings.amqp_url is None


def _secret(settings: Settings) -> Finding:
    name = "WEBHOOK_SECRET"
    if not receives(settings):
        return elsewhere(name, "not set; only receivers need it", "Run doctor where a receiver runs, too.")
    if not has_secret(settings):
        return elsewhere(name, f"not set, and none is kept under {settings.data_dir}", "`pipemirror up` makes one.")
    try:
        secrets = signing_secrets(settings)
    except Misconfigured as problem:
        return fail(name, problem.reason, problem.remedy)
    if len(secrets) > 1:
        return ok(name, f"in rotation: the first signs, {len(secrets) - 1} older verify too")
    return ok(name, "one secret signs and verifies")


def _public_url(settings: Settings) -> Finding:
    name, url = "PUBLIC_URL", settings.public_url
    if url is None:
        if not receives(settings):
            return elsewhere(name, "not set; only `webhooks credentials` needs it")
        return warn(name, "not set", "Set the https address that Pipedrive shall post to, without a path.")
    parts = urlsplit(url)
    if parts.path.strip("/") or parts.username is not None:
        return fail(name, "has a path or a user in it", "Set scheme, host and port alone, such as https://a.example.")
    if parts.scheme != "https":
        return warn(name, url, "Pipedrive posts to https only: this address is for trying on one machine.")
    return ok(name, url)


async def of_disk(settings: Settings) -> list[Finding]:
    return await asyncio.to_thread(lambda: [_place(settings.data_dir), *_spools(settings)])


def _place(folder: Path) -> Finding:
    name = "DATA_DIR"
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        return fail(name, f"{there} cannot be written", "Give the folder to the user that runs this, or set DATA_DIR.")
    try:
        refuse_network(folder)
    except Misconfigured as problem:
        return fail(name, problem.reason, "Set DATA_DIR to a folder on a local disk.")
    free = shutil.disk_usage(there).free
    found = f"{folder}, {free / 1024**3:.1f} GiB free"
    if free < RESERVE:
        return fail(name, found, "Free disk space: the spool takes nothing more, events are refused without a broker.")
    return (
        warn(name, found, "Free disk space before the broker is gone for long.")
        if free < ENOUGH_BYTES
        else ok(name, found)
    )


def _spools(settings: Settings) -> list[Finding]:
    folder = settings.data_dir / "spool"
    corrupt = [path.name for path in spooled.files(folder) if path.suffix == spooled.CORRUPT]
    found = [_spool(path, queue=settings.amqp_url is None) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    if corrupt:
        advice = "`sqlite3 FILE .recover` may save messages; then move the files away. Check the disk."
        found.append(warn("spool", f"set aside as damaged: {', '.join(corrupt)}", advice))
    return found or [ok("spool", f"no file in {folder}")]


def _spool(path: Path, *, queue: bool) -> Finding:
    """`queue`: without a broker the spool is the queue, and messages in it are as they should be."""
    name = f"spool {path.name}"
    try:
        file = SpoolFile.existing(path)
        messages = 0 if file is None else sum(file.counts().values())
    except Problem as problem:
        return fail(name, problem.reason, problem.remedy)
    if file is not None:
        file.close()
    if not messages:
        return ok(name, "empty")
    if _is_orphan(path):
        advice = "Start a receiver (or `up`) on this DATA_DIR: it adopts and drains it. Never delete the file."
        return warn(name, f"{messages:,} messages, and no process that owns it", advice)
    if queue:
        return ok(name, f"{messages:,} messages wait")
    return warn(
        name, f"{messages:,} messages wait", "It drains by itself once the broker takes messages; see RabbitMQ."
    )


def _is_orphan(path: Path) -> bool:
    lease = Lease.acquire(path.with_suffix(".lease"))
    if lease is None:
        return False
    lease.release()
    return True
