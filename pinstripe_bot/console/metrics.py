"""The metrics for Prometheus: what the bot of this process has counted, and one look at the ledger. docs/metrics.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

from pinstripe_bot import __version__
from pinstripe_bot.clock import Clock
from pinstripe_bot.errors import LedgerError
from pinstripe_bot.ledger_figures import Figures, read_figures
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.metrics import Histogram, JobTally, Tally
from pinstripe_bot.occurrence import Reason, RunState
from pinstripe_bot.outlook import queue_of
from pinstripe_bot.project import Project
from pinstripe_bot.tick_clock import TickClock


@dataclass(frozen=True, slots=True)
class Described:
    """What a metric is, and what its labels are."""

    kind: Literal["counter", "gauge", "histogram", "info"]
    help: str
    labels: tuple[str, ...] = ()


METRICS: Mapping[str, Described] = {
    "pinstripe_info": Described("info", "The version, and the project that it serves.", ("version", "project")),
    "pinstripe_instants_due_total": Described("counter", "Due instants that this bot has decided.", ("job",)),
    "pinstripe_instants_skipped_total": Described("counter", "Of these, those that were skipped.", ("job", "reason")),
    "pinstripe_instants_missed_total": Described("counter", "Of these, those that were missed.", ("job", "reason")),
    "pinstripe_tenants_skipped_total": Described(
        "counter", "Tenants that had no run at a due instant that ran for others.", ("job", "reason")
    ),
    "pinstripe_runs_started_total": Described("counter", "Runs that have begun, each attempt by itself.", ("job",)),
    "pinstripe_runs_finished_total": Described("counter", "Runs that have ended for good.", ("job", "state")),
    "pinstripe_runs_retried_total": Described(
        "counter", "Attempts that have ended, and are tried again.", ("job", "state")
    ),
    "pinstripe_run_lateness_seconds": Described(
        "histogram", "From the due instant to the beginning of the run, of first attempts.", ("job",)
    ),
    "pinstripe_run_duration_seconds": Described(
        "histogram", "From the beginning to the end of a run, each attempt by itself.", ("job",)
    ),
    "pinstripe_catch_up_depth": Described(
        "gauge", "How many instants the last claim decided beyond one for each schedule that was due."
    ),
    "pinstripe_ledger_seconds": Described("histogram", "How long the ledger took for a step of the bot.", ("step",)),
    "pinstripe_last_tick_age_seconds": Described("gauge", "How long ago the loop of this bot ticked."),
    "pinstripe_ledger_up": Described("gauge", "1 where the ledger answers, 0 where it does not."),
    "pinstripe_runs_running": Described("gauge", "Runs that stand as running in the ledger.", ("job",)),
    "pinstripe_runs_queued": Described("gauge", "Runs that wait for a worker, their turn or their time.", ("job",)),
    "pinstripe_runs_lingering": Described("gauge", "Runs that have timed out and do not end.", ("job",)),
    "pinstripe_bots": Described("gauge", "Bots on this ledger that live."),
    "pinstripe_worker_processes": Described("gauge", "Workers of the cluster that live."),
    "pinstripe_workers": Described("gauge", "Worker threads of all living bots and workers, as these told last."),
    "pinstripe_workers_busy": Described("gauge", "Of these, those that perform a run."),
    "pinstripe_queue_waiting": Described("gauge", "Runs that wait in a queue of the cluster.", ("queue",)),
    "pinstripe_queue_running": Described("gauge", "Runs of a queue of the cluster that run.", ("queue",)),
    "pinstripe_queue_oldest_waiting_seconds": Described(
        "gauge", "For how long the oldest run of a queue could have started.", ("queue",)
    ),
    "pinstripe_queue_workers": Described("gauge", "Living workers that serve a queue.", ("queue",)),
    "pinstripe_last_heartbeat_age_seconds": Described("gauge", "How long ago any bot was heard in the ledger."),
    "pinstripe_clock_offset_seconds": Described(
        "gauge", "How far the clock of the living bot that is off most is ahead of the database's."
    ),
    "pinstripe_job_next_due_timestamp_seconds": Described(
        "gauge", "The first due instant that nobody has decided yet.", ("job",)
    ),
    "pinstripe_job_last_success_timestamp_seconds": Described(
        "gauge", "When the newest run that succeeded ended.", ("job",)
    ),
}
"""Every metric by its name, as docs/metrics.md lists them."""

ENDS = (RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT, RunState.INTERRUPTED)
SKIPPED_FOR = (Reason.OVERLAP,)
MISSED_FOR = (Reason.COALESCED, Reason.TOO_LATE, Reason.BOT_DOWN, Reason.CLOCK_JUMP, Reason.NOT_LISTED)
"""What an alert waits for is told as 0 before it first happens: where a counter begins with 1 nobody sees an increase.

