"""Every metric, declared once as data; docs/metrics.md is generated from the declarations.

Numbers are kept in plain dicts and rendered by prometheus-client when they are scraped: its own counters take a lock
and its histograms walk their buckets, three times the cost per reading (0.5 µs against 0.15) on a path that has 50 µs
for everything. All calls are made from the event loop's thread. A gauge that nobody has read yet is absent, not zero:
an idle process must not look healthy.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Metric:
    """One declaration. `buckets` are upper bounds of a histogram, ascending, without infinity."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_ACK_SECONDS = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_APPLY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LAG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400)
_BODY_BYTES = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 262144, 1048576, 4194304, 8388608)
_BUNDLE_EVENTS = (1, 2, 4, 8, 16, 32, 64)

RECEIVED: Final = Metric(
    "pipemirror_received_total", "counter", "Requests that brought an event, by HTTP status of the answer", ("status",)
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
    "pipemirror_bundles_published_total", "counter", "Bundles made durable, by outlet: `amqp` or `spool`", ("outlet",)
)
PUBLISH_FAILURES: Final = Metric(
    "pipemirror_publish_failures_total",
    "counter",
    "Bundles an outlet did not take, by outlet and code",
    ("outlet", "code"),
)
SPOOL_PENDING: Final = Metric("pipemirror_spool_pending", "gauge", "Queue messages in this process's spool")
ON_SPOOL: Final = Metric("pipemirror_on_spool", "gauge", "1 while the broker is given up and events go to the spool")

BATCHES: Final = Metric(
    "pipemirror_batches_total", "counter", "Transactions committed to Postgres: one per company of a batch"
)
EVENTS: Final = Metric(
    "pipemirror_events_total",
    "counter",
    "Events by outcome: `applied`, `duplicate`, `dead_letter`, `discarded`",
    ("outcome",),
)
DEAD_LETTERS: Final = Metric("pipemirror_dead_letters_total", "counter", "Dead letters written, by code", ("code",))
APPLY_SECONDS: Final = Metric(
    "pipemirror_apply_seconds", "histogram", "Time to apply and commit one batch, in seconds", (), _APPLY_SECONDS
)
EVENT_TO_COMMIT_SECONDS: Final = Metric(
    "pipemirror_event_to_commit_seconds",
    "histogram",
    "Lag from the event's own time at Pipedrive to our commit, in seconds",
    (),
    _LAG_SECONDS,
)
ACK_TO_COMMIT_SECONDS: Final = Metric(
    "pipemirror_ack_to_commit_seconds", "histogram", "Lag from our receipt of an event to its commit", (), _LAG_SECONDS
)
BACKLOG: Final = Metric("pipemirror_backlog", "gauge", "Messages waiting or unacknowledged, by queue", ("queue",))
BREAKER_OPEN: Final = Metric("pipemirror_breaker_open", "gauge", "1 once too many records failed and the worker stops")
COMPANIES: Final = Metric("pipemirror_companies", "gauge", "Companies that this worker has met since its start")

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
    ON_SPOOL,
)
WORKER_METRICS: Final = (
    BATCHES,
    EVENTS,
    DEAD_LETTERS,
    APPLY_SECONDS,
    EVENT_TO_COMMIT_SECONDS,
    ACK_TO_COMMIT_SECONDS,
    BACKLOG,
    BREAKER_OPEN,
    COMPANIES,
)


class Distribution:
    """A histogram with one set of labels: counts per bucket (the last is beyond all bounds), sum of the values."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Counter:
    """A counter with one set of labels."""

    __slots__ = ("_labels", "_values")

    def __init__(self, values: dict[tuple[str, ...], float], labels: tuple[str, ...]) -> None:
        self._values = values
        self._labels = labels

    def add(self, by: float = 1) -> None:
        self._values[self._labels] = self._values.get(self._labels, 0) + by


def _start(metric: Metric) -> dict[tuple[str, ...], float]:
    # A counter is truly zero at start, and saying so lets an alert see its first increment.
    return {(): 0} if metric.kind == "counter" and not metric.labels else {}


class Metrics(Collector):
    """The readings of one process; `registry` is what a scrape renders.

    A label value is given in the order of the declaration: ``metrics.count(PUBLISH_FAILURES, "amqp", code)``. What is
    read for every event is held on to (`counter`, `distribution`), which spares the way to it each time.
    """

    def __init__(self, metrics: Iterable[Metric] = RECEIVER_METRICS + WORKER_METRICS) -> None:
        self._metrics = tuple(metrics)
        self._values = {metric.name: _start(metric) for metric in self._metrics}
        self._distributions: dict[str, dict[tuple[str, ...], Distribution]] = {m.name: {} for m in self._metrics}
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        self.counter(metric, *labels).add(by)

    def counter(self, metric: Metric, *labels: str) -> Counter:
        return Counter(self._values[metric.name], labels)

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        self.distribution(metric, *labels).observe(value)

    def distribution(self, metric: Metric, *labels: str) -> Distribution:
        distributions = self._distributions[metric.name]
        found = distributions.get(labels)
        if found is None:
            found = distributions[labels] = Distribution(metric.buckets)
        return found

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        self._values[metric.name][labels] = value

    def forget(self, metric: Metric) -> None:
        """The last readings of a gauge no longer hold: show none instead of a stale one."""
        self._values[metric.name].clear()

    def value(self, metric: Metric, *labels: str) -> float | None:
        """What a counter or gauge stands at; of a histogram, how many were observed. None: never read."""
        if metric.kind == "histogram":
            distribution = self._distributions[metric.name].get(labels)
            return None if distribution is None else sum(distribution.counts)
        return self._values[metric.name].get(labels)

    def render(self) -> bytes:
        """The Prometheus text of a scrape, to be served as CONTENT_TYPE."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Family]:
        """Called by prometheus-client at each scrape."""
        for metric in self._metrics:
            if metric.kind == "histogram":
                yield self._histogram(metric)
            else:
                yield self._plain(metric)

    def _plain(self, metric: Metric) -> Family:
        kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = kind(metric.name, metric.meaning, labels=metric.labels)
        for labels, value in self._values[metric.name].items():
            family.add_metric(labels, value)
        return family

    def _histogram(self, metric: Metric) -> Family:
        family = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        for labels, distribution in self._distributions[metric.name].items():
            below, buckets = 0, []
            for bound, count in zip((*metric.buckets, float("inf")), distribution.counts, strict=True):
                below += count
                buckets.append(("+Inf" if bound == float("inf") else repr(float(bound)), below))
            family.add_metric(labels, buckets, distribution.total)
        return family


def metrics_page() -> str:
    """docs/metrics.md, from the declarations."""
    lines = [
        "# Metrics",
        "",
        "Generated from `runtime/metrics.py`. A gauge is absent until it was first read: absent is not zero.",
    ]
    for title, metrics in (("Receiver", RECEIVER_METRICS), ("Worker", WORKER_METRICS)):
        lines += ["", f"## {title}", "", "| metric | kind | labels | meaning |", "|---|---|---|---|"]
        for metric in metrics:
            labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
            lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |")
    return "\n".join(lines) + "\n"
