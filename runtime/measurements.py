"""Every metric, declared once as data; docs/metrics.md is generated from the declarations.

A label has few values, known beforehand: statuses, codes, queues, entities of the catalogue. Never a company or a
record: 200 companies x 17 entities x 18 buckets x 2 lags are 122,400 series for every worker. What is asked per
company is asked in SQL (`pipemirror status`), where the journal has each event.
"""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One declaration.

    buckets  upper bounds of a histogram, ascending, without infinity
    known    values of a counter's one label that are there from the start, at zero: the first increment of a series
             that was not there before is no increase to Prometheus, and no alert
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    known: tuple[str, ...] = ()


_ACK_SECONDS = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_APPLY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LAG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400)
_WAIT_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30)
_BODY_BYTES = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 262144, 1048576, 4194304, 8388608)
_BUNDLE_EVENTS = (1, 2, 4, 8, 16, 32, 64)

BUILD: Final = Metric(
    "pipemirror_build_info", "gauge", "Always 1; its labels say what is running", ("version", "python")
)
LOOP_LAG: Final = Metric(
    "pipemirror_event_loop_lag_seconds",
    "histogram",
    "How long the event loop took to answer its watchdog, which asks twice a second: time in which nobody was served",
    (),
    _WAIT_SECONDS,
)
HTTP_MALFORMED: Final = Metric(
    "pipemirror_http_malformed_total", "counter", "Requests that are no HTTP, refused before anything is read of them"
)

RECEIVED: Final = Metric(
    "pipemirror_received_total",
    "counter",
    "Requests that brought an event, by HTTP status of the answer",
    ("status",),
    known=("200", "400", "401", "408", "413", "503"),
)
REFUSED_LARGE: Final = Metric(
    "pipemirror_received_refused_large_total", "counter", "Authentic events refused with 413; alert on any"
)
SECRET_USED: Final = Metric(
    "pipemirror_secret_used_total",
    "counter",
    "Authentic requests by the secret they were signed with: `current`, or `old-1` and on during a rotation",
    ("secret",),
)
BODY_BYTES: Final = Metric("pipemirror_body_bytes", "histogram", "Size of received events in bytes", (), _BODY_BYTES)
ACK_SECONDS: Final = Metric(
    "pipemirror_ack_seconds", "histogram", "Time from the start of a request to durable, in seconds", (), _ACK_SECONDS
)
BUNDLE_EVENTS: Final = Metric(
    "pipemirror_bundle_events", "histogram", "Events that travelled together in one queue message", (), _BUNDLE_EVENTS
)
BUNDLES_PUBLISHED: Final = Metric(
    "pipemirror_bundles_published_total", "counter", "Bundles made durable, by way: `amqp` or `spool`", ("way",)
)
PUBLISH_FAILURES: Final = Metric(
    "pipemirror_publish_failures_total",
    "counter",
    "Bundles a way did not take, by way and code",
    ("way", "code"),
)
SPOOL_PENDING: Final = Metric("pipemirror_spool_pending", "gauge", "Queue messages in this process's spool")
SPOOL_BYTES: Final = Metric("pipemirror_spool_bytes", "gauge", "Size of all files of the spool, in bytes")
SPOOL_FREE_BYTES: Final = Metric(
    "pipemirror_spool_free_bytes", "gauge", "Room that is left on the disk of the spool, in bytes"
)
ON_SPOOL: Final = Metric("pipemirror_on_spool", "gauge", "1 while the broker is given up and events go to the spool")

