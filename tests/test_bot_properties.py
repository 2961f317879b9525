"""Two bots, people, crashes and clocks in any order: the five promises hold after every step."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Condition
from time import monotonic
from typing import Any, NamedTuple

import psycopg
import pytest
from bots import PATIENCE_S, Ears, claim_only, crash, job, let_go, locked, rows, write_jobs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pinstripe_bot.bot import Bot
from pinstripe_bot.config import Config, LedgerConfig
from pinstripe_bot.cron import parse
from pinstripe_bot.errors import UnknownJob
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_acts import ActRefused, Acts
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.project import Project
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.testing import TravelClock

IS_SOAKING = os.environ.get("PINSTRIPE_TEST_SOAK") == "1"

SECOND = 1_000_000
WORKERS = 3
ENDED = frozenset({"succeeded", "failed", "timed_out", "cancelled", "interrupted", "skipped"})

EXPRESSIONS = ["* * * * *", "*/3 * * * *", "2-59/5 * * * *", "30 2 * * *", "*/20 * * * * *"]
ZONES = ["UTC", "Europe/Berlin", "Australia/Lord_Howe"]
CATCH_UPS = [
    "",
    "catch_up='all', catch_up_max=3",
    "catch_up='all', catch_up_max=2, catch_up_spacing='45s'",
    "catch_up='none'",
    "max_lateness='10m'",
]
OVERLAPS = ["skip", "queue", "allow"]
START = datetime(2026, 3, 28, 23, tzinfo=UTC)
"""Two hours before the clocks of Berlin change."""

BODY = """
world.begin(workspace)
while world.mode == "hang":
    workspace.checkpoint()
    world.wait()
if world.mode == "fail":
    raise ValueError("it was told to")
