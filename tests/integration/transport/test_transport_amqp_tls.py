"""RabbitMQ behind TLS: a proxy ends it here, for the private broker of the tests speaks none."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from rig.transports import LANES, QUICK, Amqp, receive
from yarl import URL

from runtime.amqp import AmqpPublisher, AmqpSubscription
from schema.topology import lane_queue, queues

LANE = lane_queue(0)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate for localhost, signed by itself, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path / "both.pem"
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*made.split(), *names, "-keyout", path, "-out", path.with_suffix(".crt")], check=True)
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


@asynccontextmanager
async def proxy(certificate: Path, behind: URL) -> AsyncIterator[int]:
    """Take TLS on a port, pass on what is in it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(behind.host, behind.port)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_messages_travel_encrypted_and_a_stranger_in_between_is_refused(
    certificate: Path, amqp: Amqp, opened: AsyncExitStack
) -> None:
    behind = URL(amqp.url)
    async with proxy(certificate, behind) as port:
        trusting = behind.with_scheme("amqps").with_host("localhost").with_port(port)
        url = str(trusting.update_query(cafile=str(certificate.with_suffix(".crt"))))
        publisher = AmqpPublisher(url, queues(LANES), backoff=QUICK)
        subscription = AmqpSubscription(url, queues(LANES), backoff=QUICK)
        for one in (publisher, subscription):
            opened.push_async_callback(one.close)
            await one.start()
        body = b"x" * 300_000
        await publisher.publish(LANE.routing_key, body)
        assert [message.body for message in await receive(subscription, 1)] == [body]

        stranger = AmqpPublisher(str(trusting), queues(LANES), backoff=QUICK)
        opened.push_async_callback(stranger.close)
        await stranger.start()
        assert "certificate" in (stranger.problem or "")
        await publisher.close()
        await subscription.close()
