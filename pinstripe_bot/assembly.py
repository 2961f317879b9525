"""The assembly: builds what a bot performs runs with, each part given those that it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING

from pinstripe_bot.admission import Admission
from pinstripe_bot.atomic_commit import BotCommits
from pinstripe_bot.by_hand import ByHand
from pinstripe_bot.clock import Clock
from pinstripe_bot.database import DatabasePool
from pinstripe_bot.database_engine import database_url
from pinstripe_bot.dispatcher import Dispatcher
from pinstripe_bot.errors import InvalidConfig, LedgerUnavailable
from pinstripe_bot.hook_calls import Hooks
from pinstripe_bot.intake import Intake
from pinstripe_bot.isolation import ProcessIsolation
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_claim import Claim
from pinstripe_bot.ledger_place import NEEDS_EXTRA, refuse_small_ledger
from pinstripe_bot.ledger_queue import is_same_database
from pinstripe_bot.ledger_store import Opened
from pinstripe_bot.lister import Lister
from pinstripe_bot.metrics import Tally
from pinstripe_bot.occurrence import Due, Reason, Run
from pinstripe_bot.policies import Isolation
from pinstripe_bot.project import Project
from pinstripe_bot.pruner import Pruner, keeping_of
from pinstripe_bot.retries import Retries
from pinstripe_bot.rounds import Rounds
from pinstripe_bot.runner import Runner
from pinstripe_bot.schedule import Schedule
from pinstripe_bot.services import ProcessServices
from pinstripe_bot.superseded import Superseded
from pinstripe_bot.tenant_homes import TenantHomes
from pinstripe_bot.tenant_zones import TenantZones
from pinstripe_bot.timetable import Timetable
from pinstripe_bot.workspace import Caller, Workspace

if TYPE_CHECKING:  # an optional extra: loaded where there is a cluster
    from pinstripe_bot.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Parts:
    """What one bot has while it is open."""

    ledger: Ledger
    shared: ProcessServices
    processes: ProcessIsolation
    dispatcher: Dispatcher
    commits: BotCommits
    admission: Admission
    rounds: Rounds
    intake: Intake
    cluster: Cluster | None  # in the place of the intake, where runs are carried to workers
    pruner: Pruner
    by_hand: ByHand
    lister: Lister
    tenant_zones: TenantZones
    superseded: Superseded
    tally: Tally

    def open_ledger(self, project: str, now: datetime, kind: str, *, recover: bool) -> Opened:
        """Sign in, and in a cluster find its tables in order. Raises LedgerError."""
        opened = self.ledger.open(project, now, kind=kind, recover=recover)
        if self.cluster is not None and kind != "command":
            if kind == "bot":  # what it claims the workers perform: its own threads wait for runs by hand alone
                self.dispatcher.also_told = {"workers": 0}
            try:
                self.cluster.begin()
            except BaseException:
                self.ledger.close(now)
                raise
        return opened

    def turn_of(self, kind: str) -> Callable[[], None]:
        """What the poller of a "bot", "worker" or "command" looks for."""
        return {"bot": self.look, "worker": self.look_as_worker}.get(kind, self.hear)

    def look(self) -> None:
        """The poller's turn: what waits in the ledger, and what is old enough to go."""
        self._look(self.rounds.look, self.take, self.lister.look, self.tenant_zones.look, self.pruner.look)

    def take(self) -> None:
        """Give what waits in the ledger to the worker threads of this process, or to the workers of the cluster."""
        if self.cluster is None:
            self.intake.look()
        else:
            self.cluster.look()

    def look_as_worker(self) -> None:
        """The turn of a worker's poller: planning and listing are the bots' part."""
        self._look(self.rounds.look, self.take)

    def _look(self, *looks: Callable[[], None]) -> None:
        if self.dispatcher.is_closing:
            return
        with self.ledger.trouble.noted("look"):
            for look in looks:
                look()

    def plan(self, timetable: Timetable[Schedule], now: datetime) -> None:
        """Let the timetable have what is this bot's to plan again, and the zones in which tenants live."""
        self.superseded.look(timetable, now)
        self.tenant_zones.plan(timetable, now)

    def claim(self, dues: Sequence[Due[Schedule]], now: datetime, cause: Reason) -> Claim | None:
        """Decide these windows; None if the ledger does not answer."""
        try:
            with self.tally.timed("claim"):
                return self.ledger.claim(dues, now, cause=cause)
        except LedgerUnavailable as error:
            self.ledger.trouble.note("claim", str(error))
            return None

    def wake_with(self, wake: Callable[[], None]) -> None:
        """Let `wake` be called when there may be something to take: listed, enqueued, or next in turn."""
        self.lister.wake = self.by_hand.wake = wake
        # Of runs that start one after another, the next one need not wait for a second.
        self.dispatcher.on_recorded = lambda: wake() if self.intake.is_taking else None

    def begin(self) -> None:
        """At a start: end what is of jobs that are no more, and take over what waits.

        Only at a start, which makes this the project of today: a bot that has run for long does not know new jobs.
        """
        self.lister.begin()
        self.admission.refuse_removed(self.ledger.waiting.take_removed(self.admission.known))
        self.take()

    def hear(self) -> None:
        """The turn of a command's poller: what a person wants of the run that it performs."""
        with self.ledger.trouble.noted("look"):
            self.rounds.pass_wishes_on()

    def start_processes(self, project: Project) -> None:
        """Let the fork server load the project, if any job runs in a process of its own."""
        if any(job.options["isolation"] is Isolation.PROCESS for job in project.jobs.values()):
            self.processes.start()


