"""docs/promises.md, written from the declarations."""

from itertools import groupby
from typing import Final

from promises.declared import PROMISES, Promise

PAGE: Final = "docs/promises.md"
_HEAD: Final = """\
# Promises, and which test fails when one is broken

Written from `tests/promises/declared.py` by `make docs`. `make broken-promises` breaks each on purpose, in a copy
of the tree, and demands that the tests named here fail. What every fault must leave standing: [chaos.md](chaos.md).
"""


def written() -> str:
    sections = [_HEAD]
    for promise, group in groupby(PROMISES, key=lambda one: one.promise):
        rows = [_row(one) for one in group]
        sections.append("\n".join([f"## {promise}", "", "| broken by | in | then fails |", "|---|---|---|", *rows, ""]))
    return "\n".join(sections)


def _row(promise: Promise) -> str:
    tests = "<br>".join(f"`{test}`" for test in promise.tests)
    return f"| {promise.broken} | `{promise.file}` | {tests} |"
