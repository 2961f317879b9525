"""The metrics, read as Prometheus reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bots import EVERY_MINUTE, WAITING, crash, job, locked, names_in
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pinstripe_bot import __version__
from pinstripe_bot.bot import Bot
from pinstripe_bot.console.metrics import METRICS, MetricsCollector, exposition, registry_of
from pinstripe_bot.errors import LedgerError
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.metrics import OTHER, Histogram
from pinstripe_bot.project import Project
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OPENMETRICS = "application/openmetrics-text; version=1.0.0,text/plain;q=0.5"
PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"

Values = dict[tuple[str, ...], float]


def collector_of(bot: Bot) -> MetricsCollector:
    return MetricsCollector(bot.project, lambda: bot.ledger.store, bot.tally, bot.clock, bot.ticks)


def families(collector: MetricsCollector) -> dict[str, Metric]:
    """{name: family} as Prometheus reads the text."""
    text, _ = exposition(registry_of(collector), None)
    return {family.name: family for family in parse_text(text.decode())}


def values(collector: MetricsCollector, sample: str) -> Values:
    """{values of its labels: value} of every sample with this name; of `job="sweep"` without the job."""
    found: Values = {}
    for family in families(collector).values():
        for one in family.samples:
            if one.name == sample and one.labels.get("job", "sweep") == "sweep":
                found[tuple(value for label, value in one.labels.items() if label != "job")] = one.value
    return found


def happened(collector: MetricsCollector, sample: str) -> Values:
    """The same, but for what has not happened."""
    return {labels: value for labels, value in values(collector, sample).items() if value}


def tick(bot: Bot, clock: TravelClock, **passed: float) -> None:
    clock.travel(**passed)
    bot.tick()
    bot.dispatcher.wait_until_idle(10)


# What the bot has counted


def test_what_the_bot_has_done_is_told_job_by_job(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("1 / 0"), other=job())

    tick(bot, clock, hours=1, seconds=2)

    told = collector_of(bot)
    assert values(told, "pinstripe_instants_due_total") == {(): 60}
    assert happened(told, "pinstripe_instants_missed_total") == {("coalesced",): 59}
    assert values(told, "pinstripe_runs_started_total") == {(): 1}
    assert happened(told, "pinstripe_runs_finished_total") == {("failed",): 1}
    assert values(told, "pinstripe_catch_up_depth") == {(): 118}


def test_a_histogram_counts_up_to_each_bound(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())

    tick(bot, clock, minutes=1, seconds=2)

    buckets = values(collector_of(bot), "pinstripe_run_lateness_seconds_bucket")
    assert {bound: count for (bound,), count in buckets.items()} == {
        **{"0.1": 0, "0.5": 0, "1.0": 0, "5.0": 1},
        **{"15.0": 1, "60.0": 1, "300.0": 1, "3600.0": 1, "+Inf": 1},
    }
    assert values(collector_of(bot), "pinstripe_run_lateness_seconds_sum") == {(): 2}


def test_what_an_alert_waits_for_begins_at_0(make_bot: MakeBot) -> None:
    told = collector_of(make_bot(sweep=job()))

    assert values(told, "pinstripe_runs_finished_total")[("failed",)] == 0
    assert values(told, "pinstripe_instants_missed_total")[("bot_down",)] == 0
    assert values(told, "pinstripe_instants_skipped_total")[("overlap",)] == 0


def test_what_the_ledger_takes_is_told_by_step(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())

    tick(bot, clock, minutes=1)

    assert values(collector_of(bot), "pinstripe_ledger_seconds_count") == {
        ("claim",): 1,
        ("start",): 1,
        ("finish",): 1,
    }


def test_the_age_of_the_last_tick_grows(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    tick(bot, clock, minutes=1)

    clock.travel(seconds=40)

    assert values(collector_of(bot), "pinstripe_last_tick_age_seconds") == {(): 40}


def test_before_its_first_tick_a_bot_tells_no_age(make_bot: MakeBot) -> None:
    assert "pinstripe_last_tick_age_seconds" not in families(collector_of(make_bot(sweep=job())))


def test_tenants_are_never_told(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", f"{EVERY_MINUTE!r}, multi_tenant=True"))
    bot.run_background_jobs((NOW.timestamp()) + 60)

    text, _ = exposition(registry_of(collector_of(bot)), None)

    assert values(collector_of(bot), "pinstripe_runs_started_total") == {(): 3}
    assert b"acme" not in text


# What the ledger tells


def test_what_runs_and_what_waits_is_told(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job(WAITING, f"{EVERY_MINUTE!r}, overlap='queue'"))
    clock.travel(minutes=1)
    bot.tick()
    names_in(bot, "sweep")["begun"].wait(10)

    clock.travel(minutes=1)
    bot.tick()

    told = collector_of(bot)
    running, queued = values(told, "pinstripe_runs_running"), values(told, "pinstripe_runs_queued")
    names_in(bot, "sweep")["go"].set()
    assert (running, queued) == ({(): 1}, {(): 1})


def test_the_bots_that_live_are_told_with_their_workers(make_bot: MakeBot) -> None:
    bot, other = make_bot(sweep=job()), make_bot()
    for each in (bot, other):
        each.ledger.beat(NOW, stats={"workers": 2, "busy": 1})

    told = collector_of(bot)

    assert values(told, "pinstripe_bots") == {(): 2}
    assert values(told, "pinstripe_workers") == {(): 4}
    assert values(told, "pinstripe_workers_busy") == {(): 2}


def test_the_clock_that_is_off_most_is_told(make_bot: MakeBot) -> None:
    bot, other = make_bot(sweep=job()), make_bot()
    untold = values(collector_of(bot), "pinstripe_clock_offset_seconds")
    bot.ledger.beat(NOW, stats={"clock_offset_ms": 1200})
    other.ledger.beat(NOW, stats={"clock_offset_ms": -3400})

    told = values(collector_of(bot), "pinstripe_clock_offset_seconds")

    assert (untold, told) == ({}, {(): -3.4})


def test_a_bot_that_has_died_is_missed(make_bot: MakeBot, root: Path, clock: TravelClock) -> None:
    crash(make_bot(sweep=job()).ledger)
    clock.travel(minutes=10)

    with opened(root) as store:
        told = alone(root, store, clock)

        assert values(told, "pinstripe_bots") == {(): 0}
        assert values(told, "pinstripe_last_heartbeat_age_seconds") == {(): 600}
        assert values(told, "pinstripe_job_next_due_timestamp_seconds") == {(): NOW.timestamp() + 60}


def test_when_a_job_is_due_next_and_succeeded_last_is_told(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("return 1", f"{EVERY_MINUTE!r}", "'0 4 * * *'"))

    tick(bot, clock, seconds=90)

    told = collector_of(bot)
    assert values(told, "pinstripe_job_last_success_timestamp_seconds") == {(): NOW.timestamp() + 90}
    assert values(told, "pinstripe_job_next_due_timestamp_seconds") == {(): NOW.timestamp() + 120}


def test_the_last_success_stays_when_later_runs_fail(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("assert not calls, calls.append(1)"))
    told = collector_of(bot)
    tick(bot, clock, minutes=1)
    first = values(told, "pinstripe_job_last_success_timestamp_seconds")

    names_in(bot, "sweep")["calls"].append(1)
    tick(bot, clock, minutes=1)

    assert first == {(): NOW.timestamp() + 60}
    assert values(told, "pinstripe_job_last_success_timestamp_seconds") == first
    assert values(collector_of(bot), "pinstripe_job_last_success_timestamp_seconds") == first


def test_a_job_that_the_project_has_not_is_told_of_as_another(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    bot.tally.claimed(["gone"], [], windows=1)

    due = families(collector_of(bot))["pinstripe_instants_due"]

    assert {one.labels["job"]: one.value for one in due.samples} == {"sweep": 0, OTHER: 1}


# Without a bot, and without a ledger


@contextmanager
def opened(root: Path) -> Iterator[LedgerStore]:
    """The ledger of the project in `root`, opened to look at."""
    store = ledger_place(Project.load(root, environ={}).config, root).store()
    assert store.open_for_reading()
    yield store
    store.close()


def alone(root: Path, store: LedgerStore | None, clock: TravelClock) -> MetricsCollector:
    """The collector of a server without a bot."""
    return MetricsCollector(Project.load(root, environ={}), lambda: store, None, clock, None)


def test_without_a_bot_the_ledger_alone_tells(make_bot: MakeBot, root: Path, clock: TravelClock) -> None:
    tick(make_bot(sweep=job()), clock, minutes=1)

    with opened(root) as store:
        found = families(alone(root, store, clock))

    assert "pinstripe_runs_running" in found
    assert "pinstripe_job_last_success_timestamp_seconds" in found
    assert {"pinstripe_instants_due", "pinstripe_ledger_seconds", "pinstripe_last_tick_age_seconds"}.isdisjoint(found)


def test_without_a_ledger_there_is_an_answer(root: Path, clock: TravelClock) -> None:
    (root / "lib/background_jobs").mkdir(parents=True)

    told = alone(root, None, clock)

    assert values(told, "pinstripe_ledger_up") == {(): 0}
    assert values(told, "pinstripe_info") == {("shop", __version__): 1}


def test_a_ledger_that_cannot_be_opened_is_down(make_bot: MakeBot, clock: TravelClock) -> None:
    def refuse() -> LedgerStore | None:
        raise LedgerError("the ledger is damaged")

    bot = make_bot(sweep=job())

    told = MetricsCollector(bot.project, refuse, None, clock, None)

    assert values(told, "pinstripe_ledger_up") == {(): 0}


def test_a_closed_ledger_is_down_and_what_was_counted_stays(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    tick(bot, clock, minutes=1)

    bot.stop()

    told = collector_of(bot)
    assert values(told, "pinstripe_ledger_up") == {(): 0}
    assert values(told, "pinstripe_runs_started_total") == {(): 1}


def test_a_ledger_that_another_program_writes_to_is_up(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job())

    with locked(bot.ledger):
        up = values(collector_of(bot), "pinstripe_ledger_up")

    assert up == {(): 1}


# The texts


def test_both_texts_tell_the_same(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job("1 / 0"))
    tick(bot, clock, hours=1)
    bot.ledger.beat(clock.now(), stats=bot.dispatcher.stats())  # as the bot's own heartbeat, whenever that comes
    registry = registry_of(collector_of(bot))

    plain, plain_type = exposition(registry, "text/plain")
    openmetrics, openmetrics_type = exposition(registry, OPENMETRICS)

    assert plain_type.startswith("text/plain")
    assert openmetrics_type.startswith("application/openmetrics-text")
    assert samples(parse_openmetrics(openmetrics.decode())) == samples(parse_text(plain.decode()))


def samples(found: Iterator[Metric]) -> set[tuple[str, frozenset[tuple[str, str]], float]]:
    return {(one.name, frozenset(one.labels.items()), one.value) for family in found for one in family.samples}


def test_openmetrics_has_units_and_no_created_series(make_bot: MakeBot, clock: TravelClock) -> None:
    bot = make_bot(sweep=job())
    tick(bot, clock, minutes=1)

    text = exposition(registry_of(collector_of(bot)), OPENMETRICS)[0].decode()

    assert "# UNIT pinstripe_run_duration_seconds seconds" in text
    assert "_created" not in text


@pytest.mark.parametrize("accept", [None, "", "*/*", "nonsense;;q=,", "application/openmetrics-text;version=9"])
def test_whatever_is_asked_for_there_is_an_answer(make_bot: MakeBot, accept: str | None) -> None:
    text, content_type = exposition(registry_of(collector_of(make_bot(sweep=job()))), accept)

    assert b"pinstripe_info" in text
    assert content_type


@given(st.text(max_size=200))
def test_whatever_a_project_is_called_its_text_can_be_read(name: str) -> None:
    project = Project.load(Path(__file__).parent, environ={}, overrides={"name": name or None})
    told = MetricsCollector(project, lambda: None, None, TravelClock(), None)

    assert values(told, "pinstripe_info") == {(project.name, __version__): 1}


def test_two_collectors_share_nothing(make_bot: MakeBot) -> None:
    bot = make_bot(sweep=job())

    first, second = (exposition(registry_of(collector_of(bot)), None) for _ in range(2))

    assert first == second


# The cluster


def test_a_queue_tells_how_deep_it_is_since_when_and_who_serves_it(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(sweep=job("return 1", "'* * * * *', queue='reports'"), other=job("return 1", "'0 0 1 1 *'"))
    tick(bot, clock, minutes=1)
    clock.travel(seconds=5)
    worker = make_carrying(planned=False)
    worker.open(kind="worker")
    told = collector_of(bot)

    assert values(told, "pinstripe_queue_waiting") == {("reports",): 1, ("default",): 0}
    assert values(told, "pinstripe_queue_running") == {("reports",): 0, ("default",): 0}
    assert values(told, "pinstripe_queue_oldest_waiting_seconds") == {("reports",): 5, ("default",): 0}
    assert values(told, "pinstripe_queue_workers") == {("reports",): 1, ("default",): 1}
    assert values(told, "pinstripe_worker_processes") == {(): 1}


def test_without_a_cluster_nothing_is_told_of_one(make_bot: MakeBot) -> None:
    told = families(collector_of(make_bot(sweep=job())))

    assert not [name for name in told if name.startswith(("pinstripe_queue", "pinstripe_worker_processes"))]


# The page


def documented() -> dict[str, tuple[str, tuple[str, ...]]]:
    """{metric: (kind, labels)} as the page lists them."""
    rows = re.findall(r"^\| `(pinstripe_\w+)` \| (\w+) \|([^|]*)\|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_every_metric_is_documented_with_its_type_and_labels() -> None:
    assert documented() == {name: (about.kind, about.labels) for name, about in METRICS.items()}


def test_every_metric_that_is_told_is_listed(make_carrying: MakeBot, clock: TravelClock) -> None:
    bot = make_carrying(sweep=job())
    bot.run_background_job("sweep")
    tick(bot, clock, minutes=1)
    bot.ledger.beat(NOW, stats={"clock_offset_ms": 5})

    told = {f"{one.name}_total" if one.type == "counter" else one.name for one in collector_of(bot).collect()}

    assert {"pinstripe_info" if name == "pinstripe" else name for name in told} == set(METRICS)


def test_the_page_queries_only_metrics_that_there_are() -> None:
    named = set(re.findall(r"\bpinstripe_[a-z_]+[a-z]\b", PAGE.read_text(encoding="utf-8")))
    parts = {f"{name}_{part}" for name, about in METRICS.items() if about.kind == "histogram" for part in PARTS}

    assert named <= set(METRICS) | parts


PARTS = ("bucket", "count", "sum")


@given(st.lists(st.floats(0, 1e5), min_size=1))
def test_a_histogram_ends_with_its_count(seconds: list[float]) -> None:
    histogram = Histogram((1.0, 60.0))
    for value in seconds:
        histogram.observe(value)
    project = Project.load(Path(__file__).parent, environ={})
    told = MetricsCollector(project, lambda: None, _Timed(histogram), TravelClock(), None)  # type: ignore[arg-type]

    buckets = [count for _, count in sorted(values(told, "pinstripe_ledger_seconds_bucket").items())]

    assert sorted(buckets)[-1] == values(told, "pinstripe_ledger_seconds_count")[("claim",)] == len(seconds)


class _Timed:
    """A tally that has nothing but one histogram."""

    catch_up_depth = 0

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram

    def jobs(self) -> dict[str, object]:
        return {}

    def ledger(self) -> dict[str, Histogram]:
        return {"claim": self._histogram}