Not everything is: of 10,000 jobs each of these is 10,000 lines, which take 90 ms to write.
"""

Samples = Iterable[tuple[tuple[str, ...], float]]


class MetricsCollector(Collector):
    """Asked at each scrape, by any thread; raises nothing where the ledger does not answer.

    `tally` and `ticks` are those of the bot in this process; None where there is none. `store` gives the open
    ledger, or None, or raises LedgerError, while there is none to look at.
    """

    def __init__(
        self,
        project: Project,
        store: Callable[[], LedgerStore | None],
        tally: Tally | None,
        clock: Clock,
        ticks: TickClock | None,
    ) -> None:
        self._project = project
        self._store = store
        self._tally = tally
        self._clock = clock
        self._ticks = ticks
        self._recent = 0  # the number of the first run that may have succeeded since the last look
        self._succeeded: dict[str, float] = {}

    def collect(self) -> Iterator[Metric]:
        """All that is known now; a family that nothing is known of is absent."""
        info = InfoMetricFamily("pinstripe", METRICS["pinstripe_info"].help)
        info.add_metric([], {"version": __version__, "project": self._project.name})
        yield info
        if self._tally is not None:
            yield from _counted(self._tally.jobs())
            yield _family("pinstripe_catch_up_depth", [((), self._tally.catch_up_depth)])
            yield _timed("pinstripe_ledger_seconds", self._tally.ledger().items())
        last_tick_s = None if self._ticks is None else self._ticks.last_tick_s
        if last_tick_s is not None:
            yield _family("pinstripe_last_tick_age_seconds", [((), self._clock.monotonic() - last_tick_s)])
        figures = self._look()
        yield _family("pinstripe_ledger_up", [((), 0 if figures is None else 1)])
        if figures is not None:
            yield from self._found(figures)

    def _look(self) -> Figures | None:
        """What the ledger tells; None where it does not answer."""
        project, now = self._project, self._clock.now()
        try:
            store = self._store()
            if store is None:
                return None
            figures = read_figures(
                store, project.jobs, project.schedules, now, since=self._recent, queue_of=queue_of(project)
            )
        except LedgerError:
            return None
        self._succeeded = self._succeeded | dict(figures.succeeded)
        self._recent = figures.recent
        return figures

    def _found(self, figures: Figures) -> Iterator[Metric]:
        jobs = self._project.jobs
        yield _family("pinstripe_runs_running", (((job,), figures.running.get(job, 0)) for job in jobs))
        yield _family("pinstripe_runs_queued", (((job,), figures.queued.get(job, 0)) for job in jobs))
        lingering = {job: count for job, count in figures.lingering.items() if job in jobs}
        yield _family("pinstripe_runs_lingering", _by_job(lingering))
        yield _family("pinstripe_bots", [((), figures.bots)])
        yield _family("pinstripe_workers", [((), figures.workers)])
        yield _family("pinstripe_workers_busy", [((), figures.busy)])
        if self._project.config.dispatcher == "cluster":
            yield _family("pinstripe_worker_processes", [((), figures.worker_processes)])
            yield from self._queued(figures)
        if figures.heartbeat_at is not None:
            age = max(self._clock.now() - figures.heartbeat_at, timedelta(0))
            yield _family("pinstripe_last_heartbeat_age_seconds", [((), age.total_seconds())])
        if figures.clock_offset_s is not None:
            yield _family("pinstripe_clock_offset_seconds", [((), figures.clock_offset_s)])
        yield _family("pinstripe_job_next_due_timestamp_seconds", _by_job(figures.next_due))
        yield _family("pinstripe_job_last_success_timestamp_seconds", _by_job(self._succeeded))

    def _queued(self, figures: Figures) -> Iterator[Metric]:
        """How deep the queues of a cluster are, and who serves them."""
        queues, now = figures.queues, self._clock.now()
        yield _family("pinstripe_queue_waiting", (((one.name,), one.waiting) for one in queues))
        yield _family("pinstripe_queue_running", (((one.name,), one.running) for one in queues))
        waits = (((one.name,), one.oldest_waits(now).total_seconds()) for one in queues)
        yield _family("pinstripe_queue_oldest_waiting_seconds", waits)
        yield _family("pinstripe_queue_workers", (((one.name,), one.workers) for one in queues))


def registry_of(collector: MetricsCollector) -> CollectorRegistry:
    """A registry of this collector alone: what the project itself registers elsewhere is its own."""
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def exposition(registry: CollectorRegistry, accept_header: str | None) -> tuple[bytes, str]:
    """(The text of all metrics, its content type): OpenMetrics where the header asks for it."""
    encode, content_type = choose_encoder(accept_header or "")
    return encode(registry), content_type


def _counted(jobs: Mapping[str, JobTally]) -> Iterator[Metric]:
    """What the bot of this process has counted."""
    yield _family("pinstripe_instants_due_total", (((job,), one.due) for job, one in jobs.items()))
    skipped = {job: dict.fromkeys(SKIPPED_FOR, 0) | one.skipped for job, one in jobs.items()}
    yield _family("pinstripe_instants_skipped_total", _by_kind(skipped))
    missed = {job: dict.fromkeys(MISSED_FOR, 0) | one.missed for job, one in jobs.items()}
    yield _family("pinstripe_instants_missed_total", _by_kind(missed))
    yield _family("pinstripe_tenants_skipped_total", _by_kind({job: one.tenants_skipped for job, one in jobs.items()}))
    yield _family("pinstripe_runs_started_total", (((job,), one.started) for job, one in jobs.items()))
    finished = {job: dict.fromkeys(ENDS, 0) | one.finished for job, one in jobs.items()}
    yield _family("pinstripe_runs_finished_total", _by_kind(finished))
    yield _family("pinstripe_runs_retried_total", _by_kind({job: one.retried for job, one in jobs.items()}))
    have_run = [(job, one) for job, one in jobs.items() if one.started or sum(one.duration.counts)]
    yield _timed("pinstripe_run_lateness_seconds", ((job, one.lateness) for job, one in have_run))
    yield _timed("pinstripe_run_duration_seconds", ((job, one.duration) for job, one in have_run))


def _by_job(values: Mapping[str, float]) -> Samples:
    return (((job,), value) for job, value in values.items())


def _by_kind(counts: Mapping[str, Mapping[RunState, int]] | Mapping[str, Mapping[Reason, int]]) -> Samples:
    return (((job, str(kind)), count) for job, kinds in counts.items() for kind, count in kinds.items())


def _family(name: str, samples: Samples) -> Metric:
    """A counter or a gauge of METRICS with these samples, (the values of its labels, its own) each."""
    about, unit = METRICS[name], _unit(name)
    kind = CounterMetricFamily if about.kind == "counter" else GaugeMetricFamily
    family: CounterMetricFamily | GaugeMetricFamily = kind(name, about.help, labels=about.labels, unit=unit)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _timed(name: str, histograms: Iterable[tuple[str, Histogram]]) -> Metric:
    """A histogram of METRICS for each value of its label."""
    about = METRICS[name]
    family = HistogramMetricFamily(name, about.help, labels=about.labels, unit=_unit(name))
    for label, histogram in histograms:
        buckets, up_to = [], 0
        for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
            up_to += count
            buckets.append((bound, up_to))
        family.add_metric([label], buckets, histogram.total_s)
    return family


def _unit(name: str) -> str:
    return "seconds" if name.endswith("_seconds") else ""
