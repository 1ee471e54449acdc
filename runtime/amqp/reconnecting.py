"""The loop around a connection: serve until it is lost, wait, serve again."""

import asyncio
from collections.abc import Awaitable, Callable

from runtime.backoff import Backoff
from runtime.on_problem import OnProblem
from schema.errors import NotNow, Problem, QueueUnavailable

_STEADY_SECONDS = 5.0


class Reconnecting:
    """Run `serve` in the background, again and again. It connects, calls `ready()`, and raises when all is lost.

    NotNow, and anything unexpected, is told to `on_problem` and tried again after a pause. Another Problem cannot heal:
    the loop ends and `fatal` holds it.
    """

    def __init__(self, serve: Callable[[], Awaitable[None]], *, backoff: Backoff, on_problem: OnProblem) -> None:
        self._serve = serve
        self._backoff = backoff
        self._on_problem = on_problem
        self._first_outcome = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.problem: Problem | None = None
        self.fatal: Problem | None = None

    async def start(self) -> None:
        """Return after the first connection or the first failure to get one."""
        self._task = asyncio.create_task(self._run())
        await self._first_outcome.wait()

    def ready(self) -> None:
        self.problem = None
        self._first_outcome.set()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        attempt = 0
        while self.fatal is None:
            began = loop.time()
            await self._serve_once()
            # A connection that held is a fresh start; one that breaks at once must not be hammered.
            attempt = 0 if loop.time() - began > _STEADY_SECONDS else attempt + 1
            await asyncio.sleep(self._backoff.delay(attempt))

    async def _serve_once(self) -> None:
        try:
            await self._serve()
        except NotNow as problem:
            self._report(problem)
        except Problem as problem:
            self.fatal = problem
            self._report(problem)
        except Exception as error:  # noqa: BLE001 - a dead loop would be a consumer that silently consumes nothing
            self._report(QueueUnavailable(f"unexpected {type(error).__name__}: {error}"))

    def _report(self, problem: Problem) -> None:
        self.problem = problem
        self._on_problem(problem)
        self._first_outcome.set()
