"""Consuming a spool directory: the queue of an installation without a broker."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from runtime.on_problem import OnProblem, ignore
from runtime.rotation import Rotation
from runtime.spool.intake import Intake, Taken
from runtime.spool.lease import Lease
from runtime.spool.place import prepare
from runtime.transport import Message
from schema.errors import Problem, SpoolUnavailable
from schema.topology import DEAD, DELIVERY_LIMIT, EXCHANGE, LARGE, PREFETCH

_LEASE: Final = "subscription.lease"
_STANDBY_SECONDS: Final = 0.25
_RETRY_SECONDS: Final = 1.0
T = TypeVar("T")


class _Tag(NamedTuple):
    path: Path
    id: int
    routing_key: str


class SpoolSubscription:
    """Subscription to all spool files of `directory`, those of live writers in other processes included.

    One subscription of a directory is active, by a lease; others stand by and take over when it ends. Hand-outs are
    counted on disk, so a message that kills its worker is recognised by the next one. What was handed out more than
    `delivery_limit` times without an ack is `given_up`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        prefetch: int = PREFETCH,
        delivery_limit: int = DELIVERY_LIMIT,
        poll_seconds: float = 0.05,
        on_problem: OnProblem = ignore,
    ) -> None:
        """`poll_seconds`: how often to look for messages of other processes; `wake` is for writers of this one."""
        self._directory = directory
        self._prefetch = prefetch
        self._delivery_limit = delivery_limit
        self._poll_seconds = poll_seconds
        self._on_problem = on_problem
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool-subscription")
        self._intake = Intake(directory, self._prefetch_of, on_problem)
        self._lease: Lease | None = None
        self._waiting: Rotation[Message] = Rotation()
        self._out: Counter[str] = Counter()
        self._done: defaultdict[Path, list[int]] = defaultdict(list)
        self._next_turn: asyncio.Future[None] | None = None
        self._wanted = asyncio.Event()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._failure: Problem | None = None

    async def start(self) -> None:
        """Raise Misconfigured for a directory that cannot be trusted, SpoolUnavailable when it cannot be written."""
        await self._in_thread(prepare, self._directory)
        await self._try_lease()
        self._task = asyncio.create_task(self._run())

    @property
    def active(self) -> bool:
        """False while another subscription has the directory and this one stands by."""
        return self._lease is not None

    def wake(self) -> None:
        """Look for new messages now: give this to SpoolWriter as `on_commit`."""
        self._wanted.set()

    async def receive(self) -> Message:
        """Also raise what ended the reading for good, if something did."""
        while (message := self.receive_nowait()) is None:
            if self._failure is not None:
                raise self._failure
            self._news.clear()
            await self._news.wait()
        return message

    def receive_nowait(self) -> Message | None:
        return self._waiting.take()

    async def ack(self, messages: Sequence[Message]) -> None:
        """Return after the deletes are committed, together with those of concurrent acks."""
        if self._task is None or self._task.done():
            return  # closed: they come again
        for message in messages:
            path, number, routing_key = message.tag
            self._done[path].append(number)
            self._out[routing_key] -= 1
        if self._next_turn is None:
            self._next_turn = asyncio.get_running_loop().create_future()
        self._wanted.set()
        await asyncio.shield(self._next_turn)

    async def backlog(self) -> dict[str, int]:
        """Exact, as of now; a standby knows it too."""
        counts = await self._in_thread(self._intake.backlog)
        return {_queue_name(routing_key): count for routing_key, count in counts.items()}

    async def close(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        self._wanted.set()
        if self._task is not None:
            await asyncio.wait((self._task,))
        # Taken, never handed out: that must not count against them.
        returned: defaultdict[Path, list[int]] = defaultdict(list)
        for message in self._waiting.clear():
            returned[message.tag.path].append(message.tag.id)
        await self._in_thread(self._release, returned)
        self._thread.shutdown()

    async def _run(self) -> None:
        try:
            while not self._stopping:
                if self._lease is None and not await self._try_lease():
                    await self._pause(_STANDBY_SECONDS)
                elif not await self._turn():
                    await self._pause(self._poll_seconds)
        except Problem as problem:
            self._failure = problem
        except Exception as error:  # noqa: BLE001 - a silent end would be a consumer that silently consumes nothing
            self._failure = SpoolUnavailable(f"unexpected {type(error).__name__}: {error}")
        finally:
            self._settled(self._next_turn)
            self._news.set()

    async def _turn(self) -> bool:
        """Bring the acks to disk and take what there is room for; whether something was taken."""
        self._wanted.clear()
        done, self._done = self._done, defaultdict(list)
        turn, self._next_turn = self._next_turn, None
        try:
            taken, undone = await self._in_thread(self._intake.turn, done, self._out.copy())
        finally:
            self._settled(turn)  # also when all ends here: an ack that is lost means no more than coming again
        for item in taken:
            self._take(item)
        for path, ids in undone.items():
            self._done[path] += ids
        if undone:
            await self._pause(_RETRY_SECONDS)
        return bool(taken)

    def _take(self, item: Taken) -> None:
        row = item.row
        given_up = row.times > self._delivery_limit
        queue = DEAD.name if given_up else _queue_name(row.routing_key)
        tag = _Tag(item.path, row.id, row.routing_key)
        self._out[row.routing_key] += 1
        self._waiting.add(row.routing_key, Message(row.body, row.times, queue, given_up, tag))
        self._news.set()

    def _settled(self, turn: asyncio.Future[None] | None) -> None:
        if turn is not None and not turn.done():
            turn.set_result(None)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()

    async def _try_lease(self) -> bool:
        self._lease = await self._in_thread(Lease.acquire, self._directory / _LEASE)
        return self._lease is not None

    def _prefetch_of(self, routing_key: str) -> int:
        return LARGE.prefetch if routing_key == LARGE.routing_key else self._prefetch

    def _release(self, returned: dict[Path, list[int]]) -> None:
        try:
            self._intake.give_back(returned)
        except Problem as problem:
            self._on_problem(problem)
        finally:
            self._intake.close()
            if self._lease is not None:
                self._lease.release()
                self._lease = None

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)


def _queue_name(routing_key: str) -> str:
    return f"{EXCHANGE}.{routing_key}"
