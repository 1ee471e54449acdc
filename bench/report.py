"""Figures as Markdown and as JSON. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from bench.figures import Figure, Target, shown

_VERDICTS: Final = {"aim": "**aim**", "reached": "reached", "missed": "**missed**", "": ""}


class Part(NamedTuple):
    """What one benchmark measured, and how long that took."""

    name: str
    title: str
    about: str
    figures: Sequence[Figure]
    seconds: float


def markdown(parts: Iterable[Part], machine: Mapping[str, str], *, quick: bool) -> str:
    """A page: the targets first, then everything, then the machine."""
    parts = list(parts)
    lines = ["# Benchmarks", "", "Made by `make bench`. How it is measured: [bench/README.md](../bench/README.md).", ""]
    if quick:
        lines += ["**A short run, made to see that the benchmarks work. These figures say nothing.**", ""]
    lines += [*_targets(parts), *_machine(machine)]
    for part in parts:
        lines += [f"## {part.title}", "", part.about, "", *_table(part.figures), ""]
    return "\n".join(lines)


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
    """Everything, with each single value."""
    return {
        "quick": quick,
        "machine": dict(machine),
        "parts": [
            {
                "name": part.name,
                "seconds": round(part.seconds, 1),
                "figures": [
                    {
                        "name": figure.name, "unit": figure.unit, "median": figure.median, "values": figure.values,
                        "target": figure.target, "verdict": figure.verdict, "note": figure.note,
                    }
                    for figure in part.figures
                ],
            }
            for part in parts
        ],
    }  # fmt: skip
