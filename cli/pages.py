"""The pages of docs that are generated from declarations.

`python -m cli.pages` writes them (`make docs`); with `--check` it names those that are not current (`make check`).
"""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import cli
import pipedrive
import receiver
import runtime
import schema
import store
import worker
from cli.entity_pages import entities_page, not_mirrored_page
from pipedrive.errors import AccountRefused, ListingRefused, NotBefore
from runtime.measurements import metrics_page
from runtime.settings import settings_page
from schema.errors import BadContent, Impaired, Misconfigured, NotNow, Problem

DOCS: Final = Path(__file__).parents[1] / "docs"

_ROOMS: Final = (schema, runtime, pipedrive, store, receiver, worker, cli)
_FAMILIES: Final = (
    (BadContent, "One event can never be written as it is: it becomes a dead letter, the others go on."),
    (NotNow, "It cannot be done now: work is kept and tried again, nothing is lost. A command that meets it exits 3."),
    (Impaired, "It works, but something is not as it should be: `/readyz` stays 200 and names it."),
    (
        AccountRefused,
        "Nothing of this account can be read from Pipedrive until a person does something; what is mirrored stays.",
    ),
    (ListingRefused, "One list or record of Pipedrive's API cannot be read: the others go on."),
    (Misconfigured, "It cannot even start: exit code 2."),
    (Problem, "None of these: something is wrong that trying again does not mend. A process ended by it exits 1."),
)
_ONLY_FAMILIES: Final = (BadContent, NotNow, NotBefore, Impaired, AccountRefused, ListingRefused)


def problems() -> list[type[Problem]]:
    """Every kind of problem there is in the rooms, by code; without the families, which are never raised themselves."""
    for room in _ROOMS:
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    ours = {room.__name__ for room in _ROOMS}
    found = {problem for problem in _below(Problem) if problem.__module__.partition(".")[0] in ours}
    return sorted(found, key=lambda problem: problem.code)


def errors_page() -> str:
    """docs/errors.md, from the classes."""
    lines = [
        "# Errors",
        "",
        "Generated from `schema/errors.py` and the other subclasses of `Problem`. A code is the same everywhere:",
        "label of a metric, field of a log line, reason of `/readyz`, `code` of a dead letter, start of an error.",
    ]
    for family, consequence in _FAMILIES:
        members = [problem for problem in problems() if _family(problem) is family]
        lines += ["", f"## {family.__name__}", "", consequence, "", "| code | meaning | remedy |", "|---|---|---|"]
        lines += [f"| `{problem.code}` | {_meaning(problem)} | {_cell(problem.remedy)} |" for problem in members]
    return "\n".join(lines) + "\n"


PAGES: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "entities.md": entities_page,
        "errors.md": errors_page,
        "metrics.md": metrics_page,
        "not-mirrored.md": not_mirrored_page,
        "settings.md": settings_page,
    }
)


def outdated(docs: Path = DOCS) -> list[str]:
    """The pages in `docs` that are missing or not what the declarations say."""
    return [name for name, page in PAGES.items() if not (docs / name).exists() or (docs / name).read_text() != page()]


def write(docs: Path = DOCS) -> None:
    for name, page in PAGES.items():
        (docs / name).write_text(page())


def main(arguments: list[str]) -> int:
    if arguments != ["--check"]:
        write()
        return 0
    stale = outdated()
    if stale:
        sys.stderr.write(f"not what the declarations say: {', '.join(stale)}; run `make docs`\n")
    return 1 if stale else 0


def _below(problem: type[Problem]) -> Iterator[type[Problem]]:
    """All of the tree below `problem` but the families, of which nothing is ever only a member."""
    for kind in problem.__subclasses__():
        if kind not in _ONLY_FAMILIES:
            yield kind
        yield from _below(kind)


def _family(problem: type[Problem]) -> type[Problem]:
    return next(family for family, _ in _FAMILIES if issubclass(problem, family))


def _meaning(problem: type[Problem]) -> str:
    """The first paragraph of the docstring, on one line."""
    return _cell(" ".join((problem.__doc__ or "").strip().partition("\n\n")[0].split()))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
