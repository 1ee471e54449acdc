"""Break each promise in a copy of the tree, and see that the tests say so.

python tests/promises/breaking.py [WORDS]   all, or those whose name holds WORDS
python tests/promises/breaking.py --write   write docs/promises.md from the declarations
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from promises.declared import PROMISES, Promise
from promises.page import PAGE, written

CHECKOUT: Final = Path(__file__).parents[2]
_WITHIN: Final = 300
_SIGNS: Final = ("AssertionError", "assert ", "DID NOT RAISE", "TimeoutError")
"""How a test says that something is not as promised: it looked, or waited in vain."""


def outcomes(tree: Path, tests: Iterable[str], signs: Iterable[str] = _SIGNS) -> dict[str, list[str]]:
    """By test, what came of each variant: "" if it passed, else why; what proves nothing begins with "error: "."""
    report = tree / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *tests]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    subprocess.run(command, cwd=tree, env=environment, capture_output=True, check=False, timeout=_WITHIN)
    found: dict[str, list[str]] = defaultdict(list)
    for case in ET.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '').partition('[')[0]}"
        found[name].append(_reason(case, signs))
    return found


def verdict(promise: Promise, found: dict[str, list[str]]) -> str:
    """Why the tests do not hold the promise; empty if they do."""
    for test in promise.tests:
        reasons = found.get(test, [])
        if not reasons:
            return f"{test} did not run"
        if errors := [reason for reason in reasons if reason.startswith("error: ")]:
            return f"{test}: {errors[0]}"
        if not any(reasons):
            return f"{test} passed"
    return ""


@contextmanager
def broken(tree: Path, promise: Promise) -> Iterator[None]:
    path = tree / promise.file
    sound = path.read_text()
    assert sound.count(promise.before) == 1, f"{promise.file} has changed: declare anew what breaks it"
    path.write_text(sound.replace(promise.before, promise.after))
    try:
        yield
    finally:
        path.write_text(sound)


def main(arguments: list[str]) -> int:
    if arguments == ["--write"]:
        (CHECKOUT / PAGE).write_text(written())
        return 0
    chosen = [promise for promise in PROMISES if " ".join(arguments) in promise.broken]
    with tempfile.TemporaryDirectory(prefix="pipemirror-promises-") as folder:
        tree = _copied(Path(folder))
        tests = dict.fromkeys(test for promise in chosen for test in promise.tests)
        sound = outcomes(tree, tests)
        unsound = [test for test in tests if test not in sound or any(sound[test])]
        if unsound:
            _say("\n  ".join(["They fail already, without anything broken:", *unsound]))
            return 1
        noticed = [_try(tree, promise) for promise in chosen]
    return 0 if all(noticed) else 1


def _try(tree: Path, promise: Promise) -> bool:
    began = time.monotonic()
    with broken(tree, promise):
        problem = verdict(promise, outcomes(tree, promise.tests, (*_SIGNS, promise.sign)))
    said = f"NOT NOTICED: {problem}" if problem else f"noticed by {len(promise.tests)}"
    _say(f"{promise.broken:<62} {said} ({time.monotonic() - began:.0f} s)")
    return not problem


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _copied(folder: Path) -> Path:
    tree = folder / "tree"
    hidden = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "node_modules")
    shutil.copytree(CHECKOUT, tree, ignore=hidden)
    folder.chmod(0o711)
    return tree


def _reason(case: ET.Element, signs: Iterable[str]) -> str:
    """A failure that is no assertion, and an error outside the test itself, prove nothing."""
    if (error := case.find("error")) is not None:
        return f"error: {error.get('message')}"
    if (failure := case.find("failure")) is None:
        return ""
    message = f"{failure.get('message')}\n{failure.text}"
    return message if any(sign in message for sign in signs) else f"error: {failure.get('message')}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
