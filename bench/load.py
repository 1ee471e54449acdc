"""A load generator that costs little: HTTP/1.1 over keep-alive connections by epoll, in a process of its own.

    python -m bench.load '{"port": ..., ...}'

The one argument is an `Order`; what was seen is printed as JSON. It reads as much of an answer as it needs, its status
and its end. Closed loop: each connection sends its next request when it has the answer. Open loop: requests are due at
a fixed rate and wait for a free connection; their latency counts from when they were due.
"""

import gc
import select
import socket
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import count, islice, repeat
from pathlib import Path
from typing import Any, Final

import orjson
import psutil

from bench.figures import percentile
from bench.processes import cpu_seconds
from bench.workload import Template, read, request

_ANSWERED: Final = b"HTTP/1.1 200"
_END: Final = b"\r\n\r\n"
_STALLED_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Order:
    """What to send.

    bodies       file of event templates (bench.workload); without one each body is the same `size` bytes
    headers      company -> what stands before the body's length; the templates name their company
    first        number of the first event: numbers make events distinct
    requests     stop after so many; else after `seconds`, of which `warm_up` at the start are not counted
    rate         requests/s, open loop; 0: closed loop
    watch        pid of the server, whose CPU time is read where the counting begins and ends
    log          file that gets, per counted request, when it was due, in seconds of the monotonic clock
    """

    port: int
    headers: dict[str, str]
    bodies: str | None = None
    size: int = 2048
    connections: int = 64
    first: int = 0
    requests: int = 0
    seconds: float = 0.0
    warm_up: float = 0.0
    rate: float = 0.0
    begin: float = 0.0
    watch: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What the counted requests were like. Latencies in milliseconds, CPU in microseconds per request."""

    sent: int
    answered: int
    rate: float
    p50: float
    p95: float
    p99: float
    server_us: float
    server_busy: float
    load_us: float
    load_busy: float


class _Counting:
    """Latencies from when counting began, and the CPU used meanwhile."""

    def __init__(self, watch: int) -> None:
        self._server = psutil.Process(watch) if watch else None
        self._load = psutil.Process()
        self.begin()

    def begin(self) -> None:
        self.latencies = array("d")
        self._cpu = self._read()
        self._began = time.perf_counter()

    def seen(self, sent: int) -> Seen:
        elapsed = time.perf_counter() - self._began
        server, load = (now - before for now, before in zip(self._read(), self._cpu, strict=True))
        answered = len(self.latencies)
        ordered = sorted(self.latencies) or [0.0]
        p50, p95, p99 = (percentile(ordered, share) * 1e3 for share in (0.5, 0.95, 0.99))
        each = 1e6 / max(answered, 1)
        return Seen(
            sent, answered, answered / elapsed, p50, p95, p99,
            server * each, server / elapsed, load * each, load / elapsed,
        )  # fmt: skip

    def _read(self) -> tuple[float, float]:
        return (cpu_seconds(self._server) if self._server else 0.0, cpu_seconds(self._load))


class Load:
    """Keep-alive connections to one server."""

    def __init__(self, port: int, connections: int) -> None:
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._held: dict[int, bytes] = {}
        for _ in range(connections):
            opened = socket.create_connection(("127.0.0.1", port))
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets[opened.fileno()] = opened
            self._epoll.register(opened.fileno(), select.EPOLLIN)

    def closed_loop(self, requests: Iterator[bytes], order: Order) -> Seen:
        counting = _Counting(order.watch)
        clock = time.perf_counter
        began = clock()
        warm, end = began + order.warm_up, began + order.seconds if order.seconds else float("inf")
        sent_at = {number: at for number in self._sockets if (at := self._send(number, requests, clock))}
        sent, open_ = len(sent_at), len(sent_at)
        while open_:
            for number in self._answers():
                now = clock()
                counting.latencies.append(now - sent_at[number])
                if now < end and (at := self._send(number, requests, clock)):
                    sent_at[number] = at
                    sent += 1
                else:
                    open_ -= 1
            if warm and clock() >= warm:
                warm = 0.0
                counting.begin()
        return counting.seen(sent)

    def open_loop(self, requests: Iterator[bytes], order: Order) -> Seen:
        """Latencies count from when a request was due, so that a server which stalls cannot hide it."""
        counting = _Counting(order.watch)
        clock = time.monotonic
        began = order.begin or clock()
        if 0 < order.begin < clock():
            raise RuntimeError("not ready when the first request was due: nothing that was measured would be true")
        total = int(order.rate * order.seconds)
        free, due_of, sent, answered = list(self._sockets), {}, 0, 0
        while answered < total:
            due = began + sent / order.rate
            if sent < total and free and clock() >= due:
                number = free.pop()
                self._sockets[number].sendall(next(requests))
                due_of[number] = due
                sent += 1
                continue
            # epoll waits in whole milliseconds, select in microseconds.
            wait = max(0.0, due - clock()) if sent < total and free else _STALLED_SECONDS
            if select.select([self._epoll], [], [], wait)[0]:
                for number in self._answers():
                    counting.latencies.append(clock() - due_of[number])
                    free.append(number)
                    answered += 1
            elif sent == total or not free:
                raise TimeoutError(f"no answer for {_STALLED_SECONDS:.0f} s")
        return counting.seen(sent)

    def _send(self, number: int, requests: Iterator[bytes], clock: Callable[[], float]) -> float:
        """When it was sent; 0 when there is nothing more to send."""
        message = next(requests, None)
        if message is None:
            return 0.0
        at = clock()
        self._sockets[number].sendall(message)
        return at

    def _answers(self) -> Iterator[int]:
        """Connections whose answer is complete. Raise for any other than an empty 200."""
        ready = self._epoll.poll(_STALLED_SECONDS)
        if not ready:
            raise TimeoutError(f"no answer for {_STALLED_SECONDS:.0f} s")
        for number, _ in ready:
            data = self._sockets[number].recv(65_536)
            if number in self._held:
                data = self._held.pop(number) + data
            if data.endswith(_END) and data.startswith(_ANSWERED):
                yield number
            elif data and _ANSWERED.startswith(data[: len(_ANSWERED)]):
                self._held[number] = data
            else:
                raise ConnectionError(f"answered {data[:80]!r}")


def run(order: Order) -> Seen:
    load = Load(order.port, order.connections)
    requests = _requests(order)
    if order.requests:
        requests = islice(requests, order.requests)
    gc.disable()
    return load.open_loop(requests, order) if order.rate else load.closed_loop(requests, order)


def _requests(order: Order) -> Iterator[bytes]:
    """What they are made of is read here, before the first is due: to read it later would look like a slow server."""
    heads = {int(company): head.encode() for company, head in order.headers.items()}
    if order.bodies is None:
        (head,) = heads.values()
        return repeat(request(head, b"x" * order.size))
    templates: list[Template] = read(Path(order.bodies))
    heads_of = [heads[template.company_id] for template in templates]

    def numbered(number: int) -> bytes:
        at = number % len(templates)
        return request(heads_of[at], templates[at].body(number, time.time()))

    return map(numbered, count(order.first))


def main(arguments: list[str]) -> None:
    given: dict[str, Any] = orjson.loads(arguments[0])
    sys.stdout.write(orjson.dumps(asdict(run(Order(**given)))).decode())


if __name__ == "__main__":
    main(sys.argv[1:])