def assemble(project: Project, ledger: Ledger, clock: Clock, hooks: Hooks, tally: Tally, bot: Caller) -> Parts:
    """The parts of a bot; no thread is started, and nothing is connected. Raises DatabaseError for a wrong URL."""
    shared = ProcessServices(project.config, _pool(project, clock))
    processes = ProcessIsolation(project, clock)

    def on_start(run: Run) -> None:
        tally.run_started(run)
        hooks.run_started(run)

    runner = Runner(project, shared, clock, on_start, processes)
    retries = Retries(project, clock)
    dispatcher = Dispatcher(
        runner,
        ledger,
        clock,
        bot,
        workers=project.config.workers,
        limit_of=lambda name: job.concurrency if (job := project.jobs.get(name)) else None,
        retry_at=retries.retry_at,
        hooks=hooks,
        tally=tally,
    )
    admission = Admission(project, ledger, dispatcher, clock, tally)
    rounds = Rounds(project, ledger, dispatcher, admission, clock, retries, hooks, tally)
    intake = Intake(project, ledger, dispatcher, admission, clock)
    commits = BotCommits(ledger, clock, dispatcher.may_commit, is_one_database=_is_one_database(project, ledger))
    pruner = Pruner(ledger.store, lambda: keeping_of(project), clock, is_idle=lambda: not dispatcher.stats()["waiting"])

    def workspace() -> Workspace:
        return Workspace(project=project, shared=shared, clock=clock, bot=bot)

    homes = TenantHomes(project, ledger, clock, workspace)
    lister = Lister(project, ledger, clock, hooks, tally, homes)
    tenant_zones = TenantZones(project, ledger, clock, homes)
    superseded = Superseded(ledger, clock, hooks, tally)
    by_hand = ByHand(project, ledger, runner, dispatcher, clock, lister, homes, is_one_database=commits.is_one_database)
    parts = (commits, admission, rounds, intake, _cluster(project, ledger, clock), pruner, by_hand)
    return Parts(ledger, shared, processes, dispatcher, *parts, lister, tenant_zones, superseded, tally)


def _pool(project: Project, clock: Clock) -> DatabasePool | None:
    url = project.config.database.url
    return None if url is None else DatabasePool(url, root=project.root, monotonic=clock.monotonic)


def _cluster(project: Project, ledger: Ledger, clock: Clock) -> Cluster | None:
    """The cluster's part, if there is a cluster.

    Raises InvalidConfig where the ledger cannot have one, or Procrastinate is not installed.
    """
    if project.config.dispatcher != "cluster":
        return None
    refuse_small_ledger(ledger.place)
    try:
        room = import_module("pinstripe_bot.cluster")
    except ModuleNotFoundError as error:
        raise InvalidConfig(NEEDS_EXTRA) from error
    cluster: Cluster = room.Cluster(project, ledger, clock)
    return cluster


def _is_one_database(project: Project, ledger: Ledger) -> bool:
    """Whether the ledger is in the project's own database."""
    url = project.config.database.url
    return url is not None and is_same_database(ledger.place.url, database_url(url, project.root))
