"""One file of a spool: a queue in SQLite. Everything here blocks and belongs to one thread.

Rows are appended by the process that holds the file's lease, and read and deleted by that process or by the one
subscription of the directory. WAL mode lets both work at once; a commit is on disk when it returns (synchronous=FULL).
"""

import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from schema.errors import Misconfigured, Problem, SpoolUnavailable
from schema.spool import APPLICATION_ID, DDL, FORMAT

SUFFIX: Final = ".spool"
_ROWS_A_STATEMENT: Final = 64
_BUSY_SECONDS: Final = 5.0
_WAL_KEPT_BYTES: Final = 16 * 1024 * 1024
_FREE_PAGES_KEPT: Final = 4096
_FREE_PAGES_STEP: Final = 2048


class DamagedSpool(Problem):
    """A file of the spool cannot be read, or is something else; it was set aside, never deleted."""

    code = "damaged_spool"
    remedy = "Keep the file named .corrupt: `sqlite3 FILE .recover` may save messages. Check the disk."


class Row(NamedTuple):
    """`times`: how often it was handed out before."""

    id: int
    routing_key: str
    body: bytes
    times: int


class SpoolFile:
    """An open file. Every method may raise SpoolUnavailable, and DamagedSpool when the file is not sound."""

    def __init__(self, path: Path, connection: sqlite3.Connection, inode: int) -> None:
        self.path = path
        self._connection = connection
        self._inode = inode
        self._version = -1

    @classmethod
    def create(cls, path: Path) -> "SpoolFile":
        """Open the file, which is made if it does not exist. Only for the holder of its lease."""
        with _translated(path):
            return cls._open(path, "rwc") or cls._initialised(path)

    @classmethod
    def existing(cls, path: Path) -> "SpoolFile | None":
        """Open somebody else's file; None while its owner has not finished making it."""
        with _translated(path):
            return cls._open(path, "rw")

    def append(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Add (routing key, body) rows, all or none; return once they are on disk."""
        self._refuse_removed()
        with _translated(self.path) if len(rows) <= _ROWS_A_STATEMENT else self._transaction():
            for at in range(0, len(rows), _ROWS_A_STATEMENT):
                self._insert(rows[at : at + _ROWS_A_STATEMENT])

    def oldest(self, limit: int, without: Collection[str] = ()) -> list[Row]:
        """The first messages, except those of the routing keys in `without`."""
        marks = ", ".join("?" * len(without))
        with _translated(self.path):
            found = self._connection.execute(
                f"SELECT id, routing_key, body, 0 FROM messages WHERE routing_key NOT IN ({marks}) ORDER BY id LIMIT ?",
                (*without, limit),
            )
            return [Row(*row) for row in found]

    def of_key(self, routing_key: str, *, after: int, limit: int) -> list[Row]:
        """The oldest messages of a routing key with an id above `after`."""
        with _translated(self.path):
            found = self._connection.execute(
                "SELECT id, routing_key, body, coalesce(times, 0) FROM messages LEFT JOIN hand_outs USING (id)"
                " WHERE routing_key = ? AND id > ? ORDER BY id LIMIT ?",
                (routing_key, after, limit),
            )
            return [Row(*row) for row in found]

    def settle(self, done: Sequence[int], handed_out: Sequence[int] = (), returned: Sequence[int] = ()) -> None:
        """In one commit: delete what is done, count up what is handed out, count down what was not needed after all."""
        if not (done or handed_out or returned):
            return
        with self._transaction():
            self._each("DELETE FROM messages WHERE id = ?", done)
            self._each("DELETE FROM hand_outs WHERE id = ?", done)
            counted = "INSERT INTO hand_outs VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1"
            self._each(counted, handed_out)
            self._each("UPDATE hand_outs SET times = times - 1 WHERE id = ?", returned)
        if done:
            self._shrink()

    def counts(self) -> dict[str, int]:
        """Messages by routing key."""
        with _translated(self.path):
            found = self._connection.execute("SELECT routing_key, count(*) FROM messages GROUP BY routing_key")
            return dict(found.fetchall())

    def reusable(self) -> int:
        """Bytes that messages may take without taking any of the disk: those of the file that hold nothing, and
        SQLite's log, which it writes anew from the start.

        Without the log, what emptying a full spool has made it grow by would be missing from then on.
        """
        with _translated(self.path):
            ((free,),) = self._connection.execute("PRAGMA freelist_count")
            ((size,),) = self._connection.execute("PRAGMA page_size")
        return int(free * size) + self._log_size()

    def _log_size(self) -> int:
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size
        except OSError:
            return 0

    def routing_keys(self) -> list[str]:
        """The routing keys of all messages, found by one seek in the index each."""
        keys: list[str] = []
        with _translated(self.path):
            while True:
                query = "SELECT min(routing_key) FROM messages WHERE routing_key > ?"
                ((key,),) = self._connection.execute(query, (keys[-1] if keys else "",))
                if key is None:
                    return keys
                keys.append(key)

    def has_changed(self) -> bool:
        """Whether another connection wrote since the last call; True the first time."""
        with _translated(self.path):
            ((version,),) = self._connection.execute("PRAGMA data_version")
        changed = bool(version != self._version)
        self._version = version
        return changed

    def is_named(self) -> bool:
        """False once the file was removed, renamed or replaced."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()

    @classmethod
    def _open(cls, path: Path, mode: str) -> "SpoolFile | None":
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=_BUSY_SECONDS
        )
        try:
            return cls._checked(path, connection)
        except BaseException:
            connection.close()
            raise

    @classmethod
    def _checked(cls, path: Path, connection: sqlite3.Connection) -> "SpoolFile | None":
        ((application,),) = connection.execute("PRAGMA application_id")
        ((version,),) = connection.execute("PRAGMA user_version")
        ((objects,),) = connection.execute("SELECT count(*) FROM sqlite_master")
        if application == 0 and objects == 0:
            connection.close()
            return None
        if application != APPLICATION_ID:
            raise DamagedSpool(f"{path} is a database of something else")
        if version != FORMAT:
            raise Misconfigured(
                f"DATA_DIR: {path} has format {version}, this release knows {FORMAT}: upgrade, or drain"
            )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
        return cls(path, connection, path.stat().st_ino)

    @classmethod
    def _initialised(cls, path: Path) -> "SpoolFile":
        with closing(sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)) as connection:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before anything is in the file
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(DDL)
        opened = cls._open(path, "rw")
        assert opened is not None
        return opened

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _translated(self.path):
            # IMMEDIATE: take the write lock before reading, so that no other writer can make the commit fail.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _insert(self, rows: Sequence[tuple[str, bytes]]) -> None:
        # One statement is one call, its own transaction if it is alone: the interpreter, which the event loop needs,
        # is let go and won back once and not for each row, BEGIN and COMMIT.
        marks = ", ".join(["(?, ?)"] * len(rows))
        self._connection.execute(f"INSERT INTO messages (routing_key, body) VALUES {marks}", [*chain(*rows)])

    def _each(self, statement: str, ids: Sequence[int]) -> None:
        if ids:
            self._connection.executemany(statement, ((number,) for number in ids))

    def _refuse_removed(self) -> None:
        # SQLite would go on writing to a file without a name, and lose it at the end of the process.
        if not self.is_named():
            raise SpoolUnavailable(f"{self.path} was removed or replaced by another")

    def _shrink(self) -> None:
        """Give pages back to the disk, a step at a time, once a backlog is gone."""
        with _translated(self.path):
            ((free,),) = self._connection.execute("PRAGMA freelist_count")
            ((pages,),) = self._connection.execute("PRAGMA page_count")
            if free > max(_FREE_PAGES_KEPT, pages // 2):
                # As a script: execute() would step the pragma once, and a step is a page.
                self._connection.executescript(f"PRAGMA incremental_vacuum({_FREE_PAGES_STEP})")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise DamagedSpool(f"{path} is damaged: {error}") from None
        raise SpoolUnavailable(f"{path}: {error} ({name or type(error).__name__})") from None
    except OSError as error:
        raise SpoolUnavailable(f"{path}: {os.strerror(error.errno or 0)}") from None
