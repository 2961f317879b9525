"""Timetable, ledger and bots together, in any order of ticks, crashes, jumps and edits."""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from bots import Ears, claim_only, crash, job, rows, write_jobs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pinstripe_bot.bot import Bot
from pinstripe_bot.cron import parse
from pinstripe_bot.project import Project
from pinstripe_bot.testing import TravelClock

EXPRESSIONS = ["* * * * *", "*/3 * * * *", "2-59/5 * * * *"]
ZONE = "UTC"
SECOND = 1_000_000

two = st.integers(0, 1)


class TwoBots(RuleBasedStateMachine):
    """Two bots on one ledger; the model is the expression of today and since when it is in force."""

    @initialize(expression=st.sampled_from(EXPRESSIONS))
    def begin(self, expression: str) -> None:
        self.ears = Ears()
        self.ears.__enter__()
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.clock = TravelClock()
        self.expression = expression
        self.since = self.clock.now()  # since when the expression of today is in force
        self.latest = self.clock.now()  # that any clock has shown
        write_jobs(self.root, sweep=self._file())
        self.bots: list[Bot | None] = [self._new_bot(), None]
        self.path = self._living()[0].ledger.path

    def _file(self) -> str:
        return job("return 1", f"{self.expression!r}, name='often', overlap='allow'")

    def _new_bot(self) -> Bot:
        project = Project.load(self.root, environ={}, overrides={"workers": 1})
        bot = Bot(project, clock=self.clock)
        bot.plan()
        return bot

    def _living(self) -> list[Bot]:
        return [bot for bot in self.bots if bot is not None]

    def _bot(self, place: int) -> Bot:
        bot = self.bots[place] or self._new_bot()
        self.bots[place] = bot
        return bot

    @rule(seconds=st.integers(1, 1000))
    def travel(self, seconds: int) -> None:
        self.clock.travel(seconds=seconds)
        self.latest = max(self.latest, self.clock.now())

    @rule(seconds=st.integers(1, 300))
    def go_back(self, seconds: int) -> None:
        now = self.clock.now()
        self.clock.jump(seconds=-min(seconds, int((now - self.since).total_seconds())))

    @rule(place=two)
    def tick(self, place: int) -> None:
        bot = self._bot(place)
        bot.tick()
        bot.dispatcher.wait_until_idle()

    @rule(place=two)
    def crash_in_the_middle_of_a_tick(self, place: int) -> None:
        bot = self._bot(place)
        claim_only(bot)
        self._kill(place)

    @rule(place=two)
    def crash_while_running(self, place: int) -> None:
        bot = self._bot(place)
        bot.ledger.start(claim_only(bot), self.clock.now())
        self._kill(place)

    def _kill(self, place: int) -> None:
        bot = self.bots[place]
        assert bot is not None
        crash(bot.ledger)
        bot.dispatcher.close()
        self.bots[place] = None

    @rule(place=two)
    def restart(self, place: int) -> None:
        if self.bots[place] is not None:
            self.bots[place].stop()
            self.bots[place] = None
        self._bot(place).dispatcher.wait_until_idle()

    @rule(place=two, seconds=st.integers(0, 600))
    def run_a_second_by_hand(self, place: int, seconds: int) -> None:
        instant_ts = int(self.since.timestamp()) + 1 + seconds
        self._bot(place).run_background_jobs(instant_ts)

    @rule(place=two, expression=st.sampled_from(EXPRESSIONS))
    def edit(self, place: int, expression: str) -> None:
        """A new release: every bot that starts from now on has it."""
        if expression == self.expression:
            return
        self._decide_all()  # before the expression changes: later, nobody will
        self.expression = expression
        write_jobs(self.root, sweep=self._file())
        if self.bots[place] is not None:
            self.bots[place].stop()
        self.bots[place] = self._new_bot()
        self.since = self.clock.now()

    def _decide_all(self) -> None:
        """Decide what has come due, by a clock that is right again."""
        self.clock.jump(self.latest - self.clock.now())
        for bot in self._living() or [self._bot(0)]:
            bot.tick()
            bot.dispatcher.wait_until_idle()

    @invariant()
    def no_instant_is_run_or_decided_twice(self) -> None:
        if not hasattr(self, "path"):
            return
        instants = rows(self.path, "SELECT job, due_at FROM runs")
        assert max(Counter(instants).values(), default=1) == 1
        spans = rows(self.path, "SELECT due_at, coalesce(until_at, due_at) FROM occurrences ORDER BY due_at")
        assert all(until < after for (_, until), (after, _) in pairwise(spans))

    def teardown(self) -> None:
        if not hasattr(self, "path"):
            return
        try:
            self._decide_all()
            self._restart_all()
            self._every_instant_since_the_last_edit_is_decided()
            self._every_run_has_ended()
        finally:
            for bot in self._living():
                bot.stop()
            self.folder.cleanup()
            self.ears.__exit__()

    def _restart_all(self) -> None:
        for place in (0, 1):
            self.restart(place)
            self.tick(place)

    def _every_instant_since_the_last_edit_is_decided(self) -> None:
        cron, now = parse(self.expression), self.clock.now()
        due, instant = set(), cron.next_after(self.since, ZONE)
        while instant <= now:
            due.add(int(instant.timestamp()) * SECOND)
            instant = cron.next_after(instant, ZONE)
        query = "SELECT due_at, coalesce(until_at, due_at), count FROM occurrences WHERE due_at > ? AND due_at <= ?"
        span = (int(self.since.timestamp()) * SECOND, int(now.timestamp()) * SECOND)
        decided = rows(self.path, query, *span)
        # What was run by hand ahead of an edit need not be due any more.
        assert sum(count for first, _, count in decided if first in due) == len(due)
        assert all(sum(first <= one <= last for first, last, _ in decided) == 1 for one in due)

    def _every_run_has_ended(self) -> None:
        open_runs = rows(self.path, "SELECT count(*) FROM runs WHERE state IN ('queued', 'running')")
        decided = rows(self.path, "SELECT count(*) FROM occurrences WHERE decision = 'run'")
        assert open_runs == [(0,)]
        assert rows(self.path, "SELECT count(*) FROM runs") == decided


TestTwoBots = TwoBots.TestCase
TestTwoBots.settings = settings(max_examples=18, stateful_step_count=15, deadline=None, derandomize=True)


def test_the_model_knows_the_instants_of_its_expressions() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)

    minutes = [parse(expression).next_after(start, ZONE).minute for expression in EXPRESSIONS]

    assert minutes == [1, 3, 2]