"""

FAULTS = [
    "crash",
    "crash_between_claim_and_start",
    "crash_between_start_and_the_first_line",
    "one_is_taken_for_dead_by_the_other_and_lives_on",
    "restart",
    "tick_while_the_ledger_is_locked",
    "the_answer_to_a_claim_is_lost",
]
ACTS = ["pause", "resume", "skip", "retry", "cancel", "run_by_hand", "run_a_second_by_hand"]

two = st.integers(0, 1)


class World:
    """What the job meets: how it is to end, and who writes down that it has begun."""

    def __init__(self) -> None:
        self.mode = "succeed"
        self.begun: list[tuple[int, int]] = []  # (run, attempt), in order
        self.changed = Condition()

    def begin(self, workspace: Any) -> None:
        with self.changed:
            self.begun.append((workspace.run_id, workspace.attempt))
            self.changed.notify_all()

    def wait(self) -> None:
        with self.changed:
            self.changed.wait(0.003)

    def set(self, mode: str) -> None:
        with self.changed:
            self.mode = mode
            self.changed.notify_all()


class Release(NamedTuple):
    """What the files of the project say."""

    expression: str
    zone: str
    catch_up: str
    overlap: str
    state: str = "sound"  # or "broken", "removed"

    def text(self) -> str:
        often = f"{self.expression!r}, name='often', timezone={self.zone!r}, {self.catch_up}"
        hourly = "'0 * * * *', name='hourly', timezone='UTC'"
        options = f"overlap={self.overlap!r}, retries=2, backoff='30s'"
        text = job(BODY, f"{often.rstrip(', ')}, {options}", f"{hourly}, {options}", head="world = None")
        return {"sound": text, "broken": f"{text}\nthis is not Python\n", "removed": ""}[self.state]


releases = st.builds(
    Release,
    st.sampled_from(EXPRESSIONS),
    st.sampled_from(ZONES),
    st.sampled_from(CATCH_UPS),
    st.sampled_from(OVERLAPS),
    st.just("sound"),
)


class Span(NamedTuple):
    """A row of `occurrences`, its instants in UTC seconds."""

    id: int
    job: str
    schedule: str
    key: str
    first_ts: int
    last_ts: int
    decision: str
    reason: str | None
    count: int
    claimed_at: int
    bot: str


class RunRow(NamedTuple):
    id: int
    occurrence: int
    state: str
    reason: str | None
    attempt: int
    finished_at: int | None


class TwoBots(RuleBasedStateMachine):
    """Two bots on one ledger, on a SQLite file or at `url`."""

    url: str | None = None

    @initialize(release=releases)
    def begin(self, release: Release) -> None:
        self.stack = ExitStack()
        self.stack.enter_context(Ears())
        self.root = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        if self.url is not None:
            with psycopg.connect(self.url, autocommit=True) as server:
                server.execute("DROP SCHEMA IF EXISTS pinstripe CASCADE")
        self.clock, self.world, self.release = TravelClock(START), World(), release
        self.sound = release
        self.spans: dict[int, Span] = {}
        self.runs: dict[int, RunRow] = {}
        self.floors: dict[tuple[str, str], tuple[str, int, int]] = {}  # (form, since, decided by other forms)
        self.paused: list[tuple[int, float]] = []  # (after, until], UTC seconds
        self.by_hand: set[int] = set()  # occurrences that were asked for, whatever the marks
        self.latest = self.clock.now()
        self._write()
        self.bots: list[Bot | None] = [None, None]
        self.presumed_dead: list[Bot] = []
        self.peer = self._ledger()
        self._bot(0)

    # Bots

    def _write(self) -> None:
        write_jobs(self.root, sweep=job(), other=job("return 1", "'*/7 * * * *'"))
        write_jobs(self.root, sweep=self.release.text())

    def _ledger(self) -> Ledger:
        place = ledger_place(Config(ledger=LedgerConfig(url=self.url)), self.root)
        return Ledger(place, locks=self.root / ".pinstripe" / "bots", busy_timeout_s=0.2)

    def _bot(self, place: int) -> Bot:
        bot = self.bots[place]
        if bot is None:
            bot = Bot(self._project(), clock=self.clock, ledger=self._ledger())
            bot.plan()
            self.bots[place] = bot
            self._wait(bot)
        return bot

    def _project(self) -> Project:
        project = Project.load(self.root, environ={}, overrides={"workers": WORKERS})
        if "sweep" in project.jobs:
            project.jobs["sweep"].author.__globals__["world"] = self.world
        return project

    def _living(self) -> list[Bot]:
        return [bot for bot in self.bots if bot is not None]

    def _wait(self, bot: Bot) -> None:
        """Wait until all that can begin has begun, and all that can end has ended."""
        deadline_s = monotonic() + PATIENCE_S
        while not self._is_quiet(bot):
            assert monotonic() < deadline_s, f"the bot comes to no rest: {bot.dispatcher.open_runs}"
            self.world.wait()

    def _is_quiet(self, bot: Bot) -> bool:
        hang = len(bot.dispatcher.running.runs) if self.world.mode == "hang" else 0
        return bot.dispatcher.open_count == hang or hang == WORKERS

    def _kill(self, place: int) -> None:
        bot = self.bots[place]
        assert bot is not None
        if bot in self.presumed_dead:
            bot.ledger.store.close()
            self._let_lease_expire(bot)
        else:
            crash(bot.ledger)
        bot.dispatcher.is_closing = True
        bot.dispatcher.running.abandon_all()
        bot.dispatcher.close(0)
        self.bots[place] = None

    def _let_lease_expire(self, bot: Bot) -> None:
        """Of a bot that was taken for dead the lock file is gone; what counts then is a clock that no test moves."""
        if self.url is not None:
            with psycopg.connect(self.url, options="-c search_path=pinstripe") as server:
                server.execute("UPDATE bots SET lease_until = 0 WHERE id = %s", [bot.ledger.bot])

    # What happens; few rules with many forms, since hypothesis leaves some rules out of each example

    @rule(place=two, seconds=st.sampled_from([1, 7, 20, 60, 61, 300, 300, 3600, 7200, 86400, 3 * 86400]))
    def time_passes(self, place: int, seconds: int) -> None:
        self.travel(seconds)
        self.tick(place)
        self.look(place)

    @rule(place=two, fault=st.sampled_from(FAULTS), seconds=st.sampled_from([0, 0, 60, 700]))
    def something_breaks(self, place: int, fault: str, seconds: int) -> None:
        self.travel(seconds)
        getattr(self, fault)(place)

    @rule(place=two, act=st.sampled_from(ACTS), number=st.integers(0, 5), seconds=st.sampled_from([0, 60, 3600]))
    def a_person_acts(self, place: int, act: str, number: int, seconds: int) -> None:
        getattr(self, act)(place, number)
        self.time_passes(1 - place, seconds)

    @rule(place=two, number=st.integers(0, 5), seconds=st.sampled_from([61, 600, 7200]), restarts=st.booleans())
    def the_job_is_paused_for_a_while(self, place: int, number: int, seconds: int, restarts: bool) -> None:
        self.pause(place, number)
        self.travel(seconds)
        if restarts:
            self.restart(place)
        self.tick(place)

    @rule(place=two, seconds=st.sampled_from([61, 600, 7200]))
    def a_run_that_hangs_is_given_up_by_the_other_bot(self, place: int, seconds: int) -> None:
        self.let_the_job("hang")
        self.time_passes(place, seconds)
        self.one_is_taken_for_dead_by_the_other_and_lives_on(place)
        self.the_promises_hold()
        self.let_the_job("succeed")

    @rule(place=two, release=releases, state=st.sampled_from(["sound", "sound", "as before", "broken", "removed"]))
    def a_release_is_deployed(self, place: int, release: Release, state: str) -> None:
        """Every bot that starts from now on has it; one that runs goes on with what it has loaded."""
        self.sound = release if state == "sound" else self.sound
        self.release = self.sound._replace(state=state) if state in ("broken", "removed") else self.sound
        self._write()
        self.restart(place)

    def travel(self, seconds: int) -> None:
        self.clock.travel(seconds=seconds)
        self.latest = max(self.latest, self.clock.now())

    @rule(seconds=st.sampled_from([1, 60, 600, 7200]))
    def set_the_clock_back(self, seconds: int) -> None:
        self.clock.jump(seconds=-seconds)

    def tick(self, place: int) -> None:
        bot = self._bot(place)
        bot.tick()
        self._wait(bot)

    def look(self, place: int) -> None:
        bot = self._bot(place)
        bot.parts.look()
        self._wait(bot)

    @rule(mode=st.sampled_from(["succeed", "succeed", "fail", "hang"]))
    def let_the_job(self, mode: str) -> None:
        self.world.set(mode)
        for bot in self._living():
            self._wait(bot)

    def crash(self, place: int) -> None:
        self._bot(place)
        self._kill(place)

    def crash_between_claim_and_start(self, place: int) -> None:
        claim_only(self._bot(place))
        self._kill(place)

    def crash_between_start_and_the_first_line(self, place: int) -> None:
        bot = self._bot(place)
        bot.ledger.start(claim_only(bot), self.clock.now())
        self._kill(place)

    def one_is_taken_for_dead_by_the_other_and_lives_on(self, place: int) -> None:
        bot, other = self._bot(place), self._bot(1 - place)
        if bot not in self.presumed_dead:
            let_go(bot.ledger)
            self.presumed_dead.append(bot)
        other.parts.rounds.bury()
        other.parts.look()
        self._wait(other)

    def restart(self, place: int) -> None:
        bot = self._bot(place)
        bot.cut_short()
        bot.stop()
        self.bots[place] = None
        self._bot(place)

    def tick_while_the_ledger_is_locked(self, place: int) -> None:
        bot = self._bot(place)
        with locked(bot.ledger):
            bot.tick()

    def the_answer_to_a_claim_is_lost(self, place: int) -> None:
        """The commit was made, and nobody here heard of it: a window that is offered again, runs to be found."""
        bot = self._bot(place)
        dues = bot.timetable.due(int(self.clock.now().timestamp()))
        bot.ledger.claim(dues, self.clock.now())

    # People

    def _acts(self, place: int) -> Acts:
        bot = self._bot(place)
        return Acts(bot.ledger.store, bot.project, Person("ada", "the test"))

    def pause(self, place: int, number: int) -> None:
        now, minutes = self.clock.now(), [None, 5, 90][number % 3]
        until_at = None if minutes is None else now + timedelta(minutes=minutes)
        self._acts(place).pause("sweep", now, until_at=until_at)
        self._end_pause(now)
        until_s = float("inf") if until_at is None else until_at.timestamp() - 1
        self.paused.append((int(now.timestamp()), until_s))

    def resume(self, place: int, _number: int = 0) -> None:
        self._acts(place).resume("sweep", self.clock.now())
        self._end_pause(self.clock.now())

    def _end_pause(self, now: datetime) -> None:
        now_s = now.timestamp()
        self.paused = [(after_ts, min(until_s, now_s)) for after_ts, until_s in self.paused]

    def skip(self, place: int, number: int) -> None:
        try:
            self._acts(place).skip("sweep", number % 3, self.clock.now())
        except UnknownJob:
            return

    def retry(self, place: int, number: int) -> None:
        ended = sorted(one.id for one in self.runs.values() if one.state in ENDED)
        if ended:
            try:
                self._acts(place).retry(ended[-1 - number % len(ended)], self.clock.now())
            except (ActRefused, UnknownJob):
                return
            self.look(place)

    def cancel(self, place: int, number: int) -> None:
        still_open = sorted(one.id for one in self.runs.values() if one.state not in ENDED)
        if still_open:
            self._acts(place).cancel(still_open[number % len(still_open)], self.clock.now())
            for one in range(2):
                self.look(one)

    def run_by_hand(self, place: int, _number: int) -> None:
        if self.world.mode == "hang":
            return
        try:
            self._bot(place).run_background_job("sweep")
        except UnknownJob:
            return

    def run_a_second_by_hand(self, place: int, number: int) -> None:
        if self.world.mode == "hang":
            return
        bot = self._bot(place)
        before = set(self._read_spans())
        minute = int(self.clock.now().timestamp()) // 60 + [-30, -2, 0, 1, 2, 60][number]
        bot.run_background_jobs(minute * 60)
        self.by_hand |= set(self._read_spans()) - before

    # What the ledger says

    def _read_spans(self) -> dict[int, Span]:
        query = (
            "SELECT id, job, schedule, key, due_at, coalesce(until_at, due_at), decision, reason, count, claimed_at,"
            " bot FROM occurrences ORDER BY id"
        )
        found = (Span(*row) for row in rows(self.peer, query))
        whole = (one._replace(first_ts=one.first_ts // SECOND, last_ts=one.last_ts // SECOND) for one in found)
        return {one.id: one for one in whole}

    def _read_runs(self) -> dict[int, RunRow]:
        query = "SELECT id, occurrence_id, state, reason, attempt, finished_at FROM runs"
        return {row[0]: RunRow(*row) for row in rows(self.peer, query)}

    def _read_marks(self) -> dict[tuple[str, str], tuple[str, int, int]]:
        """{(job, schedule): (form, since when it counts, until when it is decided)} of those that are planned."""
        query = "SELECT job, schedule, fingerprint, effective_from, planned_to FROM schedules WHERE removed_at IS NULL"
        return {(row[0], row[1]): (row[2], row[3] // SECOND, row[4] // SECOND) for row in rows(self.peer, query)}

    @invariant()
    def the_promises_hold(self) -> None:
        if not hasattr(self, "peer"):
            return
        spans, runs, marks = self._read_spans(), self._read_runs(), self._read_marks()
        self._no_decision_was_changed(spans)
        self._nothing_runs_that_lies_in_the_past(spans, marks)
        self._every_instant_is_in_one_decision(spans, marks)
        self._a_run_only_goes_forward(runs)
        self._no_attempt_began_twice(spans, runs)
        self.spans, self.runs = spans, runs

    def _no_decision_was_changed(self, spans: dict[int, Span]) -> None:
        for before in self.spans.values():
            after = spans[before.id]
            if (after.decision, after.reason) == ("skipped", "paused"):
                assert after.last_ts >= before.last_ts
                assert after.count >= before.count
                after = after._replace(last_ts=before.last_ts, count=before.count)
            assert after == before, "a decision was changed"

    def _nothing_runs_that_lies_in_the_past(
        self, spans: dict[int, Span], marks: dict[tuple[str, str], tuple[str, int, int]]
    ) -> None:
        fresh = [
            one for one in spans.values() if one.id not in self.spans and one.id not in self.by_hand and not one.key
        ]
        for one in fresh:
            mark = marks.get((one.job, one.schedule))
            if one.decision == "run":
                if mark is not None:
                    assert one.first_ts > mark[1], "it was fired from before it counts"
                if one.job == "sweep":
                    assert not any(after < one.first_ts <= until for after, until in self.paused), "it was paused"

    def _every_instant_is_in_one_decision(
        self, spans: dict[int, Span], marks: dict[tuple[str, str], tuple[str, int, int]]
    ) -> None:
        forms = self._forms()
        for key, (form, since_ts, until_ts) in marks.items():
            mine = sorted(
                (one for one in spans.values() if (one.job, one.schedule) == key and not one.key),
                key=lambda one: one.first_ts,
            )
            assert max(Counter(one.first_ts for one in mine).values(), default=1) == 1
            if self.floors.get(key, ("", 0, 0))[:2] != (form, since_ts):
                older = [one.last_ts for one in mine if one.id in self.spans]
                self.floors[key] = (form, since_ts, max([since_ts, *older]))
            schedule = forms.get((*key, form))
            if schedule is not None:
                _check_coverage(schedule, mine, self.floors[key][2], until_ts)

    def _forms(self) -> dict[tuple[str, str, str], Schedule]:
        """The schedules that the bots have loaded, by what the ledger calls them."""
        loaded = itertools.chain.from_iterable(bot.project.schedules for bot in self._living())
        return {(one.job, one.name, one.fingerprint): one for one in loaded}

    def _a_run_only_goes_forward(self, runs: dict[int, RunRow]) -> None:
        assert self.runs.keys() <= runs.keys()
        assert max(Counter(one.occurrence for one in runs.values()).values(), default=1) == 1
        for before in self.runs.values():
            after = runs[before.id]
            assert after.attempt >= before.attempt, "an attempt was taken back"
            if before.state in ENDED and after.attempt == before.attempt:
                assert after == before, "an ended run was changed"

    def _no_attempt_began_twice(self, spans: dict[int, Span], runs: dict[int, RunRow]) -> None:
        begun = Counter(self.world.begun)
        assert max(begun.values(), default=1) == 1, "an attempt was begun twice"
        for run_id, attempt in begun:
            assert runs[run_id].attempt >= attempt, "an unrecorded attempt was begun"
            if runs[run_id].attempt == attempt:
                assert runs[run_id].state != "queued", "an unrecorded start"
        decided = [one.id for one in spans.values() if one.decision == "run"]
        assert sorted(decided) == sorted(
            one.occurrence for one in runs.values() if spans[one.occurrence].decision == "run"
        ), "a decision to run without its run"

    # The end

    def teardown(self) -> None:
        if not hasattr(self, "peer"):
            return
        try:
            self._come_to_an_end()
        finally:
            self.world.set("succeed")
            for bot in self._living():
                bot.cut_short()
                bot.stop()
            self.stack.close()

    def _come_to_an_end(self) -> None:
        """The clock is right again, nothing hangs, nobody pauses: everything is decided, and everything ends."""
        self.clock.jump(self.latest - self.clock.now())
        self.let_the_job("succeed")
        self.release = self.sound
        self._write()
        for place in (0, 1):
            self.restart(place)
        self.resume(0)
        self.the_promises_hold()
        for _ in range(12):
            self.clock.travel(minutes=1)
            for place in (0, 1):
                self.tick(place)
            self._take_all_that_waits()
            self.the_promises_hold()
        now_ts = int(self.clock.now().timestamp())
        self._decide_by_a_fresh_bot()
        waiting = [one for one in self.runs.values() if one.state not in ENDED and not self._is_fresh(one, now_ts)]
        assert waiting == [], "a run was left behind"

    def _take_all_that_waits(self) -> None:
        """As pollers do, which are woken when something has ended: runs that start one after another."""
        for place in itertools.cycle((0, 1)):
            self.look(place)
            if not any(bot.parts.intake.is_taking for bot in self._living()):
                return

    def _is_fresh(self, run: RunRow, now_ts: int) -> bool:
        return self.spans[run.occurrence].claimed_at // SECOND > now_ts - 240

    def _decide_by_a_fresh_bot(self) -> None:
        for place in (0, 1):
            self.tick(place)
        self.the_promises_hold()
        now_ts = int(self.clock.now().timestamp())
        forms = self._forms()
        for (job_name, name), (form, _, until_ts) in self._read_marks().items():
            schedule = forms[job_name, name, form]
            assert schedule.next_after_ts(until_ts) > now_ts, "an instant is undecided"


def _check_coverage(schedule: Schedule, mine: list[Span], floor_ts: int, until_ts: int) -> None:
    """In (floor, until] every instant is in exactly one span, and each stretch counts its own."""
    covered_ts = max([floor_ts, *(one.last_ts for one in mine if one.first_ts <= floor_ts)])
    for one in mine:
        if one.first_ts <= floor_ts:
            continue
        assert one.first_ts > covered_ts or one.first_ts <= floor_ts, "an instant is in two decisions"
        assert schedule.count_ts(covered_ts, one.first_ts - 1) == 0 or one.first_ts > until_ts, "an instant is in none"
        assert one.count == schedule.count_ts(one.first_ts - 1, one.last_ts), "a stretch miscounts"
        covered_ts = one.last_ts
    if until_ts > covered_ts:
        assert schedule.count_ts(covered_ts, until_ts) == 0, "an instant is in no decision"


def examples(short: int, long: int) -> settings:
    """So many examples; more and longer ones, and others each time, where PINSTRIPE_TEST_SOAK=1."""
    return settings(
        max_examples=long if IS_SOAKING else short,
        stateful_step_count=50 if IS_SOAKING else 25,
        deadline=None,
        derandomize=not IS_SOAKING,
        suppress_health_check=[HealthCheck.too_slow],
    )


class TwoBotsOnPostgres(TwoBots):
    """The same on PostgreSQL; the test sets `url`."""


@pytest.mark.timeout(1800 if IS_SOAKING else 120)
class TestTwoBots(TwoBots.TestCase):  # type: ignore[name-defined, misc]
    settings = examples(18, 300)


@pytest.mark.timeout(1800 if IS_SOAKING else 120)
class TestTwoBotsOnPostgres(TwoBotsOnPostgres.TestCase):  # type: ignore[name-defined, misc]
    settings = examples(3, 100)

    @pytest.fixture(autouse=True)
    def _on_postgres(self, fresh_postgres_url: str) -> None:
        TwoBotsOnPostgres.url = fresh_postgres_url


def test_the_model_knows_the_instants_of_its_expressions() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)

    found = [parse(expression).next_after(start, "UTC") - start for expression in EXPRESSIONS]

    assert [one.total_seconds() for one in found] == [60, 180, 120, 9000, 20]


def test_a_paused_stretch_does_not_shrink_when_the_clock_is_set_back_and_its_schedule_edited() -> None:
    release = Release("* * * * *", "UTC", "", "skip", "sound")
    state = TwoBots()
    state.begin(release=release)

    try:
        state.the_job_is_paused_for_a_while(place=0, number=0, seconds=61, restarts=False)
        state.the_promises_hold()
        state.set_the_clock_back(seconds=600)
        state.a_release_is_deployed(place=0, release=release._replace(zone="Europe/Berlin"), state="sound")
        state.time_passes(place=0, seconds=300)
        state.the_promises_hold()
    finally:
        state.teardown()
