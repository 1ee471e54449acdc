"""All benchmarks there are, in the order they run."""

from typing import Final

from bench.benchmark import Benchmark
from bench.parts import drain, growth, latency, memory, pipeline, receiver, spool

BENCHMARKS: Final = (
    Benchmark(
        "receiver",
        "Receiver",
        "64 keep-alive connections, bodies of 2,048 bytes, credentials checked, every answer after a durable confirm. "
        "The server has one core to itself; load generator and RabbitMQ share the other. CPU is user + system time of "
        "the server's process.",
        receiver.measure,
    ),
    Benchmark(
        "lone",
        "A lone event",
        "One connection, one request at a time, otherwise as above.",
        receiver.measure_lone,
    ),
    Benchmark(
        "drain",
        "Worker",
        "A receiver fills the queue under 64 connections and is stopped; then a worker empties it into a database that "
        "holds the company already, on a core to itself; Postgres and RabbitMQ share the other. The bare ways write "
        "the very rows that the worker wrote (recorded by triggers in a run of its own), in the same transactions, "
        "into a copy of the same database: same indexes, same guard. Rates are from first to last transaction.",
        drain.measure,
    ),
    Benchmark(
        "ones",
        "Worker, one event a message",
        "The same with a queue of single events; the bare consumer takes the same messages and acknowledges them.",
        drain.measure_ones,
    ),
    Benchmark(
        "pipeline",
        "Whole pipeline",
        "Load generator (64 connections, closed loop), receiver, queue, worker and Postgres share all cores.",
        pipeline.measure,
    ),
    Benchmark(
        "latency",
        "POST to row",
        "Requests are due at a fixed rate. Latency counts from when a request was due until a second connection to "
        "Postgres, which looks every 2 ms, finds the event's row committed; RabbitMQ in between, all cores shared.",
        latency.measure,
    ),
    Benchmark(
        "spool",
        "Spool",
        "Messages of one event of 2,048 bytes, each awaited until it is on disk. No HTTP.",
        spool.measure,
    ),
    Benchmark(
        "memory",
        "Memory",
        "Resident memory of both processes, read 120 times over the whole time of load.",
        memory.measure,
    ),
    Benchmark(
        "companies",
        "Growth: companies",
        "The worker's rate where the same records belong to one company, or to many. One worker, one lane.",
        growth.measure_companies,
    ),
    Benchmark(
        "rows",
        "Growth: rows",
        "The worker's rate where it changes random deals of a table of so many. After a VACUUM and a CHECKPOINT.",
        growth.measure_rows,
    ),
)


def chosen(names: list[str]) -> list[Benchmark]:
    """All, or those named, in the order of the catalogue. Raise LookupError for a name there is not."""
    known = {benchmark.name for benchmark in BENCHMARKS}
    if unknown := sorted(set(names) - known):
        raise LookupError(f"no benchmark {', '.join(unknown)}: there are {', '.join(b.name for b in BENCHMARKS)}")
    return [benchmark for benchmark in BENCHMARKS if not names or benchmark.name in names]
