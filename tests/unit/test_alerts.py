"""The alerts speak of metrics and labels that exist, and each of them and each error code has its paragraph."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from cli.pages import problems
from runtime.measurements import ALL_METRICS, OF_THE_LIBRARY
from runtime.metrics import Metrics

ROOT = Path(__file__).parents[2]
SHORTEST = 60
FUNCTIONS = {"increase", "rate", "changes", "sum", "max", "min", "histogram_quantile", "by", "and", "on", "hour"}
OF_EVERY_TARGET = {"instance", "job"}
SELECTOR = re.compile(r"([a-z_:][a-z0-9_:]*)(?:\{([^}]*)\})?")
GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")


class Alert(NamedTuple):
    name: str
    expr: str
    severity: str
    annotations: dict[str, str]


def alerts() -> list[Alert]:
    """Each rule, of a file that keeps to one form; a rule in another form would be missing here and fail below."""
    found = []
    for text in re.split(r"^      - alert: ", (ROOT / "deploy" / "alerts.yml").read_text(), flags=re.MULTILINE)[1:]:
        name, *lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
        fields = dict(line.split(": ", 1) for line in lines if ": " in line)
        annotations = {key: fields[key].strip('"') for key in ("summary", "runbook")}
        severity = re.fullmatch(r"\{severity: (\w+)\}", fields["labels"])
        assert severity is not None, name
        found.append(Alert(name, fields["expr"], severity[1], annotations))
    return found


def series() -> dict[str, set[str]]:
    """Every name that a scrape can have, with its labels."""
    found = {name: set[str]() for name, _, _ in OF_THE_LIBRARY} | {"up": set()}
    for metric in ALL_METRICS:
        labels = set(metric.labels)
        if metric.kind == "histogram":
            found |= {f"{metric.name}_bucket": labels | {"le"}, f"{metric.name}_sum": labels}
            found |= {f"{metric.name}_count": labels}
        else:
            found[metric.name] = labels
    return found


def used(expr: str) -> dict[str, set[str]]:
    """The series of an expression, with the labels it asks of them; those it groups by are asked of each."""
    grouped = {label.strip() for labels in GROUPING.findall(expr) for label in labels.split(",") if label.strip()}
    plain = re.sub(r"\[\w+\]", "", GROUPING.sub("", expr))
    return {
        name: grouped | set(re.findall(r"(\w+)\s*(?:=|!)", labels))
        for name, labels in SELECTOR.findall(plain)
        if name not in FUNCTIONS
    }


def paragraphs() -> dict[str, str]:
    """Heading of the second level -> text below it."""
    page = (ROOT / "docs" / "runbook.md").read_text()
    parts = re.split(r"^## (.+)\n", page, flags=re.MULTILINE)[1:]
    return {
        heading: " ".join(text.partition("\n# ")[0].split())
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }


def test_there_are_alerts_and_none_is_overlooked_here() -> None:
    text = (ROOT / "deploy" / "alerts.yml").read_text()
    assert len(alerts()) == text.count("alert:") == text.count("expr:") >= 15
    assert len({alert.name for alert in alerts()}) == len(alerts())


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_an_alert_uses_only_metrics_and_labels_that_are_declared(alert: Alert) -> None:
    known = series()
    asked = used(alert.expr)
    assert asked
    assert asked.keys() <= known.keys()
    for name, labels in asked.items():
        assert labels <= known[name] | OF_EVERY_TARGET, name
    assert alert.expr.count("(") == alert.expr.count(")")


def test_the_look_at_expressions_sees_what_is_wrong_with_one() -> None:
    expr = 'sum by (queue, le) (rate(pipemirror_wrong_bucket{code="x", job=~"a.*"}[10m])) > 60 and up == 0'
    asked = {"queue", "le"}
    assert used(expr) == {"pipemirror_wrong_bucket": asked | {"code", "job"}, "up": asked}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_an_alert_says_what_it_is_and_where_to_read_on(alert: Alert) -> None:
    assert alert.annotations["runbook"] == f"docs/runbook.md#{alert.name.lower()}"
    assert alert.severity in {"critical", "warning"}
    labels = set(re.findall(r"\$labels\.(\w+)", alert.annotations["summary"]))
    left = {label for found in GROUPING.findall(alert.expr) for label in re.split(r", *", found)} - {"le"}
    aggregated = re.search(r"\b(sum|max|min|histogram_quantile)\b", alert.expr) is not None
    assert labels <= (left if aggregated else left | OF_EVERY_TARGET)


def test_a_counter_that_an_alert_watches_is_there_from_the_start() -> None:
    """A series that appears with its first increment shows no increase."""
    scraped = Metrics().render().decode()
    for alert in alerts():
        for name, labels in re.findall(r"increase\((\w+)(?:\{([^}]*)\})?\[", alert.expr):
            assert re.search(rf"^{name}\b.*{re.escape(labels)}.* 0\.0$", scraped, re.MULTILINE), alert.name


def test_the_runbook_has_a_paragraph_for_each_code_and_each_alert_and_no_other() -> None:
    codes = {problem.code for problem in problems()}
    assert set(paragraphs()) == codes | {alert.name for alert in alerts()}


@pytest.mark.parametrize(("heading", "text"), paragraphs().items())
def test_a_paragraph_says_something(heading: str, text: str) -> None:
    assert len(text) >= SHORTEST
    assert not re.match(r"(TODO|See docs)", text), heading


@pytest.mark.parametrize("code", [problem.code for problem in problems()])
def test_a_code_is_read_at_a_glance(code: str) -> None:
    labels = re.findall(r"(?:^| )- \*\*([\w ]+)\*\*: ", paragraphs()[code])
    assert labels == ["Means", "At risk", "Look", "Do"]


def test_the_top_of_the_runbook_leads_to_each_paragraph() -> None:
    top = (ROOT / "docs" / "runbook.md").read_text().partition("\n# ")[0]
    assert re.findall(r"\]\(#([a-z_]+)\)", top.replace("(#codes)", "").replace("(#alerts)", "")) == [
        heading.lower() for heading in paragraphs()
    ]


def test_codes_are_unique_and_each_has_its_row() -> None:
    codes = [problem.code for problem in problems()]
    assert len(codes) == len(set(codes))
    page = (ROOT / "docs" / "errors.md").read_text()
    assert [code for code in codes if f"\n| `{code}` |" not in page] == []


def test_metrics_that_pages_name_exist() -> None:
    known = set(series()) | {metric.name for metric in ALL_METRICS}
    for page in ("docs/runbook.md", "docs/operations.md", "README.md"):
        told = set(re.findall(r"\b(pipemirror_[a-z_]+)(?=[`{\[ ])", (ROOT / page).read_text()))
        assert told - known == set(), page
