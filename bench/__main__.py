"""`make bench`: run benchmarks, write their figures."""

import argparse
import asyncio
import dataclasses
import sys
import traceback
from pathlib import Path
from typing import Any, Final

import orjson
from rig.marked import replace_marked

from bench.benchmark import Benchmark
from bench.catalogue import BENCHMARKS, chosen
from bench.effort import FULL, QUICK, Effort
from bench.figures import shown
from bench.ground import EMBEDDED, Ground, ground
from bench.machine import circumstances, describe
from bench.report import Part, document, markdown, parts_of, summary

_PAGE: Final = Path(__file__).parents[1] / "docs" / "bench.md"
_README: Final = Path(__file__).parents[1] / "README.md"
_KNOWN: Final = [(benchmark.name, benchmark.title, benchmark.about) for benchmark in BENCHMARKS]


def main() -> None:
    arguments = _arguments()
    try:
        benchmarks = chosen(arguments.names)
    except LookupError as problem:
        sys.exit(str(problem))
    parts = asyncio.run(_run(benchmarks, _effort(arguments), arguments))
    sys.exit(any(part.failure for part in parts))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"all, or some of: {', '.join(b.name for b in BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="short, to see that it works; figures say nothing")
    parser.add_argument("--rounds", type=int, help="alternations instead of the usual number")
    parser.add_argument("--minutes", type=float, help="how long memory is watched")
    parser.add_argument("--postgres", default=EMBEDDED, help="major version; Debian's where it is not the embedded one")
    parser.add_argument(
        "--write", action="store_true", help=f"into {_PAGE.name}, its .json and the README, beside other parts"
    )
    return parser.parse_args()


def _effort(arguments: argparse.Namespace) -> Effort:
    effort = QUICK if arguments.quick else FULL
    if arguments.rounds:
        effort = dataclasses.replace(effort, rounds=arguments.rounds, long_rounds=arguments.rounds)
    if arguments.minutes:
        effort = dataclasses.replace(effort, minutes=arguments.minutes)
    return effort


async def _run(benchmarks: list[Benchmark], effort: Effort, arguments: argparse.Namespace) -> list[Part]:
    """What was measured. Each part is written as soon as it is there: all of them take an hour."""
    parts: list[Part] = []
    async with ground(arguments.postgres) as services:
        machine = await asyncio.to_thread(describe, services.folder)
        for benchmark in benchmarks:
            parts.append(await _measured(benchmark, services, effort))
            if arguments.write or (benchmarks == list(BENCHMARKS) and not arguments.quick):
                await asyncio.to_thread(_write, parts, machine | services.facts, quick=arguments.quick)
        sys.stdout.write(markdown(parts, machine | services.facts, quick=arguments.quick))
    return parts


async def _measured(benchmark: Benchmark, services: Ground, effort: Effort) -> Part:
    """One that fails is told so, and the others go on."""
    when = await asyncio.to_thread(circumstances)
    _say(f"{benchmark.name}: {when}")
    try:
        figures = await benchmark.measure(services, effort)
    except Exception as error:  # noqa: BLE001 - whatever it was, an hour of other figures is worth keeping
        traceback.print_exc()
        failure = f"{type(error).__name__}: {error}".partition("\n")[0]
        return Part(benchmark.name, benchmark.title, benchmark.about, when, (), failure)
    for figure in figures:
        _say(f"  {figure.name}: {shown(figure.median)} {figure.unit} {figure.verdict}")
    return Part(benchmark.name, benchmark.title, benchmark.about, when, tuple(figures))


def _write(parts: list[Part], machine: dict[str, str], *, quick: bool) -> None:
    """Parts that were measured before, and not now, stay."""
    data = _PAGE.with_suffix(".json")
    found: dict[str, Any] = orjson.loads(data.read_bytes()) if data.exists() else {"parts": []}
    # What this run did not start is as it was when it was measured.
    machine = found.get("machine", {}) | machine
    told = document(parts, machine, quick=quick)
    names = {part.name for part in parts}
    told["parts"] += [part for part in found["parts"] if part["name"] not in names]
    data.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")
    known = parts_of(told, _KNOWN)
    _PAGE.write_text(markdown(known, machine, quick=quick), "utf-8")
    replace_marked(_README, "make bench", summary(known, machine))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
