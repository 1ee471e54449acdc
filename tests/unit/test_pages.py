"""The pages of docs: those generated are current, and what people wrote keeps to the names the code has."""

import re
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from cli import pages
from cli.main import app
from runtime.settings import Settings
from schema import ddl
from schema.entities import ENTITIES, HEARD
from schema.errors import BadContent, NotNow, Problem

ROOT = Path(__file__).parents[2]
SUMMARY = 60
"""Characters that the help has for a command on a line of 80."""
WRITTEN = ("README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))


def test_the_generated_pages_are_what_the_declarations_say() -> None:
    assert pages.outdated() == [], "run `make docs`"


def test_a_page_that_differs_or_is_missing_is_noticed(tmp_path: Path) -> None:
    pages.write(tmp_path)
    assert pages.outdated(tmp_path) == []
    (tmp_path / "errors.md").write_text("something else")
    (tmp_path / "metrics.md").unlink()
    assert pages.outdated(tmp_path) == ["errors.md", "metrics.md"]


def test_every_problem_has_a_code_of_its_own_a_meaning_and_a_remedy() -> None:
    found = pages.problems()
    assert {problem.code for problem in found} >= {"breaker_open", "damaged_spool", "silent_consumer", "misconfigured"}
    assert not {Problem, BadContent, NotNow} & set(found)
    assert len({problem.code for problem in found}) == len(found)
    for problem in found:
        assert re.fullmatch(r"[a-z][a-z_]+", problem.code)
        assert problem.__doc__ != Problem.__doc__
        assert problem.remedy.endswith("."), f"{problem.__name__} says nobody what to do"


def test_the_page_of_errors_has_a_row_for_every_problem() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", pages.errors_page(), re.MULTILINE)
    assert sorted(rows) == [problem.code for problem in pages.problems()]


def groups() -> dict[str, TyperGroup]:
    """What has commands below it: `` for the program itself, `webhooks`, ..."""
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    return {"": root} | {name: group for name, group in root.commands.items() if isinstance(group, TyperGroup)}


def commands() -> list[str]:
    """`demo`, `webhooks credentials`, ... as `--help` lists them."""
    below = groups()
    return [
        f"{name} {child}" if child else name
        for name in below[""].commands
        for child in (below[name].commands if name in below else [""])
    ]


def test_the_readme_lists_the_commands_as_the_help_does() -> None:
    rows = re.findall(r"^\| `([a-z -]+?)(?: (?:[A-Z\[]|--).*?)?` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert rows == commands()


@pytest.mark.parametrize("group", groups().values(), ids=groups())
def test_the_help_cuts_no_summary(group: TyperGroup) -> None:
    summaries = {name: command.get_short_help_str(SUMMARY) for name, command in group.commands.items()}
    assert {name: summary for name, summary in summaries.items() if not summary or summary.endswith("...")} == {}


@pytest.mark.parametrize("page", WRITTEN)
def test_commands_that_a_page_tells_to_run_exist(page: str) -> None:
    told = re.findall(
        r"(?:^|`|exec \w+ )pipemirror ([a-z][a-z-]+(?: [a-z]+)?)", (ROOT / page).read_text(), re.MULTILINE
    )
    known = commands()
    unknown = {name for name in told if name not in known and name.partition(" ")[0] not in known}
    assert not unknown


@pytest.mark.parametrize("page", WRITTEN)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("page", WRITTEN)
def test_settings_that_a_page_names_exist(page: str) -> None:
    endings = "URL|DIR|SECRET|KEYS|HOST|PORT|BYTES|DAYS|FORMAT|LEVEL|LANES"
    told = set(re.findall(rf"`([A-Z][A-Z_]*(?:{endings}))[`=]", (ROOT / page).read_text()))
    of_the_tests = {"TEST_DATABASE_URL", "TEST_AMQP_URL"}
    assert told <= {name.upper() for name in Settings.model_fields} | of_the_tests


def test_the_page_of_the_database_names_every_table_that_events_fill_and_every_system_column() -> None:
    page = (ROOT / "docs" / "database.md").read_text()
    tables = {entity.plural for entity in HEARD.values()} | {ddl.HISTORY, ddl.MERGES}
    system = {name for entity in ENTITIES for name in ddl.columns(entity) if name.startswith("_")}
    assert {name for name in tables | system if f"`{name}`" not in page} == set()


def test_the_index_of_decisions_lists_each_of_them() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"^\| \[\d{4}\]\((\d{4}-[\w-]+\.md)\) \|", (folder / "README.md").read_text(), re.MULTILINE)
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))
