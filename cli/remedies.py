"""What a person does about a problem of which only the code is left, as walks and jobs remember it."""

from typing import Final

from schema.errors import BadContent, Problem

_OF_ROWS: Final = (
    "Such rows are left out, named by `status`, and asked for again every day. "
    "Look at one of them in Pipedrive; if it is as it should be, report it, upgrade."
)


def remedy_of(code: str) -> str:
    """That of the problem itself, but of rows that cannot be read; a sentence for codes that nobody knows any more."""
    known = [Problem]
    for problem in known:
        if problem.code == code and problem is not Problem:
            # Of an event the problem itself tells: there is a dead letter to look at.
            return _OF_ROWS if issubclass(problem, BadContent) else problem.remedy
        known += problem.__subclasses__()
    return "See the code in docs/errors.md."
