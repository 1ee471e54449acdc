"""Secrets: the form of a key, and one that a first process makes and all others on the same folder read."""

import base64
import binascii
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

_FERNET_KEY_BYTES: Final = 32


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """The secret at `path`, made by `make` if there is none yet. Readable by its owner only.

    However many processes begin at once, all get the same: a complete file is linked into place, and a link refuses
    to replace. Raise OSError when the folder cannot be written or the file cannot be read.
    """
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    made = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(make() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(made)
        except FileExistsError:
            pass
        else:
            _sync_folder(path.parent)
    finally:
        made.unlink()
    return path.read_text().strip()


def _sync_folder(folder: Path) -> None:
    # Without it a power cut could lose the name, and with it every password already given to Pipedrive.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_fernet_key(text: str) -> bool:
    """Whether it is url-safe base64 of as many bytes as such a key has."""
    try:
        return len(base64.b64decode(text, altchars=b"-_", validate=True)) == _FERNET_KEY_BYTES
    except (binascii.Error, ValueError):
        return False
