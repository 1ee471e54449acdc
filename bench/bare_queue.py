"""Messages of one event each, and what the worker that drains them is compared with: a consumer that only acks.

    python -m bench.bare_queue fill|consume AMQP_URL NUMBER [BODIES]

`fill` publishes, confirmed; `consume` prints the messages/s from the first message to the last.
"""

import asyncio
import sys
import time
from itertools import count, islice
from pathlib import Path
from typing import Final

import aio_pika
from aiormq.abc import DeliveredMessage

from bench.workload import read
from runtime.amqp import AmqpPublisher
from schema.envelope import MAX_BUNDLE_BYTES, Envelope, pack
from schema.topology import lane_queue, queues, route

_AT_ONCE: Final = 200
_PREFETCH: Final = 500
_ACK_EVERY: Final = 50


async def fill(url: str, number: int, bodies: Path) -> None:
    """As a receiver does that gets one request at a time, only faster."""
    templates = read(bodies)
    publisher = AmqpPublisher(url, queues(1))
    await publisher.start()
    numbers = iter(range(number))

    async def publish() -> None:
        for at in numbers:
            template = templates[at % len(templates)]
            envelope = Envelope(template.company_id, time.time_ns() // 1000, template.body(at, time.time()))
            lane = route(template.company_id, len(envelope.body), lanes=1, large=MAX_BUNDLE_BYTES)
            await publisher.publish(lane, pack([envelope]))

    await asyncio.gather(*(publish() for _ in range(_AT_ONCE)))
    await publisher.close()


async def consume(url: str, number: int) -> float:
    """Take `number` messages with a large prefetch and acknowledge many at once: the cheapest way there is."""
    connection = await aio_pika.connect(url)
    async with connection:
        assert connection.transport is not None
        channel = await connection.transport.connection.channel()
        await channel.basic_qos(prefetch_count=_PREFETCH)
        arrived, done, times = count(1), asyncio.Event(), [0.0, 0.0]

        async def take(message: DeliveredMessage) -> None:
            at = next(arrived)
            times[at > 1] = time.perf_counter()
            if at % _ACK_EVERY == 0 or at == number:
                assert message.delivery_tag is not None
                await channel.basic_ack(message.delivery_tag, multiple=True, wait=False)
            if at == number:
                done.set()

        await channel.basic_consume(lane_queue(0).name, take)
        await done.wait()
    return (number - 1) / (times[1] - times[0])


def main(what: str, url: str, number: str, *bodies: str) -> None:
    if what == "fill":
        (path,) = islice(bodies, 1)
        asyncio.run(fill(url, int(number), Path(path)))
    else:
        sys.stdout.write(f"{asyncio.run(consume(url, int(number)))}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
