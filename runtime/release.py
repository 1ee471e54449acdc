"""Which release this is."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _installed() -> str:
    try:
        return version("pipemirror")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"


RELEASE: Final = _installed()
