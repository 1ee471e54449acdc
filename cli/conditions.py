"""What a process says of itself at `/readyz` beside what its parts say."""

from collections.abc import Callable, Iterator

from runtime.amqp import AmqpSubscription
from runtime.health import Check, Condition
from schema import topology
from schema.errors import LanesBeyond, QueueUnavailable, Starting


def starting(checks: list[Check]) -> Callable[[], None]:
    """The process is not ready until what is returned is called."""
    condition = Condition(Starting.code, "the database is not prepared yet")

    def check() -> tuple[Condition, ...]:
        return (condition,)

    checks.append(check)
    return lambda: checks.remove(check)


def of_broker(subscription: AmqpSubscription, lanes: int) -> Iterator[Condition]:
    """Whether it can be reached, and has lanes that the setting does not know."""
    problem = subscription.problem
    if problem is not None:
        yield Condition(QueueUnavailable.code, problem)
    beyond = len(subscription.queues) - len(topology.queues(lanes))
    if beyond:
        reason = f"{beyond} lanes beyond LANES={lanes} were filled by a process with another setting; consumed too"
        yield Condition(LanesBeyond.code, reason, blocking=False)
