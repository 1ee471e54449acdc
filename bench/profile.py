"""Where the time of the two hot loops goes: `make profile`, as root or where ptrace is allowed.

py-spy looks a few hundred times a second at what a process does, from outside, while the process does what it does in
the benchmarks. What is printed: of the time in which it was busy, the share of each function by itself, and the share
of each with everything it calls.
"""

import argparse
import asyncio
import sys
import sysconfig
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from rig.kept import free_ports

from bench.database import fresh, prepared
from bench.effort import FULL
from bench.ground import Ground, authorized, end, ground, process_of
from bench.load import Order
from bench.parts.drain import fill
from bench.workload import company_ids, story

_COMPANIES: Final = company_ids(1)
_PER_SECOND: Final = 500
_STARTED_SECONDS: Final = 2.0
"""Before looking: what a process does once is not what is asked for."""
_EVERYTHING: Final = 0.95
_WAITING: Final = ("_worker (", "Condition.wait (", "EpollSelector.select (")
"""Where a thread that has nothing to do stands. py-spy cannot always tell that it sleeps."""
_ROOTS: Final = (
    f"{sysconfig.get_path('purelib')}/",
    f"{sysconfig.get_path('stdlib')}/",
    f"{Path(__file__).parents[1]}/",
)
"""What is left out of the names of files."""


class Shares(NamedTuple):
    """Function -> how many of the looks met it: at the top of the stack, or anywhere on it."""

    looks: int
    alone: Counter[str]
    with_callees: Counter[str]


def parse(collapsed: Iterable[str]) -> Shares:
    """Of lines such as `main (cli.py);run (app.py) 17`, outermost first: py-spy's format `raw`. Waiting is left out."""
    shares = Shares(0, Counter(), Counter())
    looks = 0
    for line in collapsed:
        stack, _, number = line.rpartition(" ")
        functions = stack.split(";")
        if functions[-1].startswith(_WAITING):
            continue
        looks += int(number)
        shares.alone[functions[-1]] += int(number)
        for function in set(functions):
            shares.with_callees[function] += int(number)
    return shares._replace(looks=looks)


def table(shares: Shares, title: str, most: int) -> str:
    """Two lists, the largest first; from the second, what everything runs under is left out."""
    lines = [f"## {title}: busy in {shares.looks} looks", ""]
    below = Counter({name: n for name, n in shares.with_callees.items() if n < _EVERYTHING * shares.looks})
    for heading, counted in (("by itself", shares.alone), ("with what it calls", below)):
        lines += [f"{heading}:", ""]
        lines += [f"{100 * number / shares.looks:6.1f} %  {name}" for name, number in counted.most_common(most)]
        lines.append("")
    return "\n".join(lines)


async def _record(pid: int, seconds: float, output: Path) -> Shares:
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid), "--format", "raw", "--function",
        "--full-filenames", "--rate", str(_PER_SECOND), "--duration", str(int(seconds)), "--output", str(output),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds + 60):
            _, complaint = await process.communicate()
    finally:
        await end(process)
    if process.returncode != 0:
        raise RuntimeError(f"py-spy: {complaint.decode()[-2000:]}")
    text = await asyncio.to_thread(output.read_text, "utf-8")
    for root in _ROOTS:
        text = text.replace(root, "")
    return parse(text.splitlines())


@asynccontextmanager
async def _receiver(services: Ground, seconds: float) -> AsyncIterator[int]:
    """The pid of a receiver under load."""
    async with services.installed("", broker=True) as installation:
        receiver = await installation.receiver()
        services.place(measured=process_of(receiver))
        order = Order(receiver.port, authorized(_COMPANIES), seconds=seconds + 2 * _STARTED_SECONDS)
        loading = asyncio.ensure_future(services.load(order, on=services.cores.others))
        yield process_of(receiver).pid
        await loading


@asynccontextmanager
async def _worker(services: Ground, seconds: float) -> AsyncIterator[int]:
    """The pid of a worker that drains a queue."""
    number = int(10_000 * (seconds + 2 * _STARTED_SECONDS))
    told = story(deals=FULL.deals, events=FULL.events // 2)
    template = await prepared(services, told, 1)
    bodies = services.save("happening", told.happening)
    async with fresh(services, template) as dsn, services.installed(dsn, broker=True) as installation:
        await fill(services, installation, bodies, number, _COMPANIES)
        worker = installation.role("worker", free_ports(1)[0])
        await worker.start()
        services.place(measured=process_of(worker))
        yield process_of(worker).pid


_LOOPS: Final = {"receiver": _receiver, "worker": _worker}


async def _run(names: list[str], seconds: float, most: int) -> None:
    async with ground() as services:
        for name in names:
            async with _LOOPS[name](services, seconds) as pid:
                await asyncio.sleep(_STARTED_SECONDS)
                shares = await _record(pid, seconds, services.folder / "profile")
            sys.stdout.write(table(shares, name, most) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="profile", description=__doc__)
    parser.add_argument("names", nargs="*", default=[], choices=[[], *_LOOPS], help="both, or one of them")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to look")
    parser.add_argument("--most", type=int, default=30, help="how many functions to show")
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.names or list(_LOOPS), arguments.seconds, arguments.most))


if __name__ == "__main__":
    main()
