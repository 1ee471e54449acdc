"""All benchmarks there are, in the order they run."""

from typing import Final

from bench.benchmark import Benchmark
from bench.parts import backfill, changes, drain, growth, latency, live, memory, pipeline, receiver, spool

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
        "backfill",
        "Full load",
        "20,000 deals, 10,000 persons, 5,000 organizations, 20,000 activities and all other lists, from a stand-in "
        "that serves pages rendered beforehand at 480 requests per 2 s, into an empty database of the oldest Postgres "
        "that is supported. `pipemirror connect` has one core to itself; stand-in and Postgres share the other. The "
        "bare script reads the four large lists side by side, takes the columns of their rows as they are, and copies "
        "them, with no types of times or custom fields, no versions, no place to go on from.",
        backfill.measure,
    ),
    Benchmark(
        "large",
        "Full load, ten times as large",
        "The same of 550,000 rows, in turn with 55,000. Memory is the most that was resident (VmHWM).",
        backfill.measure_large,
    ),
    Benchmark(
        "lite",
        "Full load, smallest plan",
        "The four large lists at 20 requests per 2 s, into a company whose other lists are read already: 500 rows a "
        "request, so 5,000 rows/s are possible.",
        backfill.measure_lite,
    ),
    Benchmark(
        "changes",
        "Changes that nobody told",
        "An account of 2,000 deals and all that belongs to them is connected without webhooks; 3,000 things happen "
        "(edits, new records, deletions, merges, archiving); then `sweep`, then `reconcile --repair`. Rows are "
        "compared with the account, every column of every entity that is read without being asked for by name.",
        changes.measure,
    ),
    Benchmark(
        "live",
        "POST to row during a backfill",
        "As above, at 200 events/s, while `pipemirror connect` reads 550,000 rows of the same company at 480 requests "
        "per 2 s; and without it. Receiver, RabbitMQ, worker, backfill, stand-in, Postgres and load share all cores.",
        live.measure,
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
