"""The transport over RabbitMQ: confirmed publishing and fair consuming, each rebuilt by itself after any loss."""

from runtime.amqp.broker import SilentConsumer
from runtime.amqp.control import declared, waiting
from runtime.amqp.publisher import AmqpPublisher
from runtime.amqp.subscription import AmqpSubscription

__all__ = ["AmqpPublisher", "AmqpSubscription", "SilentConsumer", "declared", "waiting"]