BATCHES: Final = Metric(
    "pipemirror_batches_total", "counter", "Transactions in which a writer applied its part of a group"
)
EVENTS: Final = Metric(
    "pipemirror_events_total",
    "counter",
    "Events by outcome: `applied`, `duplicate`, `dead_letter`, `discarded`, `held` (it will be tried again), "
    "`kept` (in the journal alone: its company is paused, or its entity has no table)",
    ("outcome",),
    known=("applied", "duplicate", "dead_letter", "discarded", "held", "kept"),
)
DEAD_LETTERS: Final = Metric("pipemirror_dead_letters_total", "counter", "Dead letters written, by code", ("code",))
APPLY_SECONDS: Final = Metric(
    "pipemirror_apply_seconds",
    "histogram",
    "Time a writer took to apply and commit its part of a group, in seconds",
    (),
    _APPLY_SECONDS,
)
EVENT_TO_ROW_SECONDS: Final = Metric(
    "pipemirror_event_to_row_seconds",
    "histogram",
    "Lag from the event's own time at Pipedrive to our commit, in seconds, by entity (`unknown`: without a table)",
    ("entity",),
    _LAG_SECONDS,
)
RECEIPT_TO_ROW_SECONDS: Final = Metric(
    "pipemirror_receipt_to_row_seconds",
    "histogram",
    "Lag from receipt (the body was complete, not yet durable) to our commit, in seconds, by entity. Our share of the "
    "lag; longer than from our 200 to the commit by what the 200 waited for",
    ("entity",),
    _LAG_SECONDS,
)
CLOCK_AHEAD: Final = Metric(
    "pipemirror_clock_ahead_total",
    "counter",
    "Events committed before they happened, by whose clock is ahead of the worker's: `pipedrive` or `receiver`. "
    "Their lag is observed as 0",
    ("clock",),
    known=("pipedrive", "receiver"),
)
CONFLICTS: Final = Metric(
    "pipemirror_conflicts_total", "counter", "Transactions run again because another worker was first at a record"
)
HOLDS: Final = Metric(
    "pipemirror_holds_total", "counter", "Times a worker began to hold its work, by code of the reason", ("code",)
)
HOLDING: Final = Metric(
    "pipemirror_holding", "gauge", "1 while a worker holds its work, by code of the reason; else absent", ("code",)
)
HELD_EVENTS: Final = Metric(
    "pipemirror_held_events", "gauge", "Events kept in `pipemirror.held` until their company can be written again"
)
HELD_COMPANIES: Final = Metric(
    "pipemirror_held_companies", "gauge", "Companies of which events are kept in `pipemirror.held`"
)
RETOLD: Final = Metric(
    "pipemirror_histories_retold_total", "counter", "Histories of a record told anew because an event came late"
)
DATABASE_WAIT_SECONDS: Final = Metric(
    "pipemirror_database_wait_seconds",
    "histogram",
    "Time a writer, or the reading of a group, waited for a connection of the pool, in seconds",
    (),
    _WAIT_SECONDS,
)
DATABASE_PING_SECONDS: Final = Metric(
    "pipemirror_database_ping_seconds", "gauge", "How long Postgres took for the last empty question, in seconds"
)
PARTITIONS_AHEAD: Final = Metric(
    "pipemirror_journal_partitions_ahead", "gauge", "Days from today on that have a partition of the journal; of 8"
)
HOUSEKEEPING_FAILURES: Final = Metric(
    "pipemirror_housekeeping_failures_total", "counter", "Rounds of housekeeping that failed, whichever worker had them"
)
JOBS: Final = Metric(
    "pipemirror_jobs_total", "counter", "Jobs done with a company's account; `result` is done or an error code",
    ("job", "result"),
)  # fmt: skip
JOB_FAILURES: Final = Metric(
    "pipemirror_job_failures_total", "counter", "Jobs that could not be done, whichever they were"
)
PIPEDRIVE_SECONDS: Final = Metric(
    "pipemirror_pipedrive_seconds",
    "histogram",
    "Time from sending a request to Pipedrive's REST API until its answer was read, in seconds, by `result`: "
    "`answered`, `cancelled`, or an error code such as `rate_limited`",
    ("result",),
    _APPLY_SECONDS,
)
PIPEDRIVE_TOKENS: Final = Metric(
    "pipemirror_pipedrive_tokens_total", "counter", "Tokens of the accounts' days that requests to Pipedrive cost"
)
HYDRATED: Final = Metric(
    "pipemirror_hydrated_total", "counter", "Records asked of REST for what the events about them did not tell"
)
BACKLOG: Final = Metric("pipemirror_backlog", "gauge", "Messages waiting or unacknowledged, by queue", ("queue",))
BREAKER_OPEN: Final = Metric("pipemirror_breaker_open", "gauge", "1 once too many records failed and the worker stops")
COMPANIES: Final = Metric("pipemirror_companies", "gauge", "Companies that this worker has met since its start")

PROCESS_METRICS: Final = (BUILD, LOOP_LAG, HTTP_MALFORMED)
RECEIVER_METRICS: Final = (
    RECEIVED,
    REFUSED_LARGE,
    SECRET_USED,
    BODY_BYTES,
    ACK_SECONDS,
    BUNDLE_EVENTS,
    BUNDLES_PUBLISHED,
    PUBLISH_FAILURES,
    SPOOL_PENDING,
    SPOOL_BYTES,
    SPOOL_FREE_BYTES,
    ON_SPOOL,
)
WORKER_METRICS: Final = (
    BATCHES,
    EVENTS,
    DEAD_LETTERS,
    APPLY_SECONDS,
    EVENT_TO_ROW_SECONDS,
    RECEIPT_TO_ROW_SECONDS,
    CLOCK_AHEAD,
    CONFLICTS,
    HOLDS,
    HOLDING,
    HELD_EVENTS,
    HELD_COMPANIES,
    RETOLD,
    DATABASE_WAIT_SECONDS,
    DATABASE_PING_SECONDS,
    PARTITIONS_AHEAD,
    HOUSEKEEPING_FAILURES,
    JOBS,
    JOB_FAILURES,
    PIPEDRIVE_SECONDS,
    PIPEDRIVE_TOKENS,
    HYDRATED,
    BACKLOG,
    BREAKER_OPEN,
    COMPANIES,
)
ALL_METRICS: Final = PROCESS_METRICS + RECEIVER_METRICS + WORKER_METRICS

OF_THE_LIBRARY: Final = (
    ("process_cpu_seconds_total", "counter", "CPU time, user and system, in seconds"),
    ("process_resident_memory_bytes", "gauge", "Resident memory in bytes"),
    ("process_virtual_memory_bytes", "gauge", "Virtual memory in bytes"),
    ("process_open_fds", "gauge", "Open file descriptors"),
    ("process_max_fds", "gauge", "Most file descriptors it may open"),
    ("process_start_time_seconds", "gauge", "When the process began, in seconds since 1970"),
)
"""What prometheus-client's own collector adds (on Linux): name, kind, meaning."""


def metrics_page() -> str:
    """docs/metrics.md, from the declarations."""
    lines = [
        "# Metrics",
        "",
        "Generated from `runtime/measurements.py`. A gauge is absent until it was first read: absent is not zero.",
        "Labels have few values; nothing is labelled by company: `pipemirror status` tells that. The alerts that use",
        "them are in `deploy/alerts.yml`, what to do then in [runbook.md](runbook.md).",
    ]
    rooms = (("Every process", PROCESS_METRICS), ("Receiver", RECEIVER_METRICS), ("Worker", WORKER_METRICS))
    for title, metrics in rooms:
        lines += ["", f"## {title}", "", "| metric | kind | labels | meaning |", "|---|---|---|---|"]
        for metric in metrics:
            labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
            lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |")
        if metrics is PROCESS_METRICS:
            lines += [f"| `{name}` | {kind} | none | {meaning} |" for name, kind, meaning in OF_THE_LIBRARY]
    return "\n".join(lines) + "\n"
