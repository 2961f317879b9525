"""Three bots on one ledger, killed at random: every due instant is decided once, nothing is lost, nothing doubled."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import Site, embedded_postgres, job_file, kill_a_backend
from judge import judge
from many_bots import Nursery, nursery_of
from processes import soaking

SECONDS = soaking(5.0, 60.0)
KILLS = soaking(10, 110)
BACKEND_EVERY = 5
"""On PostgreSQL, after so many blows the database is hit as well."""
BLACKOUT_EVERY = 8
"""Of so many blows one kills all bots at once, and leaves nobody there for a while."""
BLACKOUT_S = 1.5
BOTS = 3
MISTAKES = ("tick_failed", "poll_failed", "report_failed", "bot_presumed_dead", "schedule_quarantined")
"""What no bot may have to say."""
LONGEST_S = soaking(1.2, 2.0)
"""How long a job works at most."""

JOBS = {
    **{f"short_{number}": job_file('overlap="allow"', "pass") for number in range(4)},
    "slow": job_file("", f"time.sleep(random.uniform(0.3, {LONGEST_S}))"),
    "slow_beside_itself": job_file('overlap="allow"', "time.sleep(random.uniform(0.3, 1))"),
    "in_turn": job_file('overlap="queue"', f"time.sleep(random.uniform(0.3, {LONGEST_S}))"),
    "catching_up": job_file('catch_up="all"', "time.sleep(0.02)"),
    "tried_again": job_file('on_interrupt="retry"', "time.sleep(random.uniform(0.3, 1.2))"),
    "tried_again_at_once": job_file('on_interrupt="retry", overlap="allow"', "time.sleep(random.uniform(0.05, 0.5))"),
    "asynchronous": job_file('overlap="allow"', "await asyncio.sleep(random.uniform(0, 0.7))"),
    "failing": job_file(
        'retries=2, backoff=("100ms", "300ms")',
        'assert random.random() > 0.5, "on purpose"',
    ),
    "failing_and_slow": job_file(
        'retries=1, backoff="50ms", on_interrupt="retry", overlap="queue"',
        'time.sleep(0.4); assert random.random() > 0.3, "on purpose"',
    ),
}


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """None for SQLite, or the URL of a PostgreSQL server that may be hurt."""
    if request.param == "sqlite":
        yield None
        return
    with embedded_postgres() as url:
        yield url


class Blows:
    """Kills bots of a nursery at random, one or all at once, and lets others take their places; and the database."""

    def __init__(self, nursery: Nursery, url: str | None, chance: random.Random) -> None:
        self.kills = self.backends = self._blows = 0
        self._nursery = nursery
        self._url = url
        self._chance = chance

    def fall(self) -> None:
        """As many in as long as this form of the test wants."""
        begun_s = time.monotonic()
        self._fill_up()
        while self.kills < KILLS:
            due_s = begun_s + (self.kills + self._chance.random()) * SECONDS / KILLS
            time.sleep(max(due_s - time.monotonic(), 0))
            self._blows += 1
            if self._url is not None and self._blows % BACKEND_EVERY == 0:
                self.hit_database()
            if self._blows % BLACKOUT_EVERY == 0:
                self.kill_all()
                time.sleep(self._chance.uniform(0, BLACKOUT_S))
            else:
                self._kill(self._chance.choice(self._nursery.alive))
            self._fill_up()
        self.took_s = time.monotonic() - begun_s

    def hit_database(self) -> None:
        """Kill one of its processes, if this is PostgreSQL and one of them serves a bot."""
        if self._url is not None:
            self.backends += kill_a_backend(self._url, self._chance.choice)

    def kill_all(self) -> None:
        for pid in list(self._nursery.alive):
            self._kill(pid)

    def _kill(self, pid: int) -> None:
        self._nursery.kill(pid)
        self.kills += 1

    def _fill_up(self) -> None:
        while len(self._nursery.alive) < BOTS:
            self._nursery.start()


@pytest.mark.timeout(soaking(120, 300))
def test_bots_killed_at_random_lose_nothing_double_nothing_and_decide_every_instant_once(
    tmp_path: Path, ledger_url: str | None
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    site = Site(tmp_path, JOBS, ledger_url, 'workers = 4\n[logs]\nlevel = "debug"')
    with nursery_of("command", tmp_path) as nursery:
        blows = Blows(nursery, ledger_url, random.Random(seed))
        blows.fall()
        blows.kill_all()
        last = nursery.start_surely()
        blows.hit_database()
        site.wait_for_ledger()
        site.come_to_rest()
        site.wait_until_buried(but=1)

        code = nursery.stop(last)

        assert code == 0, nursery.log_of(last)
        summary = judge(site)
        events = nursery.grep("runs_taken_over", "outcome_refused", "ledger_lost", *MISTAKES)
    hit = f"{blows.kills} bots killed in {blows.took_s:.0f} s, {blows.backends} processes of the database"
    print(f"{hit}; {summary}; logs: {dict(events)}")
    assert not any(events[mistake] for mistake in MISTAKES)
