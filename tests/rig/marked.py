"""What a command writes into a page that people write: all between two markers that name the command."""

from pathlib import Path


def replace_marked(page: Path, command: str, text: str) -> None:
    """Replace what stands between the markers of `command`."""
    begin, end = f"<!-- {command}: begin -->", f"<!-- {command}: end -->"
    before, found, rest = page.read_text("utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} has no {begin} and {end}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")
