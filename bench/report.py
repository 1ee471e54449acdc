"""Figures as Markdown and as JSON. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple

from bench.figures import Figure, Target, shown

_VERDICTS: Final = {"aim": "**aim**", "reached": "reached", "missed": "**missed**", "": ""}


class Part(NamedTuple):
    """What one benchmark measured.

    about    how it was measured
    when     date, commit, and how busy the machine was with other things before
    failure  why there are no figures
    """

    name: str
    title: str
    about: str
    when: str
    figures: tuple[Figure, ...]
    failure: str = ""


def markdown(parts: Iterable[Part], machine: Mapping[str, str], *, quick: bool) -> str:
    """A page: the targets first, then everything, then the machine."""
    parts = list(parts)
    lines = ["# Benchmarks", "", "Made by `make bench`. How it is measured: [bench/README.md](../bench/README.md).", ""]
    if quick:
        lines += ["**A short run, made to see that the benchmarks work. These figures say nothing.**", ""]
    lines += [*_targets(parts), *_machine(machine)]
    for part in parts:
        lines += [f"## {part.title}", "", part.about, "", f"`{part.name}`, {part.when}.", "", *_body(part), ""]
    return "\n".join(lines)


def summary(parts: Iterable[Part], machine: Mapping[str, str]) -> str:
    """What was to be reached and what is, and the machine in a sentence."""
    parts = list(parts)
    days = ", ".join(sorted({part.when.partition(" ")[0] for part in parts}))
    said = f"{days}; {machine['CPU']}, {machine['RAM']}, {machine['system']}, Python {machine['Python']}."
    return "\n".join([said, "", *_targets(parts)]).rstrip()


def _body(part: Part) -> list[str]:
    return [f"**It failed: {part.failure}**"] if part.failure else _table(part.figures)


def _targets(parts: Sequence[Part]) -> list[str]:
    rows = [
        f"| {part.title} | {figure.name} | {_value(figure)} | {_bounds(figure.target)} | {_VERDICTS[figure.verdict]} |"
        for part in parts
        for figure in part.figures
        if figure.target is not None
    ]
    if not rows:
        return []
    return ["| | figure | measured | to reach | |", "|---|---|---|---|---|", *rows, ""]


def _machine(machine: Mapping[str, str]) -> list[str]:
    return ["| machine | |", "|---|---|", *(f"| {name} | {value} |" for name, value in machine.items()), ""]


def _table(figures: Sequence[Figure]) -> list[str]:
    rows = [
        f"| {figure.name} | {_value(figure)} | {_range(figure)} | {_VERDICTS[figure.verdict]} | {figure.note} |"
        for figure in figures
    ]
    return ["| | median | from, to | | |", "|---|---|---|---|---|", *rows]


def _value(figure: Figure) -> str:
    unit = "" if figure.unit in {"ratio", ""} else ("/s" if figure.unit == "/s" else f" {figure.unit}")
    return f"{shown(figure.median)}{unit}"


def _range(figure: Figure) -> str:
    if len(figure.values) == 1:
        return "once"
    return f"{shown(min(figure.values))} to {shown(max(figure.values))} ({len(figure.values)})"


def _bounds(target: Target | None) -> str:
    if target is None:
        return ""
    sign = "≤" if target.at_most else "≥"
    aim = "" if target.aim is None else f", aim {target.aim:g}"
    return f"{sign} {target.reach:,g}{aim}"


def document(parts: Iterable[Part], machine: Mapping[str, str], *, quick: bool) -> dict[str, Any]:
    """Everything, with each single value; `parts_of` reads it back."""
    return {"quick": quick, "machine": dict(machine), "parts": [_told(part) for part in parts]}


def _told(part: Part) -> dict[str, Any]:
    figures = [{**asdict(figure), "median": figure.median, "verdict": figure.verdict} for figure in part.figures]
    return {"name": part.name, "when": part.when, "failure": part.failure, "figures": figures}


def parts_of(told: Mapping[str, Any], benchmarks: Iterable[tuple[str, str, str]]) -> list[Part]:
    """The parts of a document, of those benchmarks (name, title, about) that there still are."""
    by_name = {part["name"]: part for part in told["parts"]}
    return [
        Part(name, title, about, part["when"], tuple(map(_figure, part["figures"])), part["failure"])
        for name, title, about in benchmarks
        if (part := by_name.get(name)) is not None
    ]


def _figure(told: Mapping[str, Any]) -> Figure:
    target = told["target"] and Target(**told["target"])
    return Figure(told["name"], told["unit"], tuple(told["values"]), target, told["note"])
