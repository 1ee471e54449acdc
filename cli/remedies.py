"""What a person does about a problem of which only the code is left, as walks and jobs remember it."""

from schema.errors import Problem


def remedy_of(code: str) -> str:
    """That of the problem itself; a sentence for codes that nobody knows any more."""
    known = [Problem]
    for problem in known:
        if problem.code == code and problem is not Problem:
            return problem.remedy
        known += problem.__subclasses__()
    return "See the code in docs/errors.md."
