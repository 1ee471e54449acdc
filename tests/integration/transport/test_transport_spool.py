"""What the spool does when processes die, disks fill up, files rot, and the broker comes back."""

import asyncio
import os
import shutil
import signal
import sqlite3
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path, PurePosixPath

import pytest
from rig.transports import Spool, backlog_becomes, receive

from runtime.spool import DamagedSpool, SpoolSubscription, SpoolWriter, place
from runtime.spool.file import SpoolFile
from schema.errors import Misconfigured, Problem, QueueMissing, QueueUnavailable, SpoolUnavailable
from schema.topology import LARGE, lane_queue

LANE = lane_queue(0)
ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def process(code: str, directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `code` in another process, killed with -9 at the end; `directory`, and a `say` that prints, are defined."""
    prelude = "import asyncio, sys\nfrom pathlib import Path\nfrom runtime.spool import *\n"
    prelude += "directory = Path(sys.argv[1])\ndef say(x): print(x, flush=True)\n"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", prelude + textwrap.dedent(code), str(directory), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def said(child: asyncio.subprocess.Process) -> str:
    assert child.stdout is not None
    line = await asyncio.wait_for(child.stdout.readline(), 20)
    return line.decode().strip()


PUBLISH_FOR_EVER = """
    async def produce(writer, name):
        for number in range(name, 10**9, 16):
            await writer.publish("lane.0", b"%d" % number)
            say(number)

    async def main():
        writer = SpoolWriter(directory)
        await writer.start()
        await asyncio.gather(*(produce(writer, name) for name in range(16)))

    asyncio.run(main())
"""


async def kill_in_the_middle(directory: Path, *, after: int = 200) -> set[int]:
    """Kill a process that publishes; the numbers it was told are durable."""
    async with process(PUBLISH_FOR_EVER, directory) as child:
        lines = [await said(child) for _ in range(after)]
        child.send_signal(signal.SIGKILL)
        rest, _ = await child.communicate()
    # A last line cut short is no promise.
    lines += rest.decode().rpartition("\n")[0].splitlines()
    return {int(line) for line in lines}


async def bodies(subscription: SpoolSubscription, expected: set[int]) -> set[int]:
    """Receive and acknowledge until all that is expected has come."""
    received: set[int] = set()
    while not received >= expected:
        messages = await receive(subscription, 1)
        while (more := subscription.receive_nowait()) is not None:
            messages.append(more)
        received |= {int(message.body) for message in messages}
        await subscription.ack(messages)
    return received


async def test_all_that_was_acknowledged_survives_kill_9(spool: Spool) -> None:
    durable = await kill_in_the_middle(spool.directory)
    assert len(durable) >= 200
    assert await bodies(await spool.subscription(), durable) >= durable


async def test_each_commit_is_synced_to_disk(spool: Spool) -> None:
    """No test can cut the power: that SQLite syncs each commit (FULL is 2) is all that can be seen."""
    writer = await spool.publisher()
    assert writer._own is not None
    connection = writer._own.file._connection
    assert await writer._in_thread(lambda: connection.execute("PRAGMA synchronous").fetchone()) == (2,)


async def test_a_write_ahead_log_torn_at_its_end_costs_only_what_is_torn(spool: Spool) -> None:
    durable = await kill_in_the_middle(spool.directory)
    with (spool.directory / "0.spool-wal").open("ab") as log:
        log.write(os.urandom(5000))
    assert await bodies(await spool.subscription(), durable) >= durable


async def test_a_restarted_writer_finds_what_it_left(spool: Spool) -> None:
    durable = await kill_in_the_middle(spool.directory)
    writer = await spool.publisher()
    assert await writer.pending() >= len(durable)
    assert [file.name for file in spool.directory.glob("*.spool")] == ["0.spool"]


class Collector:
    """A publisher that keeps what it is given, and raises when `refuses` says so."""

    def __init__(self, refuses: Callable[[bytes], bool] = lambda _: False) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self._refuses = refuses

    async def publish(self, routing_key: str, body: bytes) -> None:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(0)
        self.in_flight -= 1
        if self._refuses(body):
            raise QueueUnavailable("away")
        self.taken.append((routing_key, body))

    async def close(self) -> None: ...


async def test_draining_moves_everything_in_order_and_bounded(spool: Spool) -> None:
    writer = await spool.publisher()
    expected = [("lane.0" if number % 3 else LARGE.routing_key, b"%d" % number) for number in range(100)]
    for routing_key, body in expected:
        await writer.publish(routing_key, body)
    broker = Collector()
    assert await writer.drain(broker, max_in_flight=1) == 100
    assert broker.taken == expected
    assert broker.most_in_flight == 1
    assert await writer.pending() == 0


async def test_draining_publishes_no_more_than_allowed_at_a_time(spool: Spool) -> None:
    writer = await spool.publisher()
    await asyncio.gather(*(writer.publish("lane.0", b"%d" % number) for number in range(50)))
    broker = Collector()
    await writer.drain(broker, max_in_flight=3)
    assert broker.most_in_flight == 3
    assert {int(body) for _, body in broker.taken} == set(range(50))


async def test_draining_stops_when_the_broker_goes_and_keeps_what_it_did_not_confirm(spool: Spool) -> None:
    writer = await spool.publisher()
    for number in range(60):
        await writer.publish("lane.0", b"%d" % number)
    with pytest.raises(QueueUnavailable):
        await writer.drain(Collector(lambda body: int(body) >= 37), max_in_flight=2)
    assert await writer.pending() == 60 - 37
    broker = Collector()
    await writer.drain(broker, max_in_flight=2)
    assert {int(body) for _, body in broker.taken} == set(range(37, 60))


class WithoutLaneNine(Collector):
    async def publish(self, routing_key: str, body: bytes) -> None:
        if routing_key == "lane.9":
            raise QueueMissing("no queue for lane.9")
        await super().publish(routing_key, body)


async def test_a_lane_without_a_queue_holds_up_no_other_when_draining(spool: Spool) -> None:
    writer = await spool.publisher()
    for number in range(100):
        await writer.publish("lane.9" if number % 2 else "lane.0", b"%d" % number)
    broker = WithoutLaneNine()
    for _ in range(2):
        with pytest.raises(QueueMissing, match=r"lane\.9"):
            await writer.drain(broker, max_in_flight=2)
        assert sorted(int(body) for _, body in broker.taken) == list(range(0, 100, 2))
        assert await writer.pending() == 50
    healed = Collector()
    assert await writer.drain(healed, max_in_flight=2) == 50
    assert {int(body) for _, body in healed.taken} == set(range(1, 100, 2))


async def test_draining_adopts_what_dead_processes_left_and_removes_their_empty_files(spool: Spool) -> None:
    async with process(PUBLISH_FOR_EVER, spool.directory) as child:
        await said(child)
        survivor = await spool.publisher()
        await survivor.publish("lane.0", b"-1")
        assert await survivor.adopt() == 0, "the other is alive"
    broker = Collector()
    await survivor.drain(broker, max_in_flight=2)
    assert {-1, 0} <= {int(body) for _, body in broker.taken}
    await survivor.drain(broker, max_in_flight=2)
    assert [file.name for file in spool.directory.glob("*.spool*")] != []
    assert not (spool.directory / "0.spool").exists()


async def test_two_writers_take_two_files_and_a_name_belongs_to_one(spool: Spool) -> None:
    await spool.publisher()
    await spool.publisher()
    assert sorted(file.name for file in spool.directory.glob("*.spool")) == ["0.spool", "1.spool"]
    with pytest.raises(SpoolUnavailable, match="another process"):
        await SpoolWriter(spool.directory, "1").start()


async def test_pending_after_close_tells_what_is_left(spool: Spool) -> None:
    writer = await spool.publisher()
    await writer.publish("lane.0", b"x")
    await writer.close()
    assert await writer.pending() == 1


async def test_messages_of_another_process_are_noticed_and_their_files_shared(spool: Spool) -> None:
    subscription = await spool.subscription()
    async with process(PUBLISH_FOR_EVER, spool.directory) as child:
        await said(child)
        for _ in range(10):  # the deletes and the appends of the two processes take turns
            await subscription.ack(await receive(subscription, 50))
            await said(child)


async def test_a_writer_of_this_process_wakes_the_subscription(spool: Spool) -> None:
    subscription = SpoolSubscription(spool.directory, poll_seconds=60)
    writer = SpoolWriter(spool.directory, on_commit=subscription.wake)
    await writer.start()
    await subscription.start()
    try:
        for _ in range(3):
            await writer.publish("lane.0", b"x")
            await receive(subscription, 1, within=5)
    finally:
        await subscription.close()
        await writer.close()


async def test_a_second_subscription_stands_by_until_the_first_ends(spool: Spool) -> None:
    writer, first, second = await spool.publisher(), await spool.subscription(), await spool.subscription()
    assert (first.active, second.active) == (True, False)
    await writer.publish("lane.0", b"1")
    await receive(first, 1)
    assert second.receive_nowait() is None
    assert (await second.backlog())[LANE.name] == 1
    await first.close()
    assert [message.body for message in await receive(second, 1)] == [b"1"]


RECEIVE_AND_DIE = """
    import os
    async def main():
        subscription = SpoolSubscription(directory)
        await subscription.start()
        message = await subscription.receive()
        say(message.redeliveries)
        os.kill(os.getpid(), 9)

    asyncio.run(main())
"""


async def test_a_message_that_kills_its_worker_is_recognised_by_the_next(spool: Spool) -> None:
    writer = await spool.publisher()
    await writer.publish("lane.0", b"poison")
    for times in range(3):
        async with process(RECEIVE_AND_DIE, spool.directory) as child:
            assert await said(child) == str(times)
            await child.wait()
    subscription = await spool.subscription(delivery_limit=2)
    (message,) = await receive(subscription, 1)
    assert (message.redeliveries, message.given_up) == (3, True)


async def test_what_was_never_handed_out_does_not_age_by_a_restart(spool: Spool) -> None:
    writer = await spool.publisher()
    for number in range(5):
        await writer.publish("lane.0", b"%d" % number)
    first = await spool.subscription()
    await receive(first, 1)
    await first.close()
    again = await receive(await spool.subscription(), 5)
    assert {message.body: message.redeliveries for message in again} == {
        b"0": 1,
        b"1": 0,
        b"2": 0,
        b"3": 0,
        b"4": 0,
    }


async def test_messages_of_a_lane_that_is_no_more_are_still_read(spool: Spool) -> None:
    writer = await spool.publisher()
    await writer.publish("lane.77", b"x")
    (message,) = await receive(await spool.subscription(), 1)
    assert message.queue == lane_queue(77).name


def database_of_something_else(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()


@pytest.mark.parametrize(
    "spoil",
    [lambda path: path.write_bytes(b"not a database" * 999), database_of_something_else],
    ids=["noise", "other"],
)
async def test_a_file_that_is_no_spool_is_set_aside_and_never_deleted(
    spool: Spool, spoil: Callable[[Path], object]
) -> None:
    spool.directory.mkdir()
    spoil(spool.directory / "0.spool")
    before = (spool.directory / "0.spool").read_bytes()
    problems: list[Problem] = []
    writer = SpoolWriter(spool.directory, on_problem=problems.append)
    await writer.start()
    await writer.publish("lane.0", b"x")
    await writer.close()
    assert (spool.directory / "0.spool.corrupt").read_bytes() == before
    assert [type(problem) for problem in problems] == [DamagedSpool]
    assert "0.spool.corrupt" in problems[0].reason


async def test_the_subscription_sets_an_orphan_that_rots_aside_and_reads_the_others(spool: Spool) -> None:
    spool.directory.mkdir()
    (spool.directory / "7.spool").write_bytes(b"rotten" * 1000)
    problems: list[Problem] = []
    subscription = SpoolSubscription(spool.directory, on_problem=problems.append)
    writer = await spool.publisher()
    await subscription.start()
    try:
        await writer.publish("lane.0", b"sound")
        assert [message.body for message in await receive(subscription, 1)] == [b"sound"]
    finally:
        await subscription.close()
    assert (spool.directory / "7.spool.corrupt").exists()
    assert [type(problem) for problem in problems] == [DamagedSpool]


async def test_a_file_that_rots_while_it_is_written_is_replaced(spool: Spool) -> None:
    writer = await spool.publisher()
    for _ in range(300):
        await writer.publish("lane.0", b"x" * 2000)
    await writer.close()
    size = (spool.directory / "0.spool").stat().st_size
    with (spool.directory / "0.spool").open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    writer = await spool.publisher()
    await writer.publish("lane.0", b"after")
    assert await writer.pending() == 1
    assert len(list(spool.directory.glob("*.corrupt"))) == 1


async def test_a_full_disk_refuses_and_takes_again_once_there_is_room(spool: Spool) -> None:
    writer = await spool.publisher()
    await writer.publish("lane.0", b"before")
    assert writer._own is not None
    execute = writer._own.file._connection.execute
    await writer._in_thread(execute, "PRAGMA max_page_count = 1")  # SQLite takes the present size instead
    with pytest.raises(SpoolUnavailable, match="full"):
        await writer.publish("lane.0", b"x" * 100_000)
    await writer._in_thread(execute, "PRAGMA max_page_count = 1000000")
    await writer.publish("lane.0", b"after")
    received = await receive(await spool.subscription(), 2)
    assert [message.body for message in received] == [b"before", b"after"]


async def test_what_could_not_be_handed_out_is_taken_once_the_disk_has_room_without_another_message(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = asyncio.Event()
    loop = asyncio.get_running_loop()
    settle = SpoolFile.settle

    def full_once(file: SpoolFile, done: Sequence[int], handed_out: Sequence[int] = (), **more: Sequence[int]) -> None:
        if handed_out and not refused.is_set():
            loop.call_soon_threadsafe(refused.set)
            raise SpoolUnavailable("the disk is full")
        settle(file, done, handed_out, **more)

    writer = await spool.publisher()
    await writer.publish("lane.0", b"1")
    monkeypatch.setattr(SpoolFile, "settle", full_once)
    subscription = await spool.subscription()
    await asyncio.wait_for(refused.wait(), 5)
    assert [message.body for message in await receive(subscription, 1)] == [b"1"]


async def test_an_ack_does_not_wait_for_a_reader_that_ended(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = await spool.publisher()
    await writer.publish("lane.0", b"1")
    subscription = await spool.subscription()
    messages = await receive(subscription, 1)

    def broken(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(subscription._intake, "turn", broken)
    await asyncio.wait_for(subscription.ack(messages), 5)
    with pytest.raises(SpoolUnavailable):
        await asyncio.wait_for(subscription.receive(), 5)


@pytest.mark.parametrize("removed", ["0.spool*", "0.lease", "0.*"])
async def test_a_file_or_a_lease_removed_under_the_writer_is_noticed(spool: Spool, removed: str) -> None:
    writer = await spool.publisher()
    before = writer._own
    for file in spool.directory.glob(removed):
        file.unlink()
    await writer.publish("lane.0", b"x")
    assert writer._own is not before
    assert [message.body for message in await receive(await spool.subscription(), 1)] == [b"x"]


async def test_a_directory_that_was_removed_and_comes_back_is_read_again(spool: Spool) -> None:
    writer, subscription = await spool.publisher(), await spool.subscription()
    shutil.rmtree(spool.directory)
    await asyncio.sleep(0.2)  # some looks at nothing
    await writer.publish("lane.0", b"x")
    assert [message.body for message in await receive(subscription, 1)] == [b"x"]


async def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SpoolUnavailable, match="cannot create"):
        await SpoolWriter(tmp_path / "file" / "spool").start()


async def test_the_file_shrinks_after_a_backlog(spool: Spool) -> None:
    writer = await spool.publisher()
    body = os.urandom(100_000)
    for _ in range(600):
        await writer.publish("lane.0", body)
    path = spool.directory / "0.spool"
    subscription = await spool.subscription()
    for _ in range(60):
        await subscription.ack(await receive(subscription, 10))
    await backlog_becomes(subscription, LANE.name, 0)
    await subscription.close()
    await writer.close()
    assert path.stat().st_size < 25_000_000


async def test_a_file_of_another_format_is_left_alone(spool: Spool) -> None:
    spool.directory.mkdir()
    path = spool.directory / "0.spool"
    SpoolFile.create(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Misconfigured, match="format 99"):
        await SpoolWriter(spool.directory).start()
    assert path.exists()


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:40 / /home/me/shared\\040files rw - nfs4 server:/export rw
31 22 0:41 / /home rw master:1 - xfs /dev/b rw
32 31 0:42 / /home/me/remote rw - fuse.sshfs me@there: rw
33 32 0:43 / /home/me/remote/cache rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/spool", "ext4"),
        ("/homestead", "ext4"),
        ("/home/me", "xfs"),
        ("/home/me/shared files/spool", "nfs4"),
        ("/home/me/remote", "fuse.sshfs"),
        ("/home/me/remote/cache/x", "tmpfs"),
    ],
)
def test_the_filesystem_of_a_path_is_that_of_its_nearest_mount(path: str, kind: str) -> None:
    assert place.filesystem_of(PurePosixPath(path), MOUNTS) == kind


async def test_a_network_filesystem_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("22 1 254:0 / / rw,relatime shared:1 - nfs4 server:/ rw\n")
    monkeypatch.setattr(place, "_MOUNTS", mounts)
    for spool in (SpoolWriter(tmp_path / "spool"), SpoolSubscription(tmp_path / "spool")):
        with pytest.raises(Misconfigured, match="network filesystem"):
            await spool.start()
    assert not (tmp_path / "spool").exists()


def log_of(spool: Spool) -> int:
    """Bytes of SQLite's log: what it has taken of the reserve, it has."""
    return (spool.directory / "0.spool-wal").stat().st_size


def with_free(disk: os.statvfs_result, free: int, _: object) -> os.statvfs_result:
    """The disk, if so many bytes of it were free."""
    return os.statvfs_result((disk[0], 1, disk[2], free, free, *disk[5:]))


async def test_messages_never_take_the_room_that_emptying_the_spool_needs(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delete is a write, too: in a spool that filled its disk to the last byte everything stays for ever."""
    writer = await spool.publisher()
    await writer.publish("lane.0", b"before" * 100_000)

    monkeypatch.setattr(os, "statvfs", partial(with_free, os.statvfs(spool.directory), place.RESERVE - log_of(spool)))
    with pytest.raises(SpoolUnavailable, match="full"):
        await writer.publish("lane.0", b"too much")

    subscription = await spool.subscription()
    await subscription.ack(await receive(subscription, 1))
    await writer.publish("lane.0", b"in the room of the first")


async def test_what_emptying_a_full_spool_took_of_the_reserve_is_no_reason_to_refuse_from_then_on(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, subscription = await spool.publisher(), await spool.subscription()
    for _ in range(50):
        await writer.publish("lane.0", b"x" * 10_000)
    await subscription.ack(await receive(subscription, 50))
    await backlog_becomes(subscription, "pipemirror.v1.lane.0", 0)

    free = place.RESERVE - log_of(spool) // 2
    monkeypatch.setattr(os, "statvfs", partial(with_free, os.statvfs(spool.directory), free))
    for _ in range(3):
        await writer.publish("lane.0", b"x" * 10_000)
