"""Writing to the spool with group commit, and moving what was spooled on to another publisher."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from runtime.on_problem import OnProblem, ignore
from runtime.spool.file import Row, SpoolFile
from runtime.spool.holding import Holding, orphans, own
from runtime.spool.place import prepare
from runtime.transport import Publisher
from schema.errors import NotNow, Problem, SpoolUnavailable

_BATCH_PER_FLIGHT: Final = 8
T = TypeVar("T")


class _Waiting(NamedTuple):
    routing_key: str
    body: bytes
    committed: asyncio.Future[None]


def _nothing() -> None:
    pass


class SpoolWriter:
    """Publisher to a file of its own in `directory`. While one commit is in flight, publishes gather for the next.

    `name` fixes the file's name; without one the first free of 0, 1, 2, ... is taken, so a restarted process finds what
    it left. `on_commit` is called in the event loop after each commit.
    """

    def __init__(
        self,
        directory: Path,
        name: str | None = None,
        *,
        on_commit: Callable[[], None] = _nothing,
        on_problem: OnProblem = ignore,
    ) -> None:
        self._directory = directory
        self._name = name
        self._on_commit = on_commit
        self._on_problem = on_problem
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool-writer")
        self._own: Holding | None = None
        self._adopted: list[Holding] = []
        self._gathered: list[_Waiting] = []
        self._committing: asyncio.Task[None] | None = None
        self._pending = 0

    async def start(self) -> None:
        """Raise Misconfigured for a directory that cannot be trusted, SpoolUnavailable when it cannot be written."""
        await self._in_thread(self._acquire)

    async def publish(self, routing_key: str, body: bytes) -> None:
        """Return once it is on disk; raise SpoolUnavailable when it is not."""
        committed = asyncio.get_running_loop().create_future()
        self._gathered.append(_Waiting(routing_key, body, committed))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_gathered())
        await committed

    def pending(self) -> int:
        """Messages in the files this writer holds; after `close`, what it left behind.

        What a SpoolSubscription takes out of them is only seen at `start` and `close`: ask its `backlog` there.
        """
        return self._pending

    async def adopt(self) -> int:
        """Take over the files in the directory whose process is gone, and say how many messages they hold."""
        return await self._in_thread(self._adopt)

    async def drain(self, publisher: Publisher, *, max_in_flight: int) -> int:
        """Move the messages of all held files to `publisher`, oldest first, and return how many were moved.

        At most `max_in_flight` are being published at a time. When the publisher raises NotNow, stop: what it did not
        confirm stays. A message is deleted after its confirm, so after a crash in between it is moved again.
        """
        moved = 0
        for holding in self._holdings():
            while rows := await self._in_thread(holding.file.oldest, max_in_flight * _BATCH_PER_FLIGHT):
                confirmed = await self._move(holding.file, rows, publisher, max_in_flight)
                moved += confirmed
                if confirmed < len(rows):
                    return moved
            await self._in_thread(self._let_go, holding)
        return moved

    async def close(self) -> None:
        """Commit what is gathered and give up the files; `pending` then tells what is left in them."""
        if self._committing is not None:
            await asyncio.wait((self._committing,))
        await self._in_thread(self._release)
        self._thread.shutdown()

    async def _commit_gathered(self) -> None:
        try:
            while gathered := self._gathered:
                self._gathered = []
                problem = await self._in_thread(self._append, [(item.routing_key, item.body) for item in gathered])
                for item in gathered:
                    if not item.committed.done():
                        _settle(item.committed, problem)
                self._on_commit()
        finally:
            self._committing = None

    async def _move(self, file: SpoolFile, rows: list[Row], publisher: Publisher, max_in_flight: int) -> int:
        confirmed: list[int] = []
        left = iter(rows)
        try:
            await asyncio.gather(*(_publish_each(left, publisher, confirmed) for _ in range(max_in_flight)))
        finally:
            await self._in_thread(self._delete, file, confirmed)
        return len(confirmed)

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    # From here on: in the thread.

    def _holdings(self) -> list[Holding]:
        return [*self._adopted, *([self._own] if self._own else [])]

    def _acquire(self) -> Holding:
        prepare(self._directory)
        self._own = own(self._directory, self._name, self._on_problem)
        self._pending += self._own.messages()
        return self._own

    def _append(self, rows: list[tuple[str, bytes]]) -> str | None:
        """Why the rows are not on disk, or None when they are."""
        try:
            self._append_somewhere(rows)
        except Problem as problem:
            return problem.reason
        except Exception as error:  # noqa: BLE001 - whoever waits for this commit must learn of it
            return f"unexpected {type(error).__name__}: {error}"
        return None

    def _append_somewhere(self, rows: list[tuple[str, bytes]]) -> None:
        holding = self._own or self._acquire()
        try:
            holding.append(rows)
            self._pending += len(rows)
        except Problem as problem:
            # A full disk may have room again later; from all else a new file is the way out.
            if holding.is_sound(problem):
                raise
            holding.abandon(problem, self._on_problem)
            self._own = None
            self._acquire().append(rows)
            self._pending = sum(held.messages() for held in self._holdings())

    def _delete(self, file: SpoolFile, ids: list[int]) -> None:
        file.settle(ids)
        self._pending -= len(ids)

    def _adopt(self) -> int:
        adopted = orphans(self._directory, self._on_problem)
        self._adopted += adopted
        messages = sum(holding.messages() for holding in adopted)
        self._pending += messages
        return messages

    def _let_go(self, holding: Holding) -> None:
        if holding is not self._own:
            self._adopted.remove(holding)
            holding.release()

    def _release(self) -> None:
        holdings = self._holdings()
        self._pending = sum(holding.messages() for holding in holdings)
        for holding in holdings:
            holding.release()
        self._own, self._adopted = None, []


async def _publish_each(rows: Iterator[Row], publisher: Publisher, confirmed: list[int]) -> None:
    """Publish rows of the shared iterator until it is exhausted, or for all who share it after a NotNow."""
    for row in rows:
        try:
            await publisher.publish(row.routing_key, row.body)
        except NotNow:
            for _ in rows:
                pass
            return
        confirmed.append(row.id)


def _settle(committed: asyncio.Future[None], problem: str | None) -> None:
    if problem is None:
        committed.set_result(None)
    else:
        committed.set_exception(SpoolUnavailable(problem))
