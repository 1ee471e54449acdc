"""`make bench`: run benchmarks, write their figures."""

import argparse
import asyncio
import dataclasses
import sys
import time
from pathlib import Path
from typing import Final

import orjson

from bench.benchmark import Benchmark
from bench.catalogue import BENCHMARKS, chosen
from bench.effort import FULL, QUICK, Effort
from bench.figures import shown
from bench.ground import EMBEDDED, Ground, ground
from bench.machine import describe
from bench.report import Part, document, markdown

_PAGE: Final = Path(__file__).parents[1] / "docs" / "bench.md"


def main() -> None:
    arguments = _arguments()
    try:
        benchmarks = chosen(arguments.names)
    except LookupError as problem:
        sys.exit(str(problem))
    effort = QUICK if arguments.quick else FULL
    if arguments.rounds:
        effort = dataclasses.replace(effort, rounds=arguments.rounds, long_rounds=arguments.rounds)
    if arguments.minutes:
        effort = dataclasses.replace(effort, minutes=arguments.minutes)
    asyncio.run(_run(benchmarks, effort, arguments))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"all, or some of: {', '.join(b.name for b in BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="short, to see that it works; figures say nothing")
    parser.add_argument("--rounds", type=int, help="alternations instead of the usual number")
    parser.add_argument("--minutes", type=float, help="how long memory is watched")
    parser.add_argument("--postgres", default=EMBEDDED, help="major version; Debian's where it is not the embedded one")
    parser.add_argument("--output", type=Path, help="the page to write, and its .json; docs/bench.md for a full run")
    return parser.parse_args()


async def _run(benchmarks: list[Benchmark], effort: Effort, arguments: argparse.Namespace) -> None:
    async with ground(arguments.postgres) as services:
        machine = describe(services.folder)
        parts = [await _measured(benchmark, services, effort) for benchmark in benchmarks]
        machine |= services.facts
    quick = effort.rounds < FULL.rounds
    page = markdown(parts, machine, quick=quick)
    sys.stdout.write(page)
    output = arguments.output or (_PAGE if len(benchmarks) == len(BENCHMARKS) and not quick else None)
    if output is not None:
        output.write_text(page, "utf-8")
        data = orjson.dumps(document(parts, machine, quick=quick), option=orjson.OPT_INDENT_2)
        output.with_suffix(".json").write_bytes(data + b"\n")


async def _measured(benchmark: Benchmark, services: Ground, effort: Effort) -> Part:
    _say(f"{benchmark.name} ...")
    began = time.monotonic()
    figures = await benchmark.measure(services, effort)
    seconds = time.monotonic() - began
    for figure in figures:
        _say(f"  {figure.name}: {shown(figure.median)} {figure.unit} {figure.verdict}")
    return Part(benchmark.name, benchmark.title, benchmark.about, figures, seconds)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
