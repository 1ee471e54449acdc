"""Which queues of the broker a worker consumes."""

import asyncio
from typing import Final

import structlog

from runtime import amqp
from runtime.amqp import AmqpSubscription
from runtime.backoff import Seldom
from schema import topology
from schema.topology import Queue

_log = structlog.stdlib.get_logger(__name__)
_seldom = Seldom()
_AGAIN_SECONDS: Final = 300.0


async def consumed(url: str, lanes: int) -> tuple[Queue, ...]:
    """What a worker consumes: also lanes beyond LANES that a receiver with another setting has made and filled."""
    beyond = await amqp.declared(url, [topology.lane_queue(lane) for lane in range(lanes, topology.MOST_LANES)])
    if beyond and _seldom.due(f"lanes {len(beyond)}"):
        _log.warning("lanes_beyond", lanes=lanes, consumed_too=[queue.name for queue in beyond])
    return (*topology.queues(lanes), *beyond)


async def look_again(subscription: AmqpSubscription, url: str, lanes: int) -> None:
    """Lanes may be made while we run, by a receiver that was given more of them. Until cancelled."""
    while True:
        await asyncio.sleep(_AGAIN_SECONDS)
        try:
            subscription.consume_also(await consumed(url, lanes))
        except Exception:  # noqa: BLE001 - nobody would notice that this was the last look
            _log.exception("looking_for_lanes_crashed")
