"""RabbitMQ: reachable, new enough, with the rights and the queues we need."""

import secrets
from typing import Final

import aio_pika
import aiohttp
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity, ChannelPreconditionFailed
from yarl import URL

from cli.doctor.finding import Finding, elsewhere, fail, ok, warn
from runtime import amqp
from runtime.amqp import control
from runtime.amqp.broker import parse_url
from schema import topology
from schema.topology import Queue

OLDEST_RABBITMQ: Final = (3, 10)
NEEDED_FLAGS: Final = frozenset({"quorum_queue", "stream_queue"})
"""Quorum queues themselves, and streams: at-least-once dead-lettering is made of the same stuff."""
_MANAGEMENT_PORT: Final = 15672
_TIMEOUT: Final = 10.0
"""Over a slow line each queue of many lanes is a round trip or three."""
_FLAGS = "`rabbitmqctl list_feature_flags name state` on the broker: quorum_queue and stream_queue must be enabled."


async def of_broker(url: str, lanes: int) -> list[Finding]:
    """Raise QueueUnavailable when it cannot be reached."""
    parsed = parse_url(url)

    async def look(connection: aio_pika.Connection) -> list[Finding]:
        return [_version(connection), await _rights(connection), await _queues(connection, lanes)]

    found = await control.ask(parsed, look, timeout=_TIMEOUT)
    return [*found, await _lanes(url, lanes), await _flags(parsed)]


def _version(connection: aio_pika.Connection) -> Finding:
    assert connection.transport is not None
    told = str(connection.transport.connection.server_properties.get("version", ""))
    numbers = tuple(int(part) for part in told.split(".")[:2] if part.isdigit())
    if len(numbers) < len(OLDEST_RABBITMQ):
        return elsewhere("RabbitMQ", "reachable; it does not tell its version", "It must be 3.10 or newer.")
    found = f"version {told}"
    return ok("RabbitMQ", found) if numbers >= OLDEST_RABBITMQ else fail("RabbitMQ", found, "Use 3.10 or newer.")


async def _rights(connection: aio_pika.Connection) -> Finding:
    """Declares what ends with its connection, bearing a name like ours: rights are given by patterns of names."""
    name = "RabbitMQ rights"
    channel = await connection.channel(publisher_confirms=False)
    try:
        queue = f"{topology.EXCHANGE}.doctor.{secrets.token_hex(4)}"
        made = await channel.declare_queue(queue, exclusive=True, auto_delete=True)
        await made.get(fail=False)
        await made.delete()
    except ChannelClosed as error:
        advice = "`rabbitmqctl set_permissions -p VHOST USER '^pipemirror.*' '^pipemirror.*' '^pipemirror.*'`, or '.*'."
        return fail(name, f"refused: {error}"[:200], advice)
    await channel.close()
    return ok(name, "may make and read queues of our names")


async def _queues(connection: aio_pika.Connection, lanes: int) -> Finding:
    name = "queues"
    missing, other = [], []
    for queue in topology.queues(lanes):
        state = await _declared(connection, queue)
        missing += [queue.name] if state is None else []
        other += [queue.name] if state is False else []
    if other:
        advice = "Somebody made them by hand. Empty them, delete them, and restart receivers and workers."
        return fail(name, f"with other arguments than ours: {', '.join(other)}", advice)
    if missing:
        return warn(name, f"not there yet: {', '.join(missing)}", "The first receiver or worker makes them: start one.")
    return ok(name, f"{len(topology.queues(lanes))}, with our arguments")


async def _declared(connection: aio_pika.Connection, queue: Queue) -> bool | None:
    """Whether a queue has our arguments; None if it does not exist. An equal declaration changes nothing."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        await channel.declare_queue(queue.name, passive=True)
        await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
    except ChannelNotFoundEntity:
        return None
    except ChannelPreconditionFailed:
        return False
    await channel.close()
    return True


async def _lanes(url: str, lanes: int) -> Finding:
    beyond = await amqp.declared(url, [topology.lane_queue(lane) for lane in range(lanes, topology.MOST_LANES)])
    if beyond:
        advice = "Give all processes the same LANES; delete the queues beyond it once they are empty."
        return warn("LANES", f"{lanes}, and the broker has {len(beyond)} more lanes", advice)
    return ok("LANES", f"{lanes}, as many as the broker has")


async def _flags(url: URL) -> Finding:
    """From the management API, where it is there and open to us: AMQP itself does not tell."""
    name = "RabbitMQ feature flags"
    address = URL.build(scheme="http", host=url.host or "", port=_MANAGEMENT_PORT, path="/api/feature-flags")
    auth = {"Authorization": aiohttp.encode_basic_auth(url.user or "", url.password or "")}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
            session.get(address, headers=auth) as answer,
        ):
            answer.raise_for_status()
            flags = {flag["name"]: flag["state"] for flag in await answer.json()}
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError):
        return elsewhere(name, "the management API cannot be asked from here", _FLAGS)
    # A flag that is not listed any more has become a matter of course.
    disabled = sorted(flag for flag in NEEDED_FLAGS if flags.get(flag, "enabled") != "enabled")
    if disabled:
        return fail(name, f"disabled: {', '.join(disabled)}", "`rabbitmqctl enable_feature_flag all`")
    return ok(name, "quorum queues and streams are enabled")
