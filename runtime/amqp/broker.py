"""Where the broker is, how to get a connection to it, and what went wrong in plain words."""

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import unquote

from pamqp.commands import Queue as Qu
from pamqp.exceptions import AMQPAccessRefused, AMQPNotAllowed, AMQPPreconditionFailed, PAMQPException
from yarl import URL

from runtime.amqp.channel import AmqpError, Blocked, Channel, Closed, Refused
from runtime.amqp.connection import Connection, Login, open_connection
from schema.errors import Misconfigured, Problem, QueueUnavailable
from schema.topology import Queue

LOST: Final = (AmqpError, OSError, TimeoutError, PAMQPException)
"""What a call can meet on a connection that is not there, or not any more."""

_PORTS: Final = {"amqp": 5672, "amqps": 5671}
_HEARTBEAT_SECONDS: Final = 10
_CLOSE_SECONDS: Final = 2.0


class SilentConsumer(Problem):
    """The broker holds messages for us and delivers none, also after the connection was rebuilt."""

    code = "silent_consumer"
    remedy = "The process has to be restarted (it exits by itself); if it comes back, look at RabbitMQ's own log."


def parse_url(url: str) -> URL:
    """Raise Misconfigured, without showing the password."""
    try:
        parsed = URL(url)
        valid = parsed.scheme in _PORTS and bool(parsed.host) and _heartbeat(parsed) >= 0
    except ValueError:
        valid = False
    if not valid:
        raise Misconfigured("AMQP_URL: expected amqp://user:password@host:5672/vhost")
    return parsed


async def connect(url: URL, *, timeout: float) -> Connection:
    """A connection, or QueueUnavailable after at most `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            return await open_connection(url.host or "", _port(url), _login(url), await tls(url))
    except LOST as error:
        raise QueueUnavailable(explain(error, url)) from None


async def close(connection: Connection) -> None:
    """Close it within a bound, whether or not the broker answers."""
    await connection.close(within=_CLOSE_SECONDS)


async def count(channel: Channel, queues: Sequence[Queue], *, timeout: float) -> dict[str, int]:
    """Messages ready per queue; each must exist, else the channel ends with Closed."""
    counts: dict[str, int] = {}
    async with asyncio.timeout(timeout):
        for queue in queues:
            declared = await channel.call(Qu.Declare(queue=queue.name, passive=True))
            assert isinstance(declared, Qu.DeclareOk)
            counts[queue.name] = declared.message_count or 0
    return counts


async def tls(url: URL) -> ssl.SSLContext | None:
    """What the query of an amqps URL says of certificates; None for amqp. Raise OSError where they cannot be read."""
    return await asyncio.to_thread(_tls, url) if url.scheme == "amqps" else None


def why_ended(endings: Iterable["asyncio.Future[AmqpError]"], url: URL) -> str:
    for ending in endings:
        if ending.done() and not ending.cancelled():
            return explain(ending.result(), url)
    return f"the connection to RabbitMQ at {_place(url)} was lost"


def explain(error: BaseException, url: URL) -> str:
    """What went wrong and where, in a sentence without the password."""
    place = f"RabbitMQ at {_place(url)}"
    match error:
        case Closed():
            reason = _why_closed(error, url)
        case Blocked():
            reason = f"{place} takes no messages: it raised an alarm for memory or disk"
        case Refused():
            reason = f"{place} refused the message (a queue is full or has no leader)"
        case AmqpError():
            reason = f"the connection to {place} was lost: {error}"
        case TimeoutError():
            reason = f"{place} did not answer in time: is it overloaded, or a firewall between?"
        case OSError():
            reason = f"no RabbitMQ answers at {_place(url)}: start it or correct AMQP_URL ({error})"
        case _:
            reason = f"{place}: {type(error).__name__} {error}"
    return reason


def _why_closed(error: Closed, url: URL) -> str:
    place = f"RabbitMQ at {_place(url)}"
    match error.code:
        case AMQPAccessRefused.value:
            return f"{place} refuses user {url.user!r}: correct user and password in AMQP_URL"
        case AMQPNotAllowed.value:
            return f"{place} has no vhost {_vhost(url)!r} for user {url.user!r}: create it or correct AMQP_URL"
        case AMQPPreconditionFailed.value:
            return f"{place} has our queues with other arguments: {error}"
        case _:
            return f"{place} closed the connection: {error}"


def _place(url: URL) -> str:
    return f"{url.host}:{_port(url)}"


def _port(url: URL) -> int:
    return url.explicit_port or _PORTS[url.scheme]


def _vhost(url: URL) -> str:
    return unquote(url.raw_path[1:]) or "/"


def _heartbeat(url: URL) -> int:
    return int(url.query.get("heartbeat", _HEARTBEAT_SECONDS))


def _login(url: URL) -> Login:
    mechanism = url.query.get("auth", "plain").upper()
    named = {"name": name} if (name := url.query.get("name")) else {}
    return Login(url.user or "guest", url.password or "guest", _vhost(url), _heartbeat(url), mechanism, **named)


def _tls(url: URL) -> ssl.SSLContext:
    """From cafile, capath, certfile, keyfile and no_verify_ssl of the URL's query. It reads files. Raise OSError."""
    given = url.query
    context = ssl.create_default_context(cafile=given.get("cafile"), capath=given.get("capath"))
    if "certfile" in given:
        context.load_cert_chain(given["certfile"], given.get("keyfile"))
    if given.get("no_verify_ssl", "0") != "0":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
