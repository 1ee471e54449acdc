"""Finding a traceback in what a process said: as Python prints one, or as our logs do, which is without its title."""

import re

_FRAME = re.compile(r'File \\?"[^"\n]+\\?", line \d+')


def tracebacks(said: str) -> list[str]:
    """The lines that hold one, or part of one."""
    return [line for line in said.splitlines() if _FRAME.search(line)]
