"""One way to make a bundle durable: a publisher whose every failure has a name and an end."""

import asyncio
from dataclasses import dataclass

import structlog

from runtime.measurements import BUNDLES_PUBLISHED, PUBLISH_FAILURES
from runtime.metrics import Metrics
from runtime.transport import Publisher
from schema.errors import NotNow, Problem

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Way:
    """A publisher with a name for metrics, a deadline in seconds, and the problem it is when that passes."""

    name: str
    publisher: Publisher
    deadline: float
    problem: type[NotNow]
    metrics: Metrics

    async def publish(self, routing_key: str, body: bytes) -> None:
        """Return once durable. Raise NotNow for whatever else happened: not even a bug may lose an event silently."""
        try:
            async with asyncio.timeout(self.deadline):
                await self.publisher.publish(routing_key, body)
        except NotNow as problem:
            self._failed(problem)
            raise
        except TimeoutError as error:
            late = self.problem(f"{self.name} did not confirm within {self.deadline:g} s")
            self._failed(late)
            raise late from error
        except Exception as error:
            _log.exception("publish_crashed", way=self.name)
            crash = self.problem(f"{self.name} failed unexpectedly: {type(error).__name__}")
            self._failed(crash)
            raise crash from error
        self.metrics.count(BUNDLES_PUBLISHED, self.name)

    async def close(self) -> None:
        await self.publisher.close()

    def _failed(self, problem: Problem) -> None:
        self.metrics.count(PUBLISH_FAILURES, self.name, problem.code)
