"""Writing to the spool with group commit, and moving what was spooled on to another publisher."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from runtime.on_problem import OnProblem, ignore
from runtime.spool.file import DamagedSpool, Row, SpoolFile
from runtime.spool.leased import LeasedFile, orphans, own
from runtime.spool.place import prepare
from runtime.transport import Publisher
from schema.errors import Problem, QueueMissing, SpoolUnavailable

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
        self._own: LeasedFile | None = None
        self._adopted: list[LeasedFile] = []
        self._gathered: list[_Waiting] = []
        self._committing: asyncio.Task[None] | None = None
        self._closed = False
        self._left = 0

    async def start(self) -> None:
        """Raise Misconfigured for a directory that cannot be trusted, SpoolUnavailable when it cannot be written."""
        await self._in_thread(self._acquire)

    async def publish(self, routing_key: str, body: bytes) -> None:
        """Return once it is on disk; raise SpoolUnavailable when it is not."""
        if self._closed:
            raise SpoolUnavailable("the spool was closed")
        committed = asyncio.get_running_loop().create_future()
        self._gathered.append(_Waiting(routing_key, body, committed))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_gathered())
        await committed

    async def pending(self) -> int:
        """Messages in the files this writer holds, as of now; after `close`, as of then."""
        return self._left if self._closed else await self._in_thread(self._count)

    async def adopt(self) -> int:
        """Take over the files in the directory whose process is gone, and say how many messages they hold."""
        return await self._in_thread(self._adopt)

    async def drain(self, publisher: Publisher, *, max_in_flight: int) -> int:
        """Adopt what there is, move all messages to `publisher`, the oldest of a file first, and return how many.

        At most `max_in_flight` are being published at a time. Raise NotNow when the publisher does: what it did not
        confirm is kept. A message is deleted after its confirm, so after a crash in between it is moved again.
        Messages without a queue hold up no others: QueueMissing is raised at the end, for one of them.
        """
        await self.adopt()
        move = _Move(publisher, max_in_flight)
        for leased in self._files():
            try:
                await self._empty(leased.file, move)
            except DamagedSpool as problem:
                await self._in_thread(self._abandon, leased, problem)
            else:
                await self._in_thread(self._let_go_if_empty, leased)
        for missing in move.missing.values():
            raise missing
        return move.moved

    async def close(self) -> None:
        """Commit what is gathered and give up the files; `pending` still tells what is left in them."""
        if self._closed:
            return
        self._closed = True
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
                if problem is None:
                    self._on_commit()
        finally:
            self._committing = None

    async def _empty(self, file: SpoolFile, move: "_Move") -> None:
        limit = move.max_in_flight * _BATCH_PER_FLIGHT
        while rows := await self._in_thread(file.oldest, limit, tuple(move.missing)):
            confirmed: list[int] = []
            try:
                await move.rows(rows, confirmed)
            finally:
                await self._in_thread(file.settle, confirmed)

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    # From here on: in the thread.

    def _files(self) -> list[LeasedFile]:
        return [*self._adopted, *([self._own] if self._own else [])]

    def _acquire(self) -> LeasedFile:
        prepare(self._directory)
        self._own = own(self._directory, self._name, self._on_problem)
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
        leased = self._own or self._acquire()
        try:
            leased.append(rows)
        except Problem as problem:
            # A full disk may have room again later; from all else a new file is the way out.
            if leased.is_sound(problem):
                raise
            self._abandon(leased, problem)
            self._acquire().append(rows)

    def _count(self) -> int:
        return sum(leased.messages() for leased in self._files())

    def _adopt(self) -> int:
        adopted = orphans(self._directory, self._on_problem)
        self._adopted += adopted
        return sum(leased.messages() for leased in adopted)

    def _abandon(self, leased: LeasedFile, problem: Problem) -> None:
        if leased is self._own:
            self._own = None
        else:
            self._adopted.remove(leased)
        leased.abandon(problem, self._on_problem)

    def _let_go_if_empty(self, leased: LeasedFile) -> None:
        # What was adopted and is empty now is removed by the next adoption.
        if leased is not self._own and not leased.messages():
            self._adopted.remove(leased)
            leased.release()

    def _release(self) -> None:
        try:
            self._left = self._count()
        finally:
            for leased in self._files():
                leased.release()
            self._own, self._adopted = None, []


class _Move:
    """Rows on their way to a publisher. `missing`: the routing keys for which it has no queue."""

    def __init__(self, publisher: Publisher, max_in_flight: int) -> None:
        self.max_in_flight = max_in_flight
        self.moved = 0
        self.missing: dict[str, QueueMissing] = {}
        self._publisher = publisher

    async def rows(self, rows: list[Row], confirmed: list[int]) -> None:
        """Publish them, and enter in `confirmed` the ids of those that were."""
        left = iter(rows)
        publishing = [self._each(left, confirmed) for _ in range(self.max_in_flight)]
        # Not a TaskGroup: when one publish fails, the others may still be confirmed.
        outcomes = await asyncio.gather(*publishing, return_exceptions=True)
        self.moved += len(confirmed)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _each(self, rows: Iterator[Row], confirmed: list[int]) -> None:
        """Publish rows of the shared iterator until it is exhausted; after a failure nobody who shares it goes on."""
        for row in rows:
            try:
                await self._publisher.publish(row.routing_key, row.body)
            except QueueMissing as problem:
                self.missing[row.routing_key] = problem
            except BaseException:
                for _ in rows:
                    pass
                raise
            else:
                confirmed.append(row.id)


def _settle(committed: asyncio.Future[None], problem: str | None) -> None:
    if problem is None:
        committed.set_result(None)
    else:
        committed.set_exception(SpoolUnavailable(problem))
