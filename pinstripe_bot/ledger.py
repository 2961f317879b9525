"""The ledger: where an occurrence is claimed, and where what became of it is kept. Described in docs/ledger.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from msgspec.structs import replace
from sqlalchemy import Connection

from pinstripe_bot import ledger_bots, ledger_runs, ledger_sweep
from pinstripe_bot.bot_lock import BotLock
from pinstripe_bot.config import Config
from pinstripe_bot.errors import LedgerDamaged, LedgerError
from pinstripe_bot.ledger_bots import LEASE, Witness
from pinstripe_bot.ledger_carried import Carriers
from pinstripe_bot.ledger_claim import Candidate, Claim, is_decided, record
from pinstripe_bot.ledger_decide import decide
from pinstripe_bot.ledger_fan_out import FanOut
from pinstripe_bot.ledger_former import former_of, pass_former, pass_given_up
from pinstripe_bot.ledger_history import History
from pinstripe_bot.ledger_manual import record_manual
from pinstripe_bot.ledger_marks import Marks, Registration, TakenBack, in_stored_zones, read_stored
from pinstripe_bot.ledger_place import FOLDER, LedgerPlace, ledger_place
from pinstripe_bot.ledger_recovery import check_whole_file, move_damaged_aside
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_skips import forget_zones
from pinstripe_bot.ledger_store import BUSY_TIMEOUT_S, Opened
from pinstripe_bot.ledger_sweep import RetryAt
from pinstripe_bot.ledger_trouble import LedgerTrouble
from pinstripe_bot.ledger_waiting import Waiting
from pinstripe_bot.occurrence import Decision, Due, Reason, Run, RunState
from pinstripe_bot.policies import Verdict
from pinstripe_bot.schedule import Schedule


class Ledger:
    """The durable record of a project's due instants and runs; safe for several threads and several bots.

    Every method raises LedgerUnavailable if the database does not answer; then nothing was changed, or, where the
    answer to the commit itself was lost, all of it: asking once more gives the same result.
    """

    def __init__(
        self, place: LedgerPlace, *, locks: Path, lease: timedelta = LEASE, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        """A ledger at `place`, not yet open; lock files of its bots go into the folder `locks`."""
        self.place = place
        self.lease = lease
        self.store = place.store(busy_timeout_s=busy_timeout_s)
        self.history = History(self.store)
        self.fan_out = FanOut(self.store, self._claiming, lambda: self.bot)
        self.waiting = Waiting(self.store, self._taking, lambda: self.bot)
        self.carriers = Carriers(self.store, self._taking, lambda: self.bot)
        self.trouble = LedgerTrouble()
        self._locks = locks if self.store.path is None else self.store.path.parent / "bots"
        self._marks = Marks()
        self._lock: BotLock | None = None
        self._was_presumed_dead = False  # and has not said so yet

    @classmethod
    def of(cls, config: Config, root: Path) -> Self:
        """The ledger of the project in `root`, not yet open."""
        return cls(ledger_place(config, root), locks=root / FOLDER / "bots", lease=config.ledger.lease)

    @property
    def bot(self) -> str:
        """The id of the bot that this ledger was opened for."""
        if self._lock is None:
            raise LedgerError("the ledger is not open: call open() first")
        return self._lock.bot

    @property
    def _witness(self) -> Witness:
        return Witness(self.bot, self._locks, is_one_machine=self.store.is_one_machine)

    def open(self, project: str, now: datetime, *, kind: str = "bot", recover: bool = False) -> Opened:
        """Open the database and sign in as a new bot. Raises LedgerError for a foreign or damaged one.

        To `recover`, a damaged file is moved aside, and a new ledger begins.
        """
        try:
            return self._open(project, now, kind, is_thorough=recover)
        except LedgerDamaged:
            if not recover:
                raise
            move_damaged_aside(self.store, self._locks, now)
            return self._open(project, now, kind, is_thorough=False)

    def _open(self, project: str, now: datetime, kind: str, *, is_thorough: bool) -> Opened:
        opened = self.store.open(project, now, is_own=self.place.is_own)
        try:
            if is_thorough:
                check_whole_file(self.store)
            self._lock = BotLock(self._locks)
            with self.store.writing() as connection:
                ledger_bots.sign_in(connection, self._lock, now, kind, self.lease)
        except OSError as error:
            self._forget()
            raise LedgerError(f"{self._locks} cannot be used: {error.strerror}: make it a writable folder") from error
        except BaseException:
            self._forget()
            raise
        return opened

    def _forget(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        self.store.close()

    def close(self, now: datetime) -> None:
        """Sign out and close; harmless when called twice."""
        if self._lock is None:
            return
        try:
            with self.store.writing() as connection:
                ledger_bots.sign_out(connection, self.bot, now)
        finally:
            self._forget()

    def register(self, planned: Sequence[Schedule], now: datetime, *, keep: Iterable[str] = ()) -> Registration:
        """Announce the schedules that this bot plans.

        One that is new, was edited or comes back starts from `now`. Those that are no longer declared are
        marked as removed, but not those of the jobs in `keep`, whose files are broken.
        """
        now_ts, keep = int(now.timestamp()), set(keep)
        with self.store.writing() as connection:
            stored = read_stored(connection)
            planned = in_stored_zones(planned, stored)
            passed = pass_former(connection, former_of(stored, planned, keep=keep), bot=self.bot, now_ts=now_ts)
            registration = self._marks.register(connection, stored, planned, now_ts, bot=self.bot, keep=keep)
            others = ledger_bots.others(connection, self._witness, now)
        return dataclasses.replace(registration, has_others=bool(others), passed=tuple(passed))

    def replan(
        self, new: Mapping[Schedule, int | None], gone: Sequence[Schedule], now: datetime
    ) -> dict[Schedule, int]:
        """Plan schedules in new zones, and no more in those that are gone; {new one: its mark}, UTC seconds.

        `new` has since when a tenant lives in the zone, where it has moved there.
        """
        with self.store.writing() as connection:
            self._marks.drop(connection, gone, int(now.timestamp()))
            forget_zones(connection, gone)
            return self._marks.add(connection, new, int(now.timestamp()), bot=self.bot)

    def take_back(self, aside: Sequence[Schedule], now: datetime) -> TakenBack:
        """Which of these schedules, that another bot planned in its form, are ours to plan again.

        Those whose stored form is ours go on from their mark; those whose form no living bot plans start from now.
        """
        now_ts, passed = int(now.timestamp()), []
        with self.store.reading() as connection:
            others = ledger_bots.others(connection, self._witness, now)
            ours, orphaned = self._marks.standing(connection, aside, others)
        if orphaned:
            with self.store.writing() as connection:
                others = ledger_bots.others(connection, self._witness, now)
                _, orphaned = self._marks.standing(connection, orphaned, others)  # somebody may have come just now
                passed = pass_given_up(connection, orphaned, bot=self.bot, now_ts=now_ts)
                self._marks.announce(connection, orphaned, now_ts, bot=self.bot)
        return TakenBack(ours | dict.fromkeys(orphaned, now_ts), orphaned, passed)

    def _claiming(self, now: datetime) -> AbstractContextManager[Connection]:
        """A transaction that decides, and gives this bot runs."""
        return self._alive(self.store.writing(), now)

    def _taking(self, now: datetime, *, durable: bool = True) -> AbstractContextManager[Connection]:
        """A transaction that gives this bot runs which wait, beside those of others."""
        return self._alive(self.store.working(durable=durable), now)

    @contextmanager
    def _alive(self, transaction: AbstractContextManager[Connection], now: datetime) -> Iterator[Connection]:
        """Let this bot count as alive until the end, or another one would bury it without what it gets."""
        with transaction as connection:
            if not self.store.is_one_machine and ledger_bots.revive(connection, self.bot, now, self.lease):
                self._was_presumed_dead = True
            yield connection

    def claim(self, dues: Sequence[Due[Schedule]], now: datetime, *, cause: Reason = Reason.BOT_DOWN) -> Claim:
        """Decide every window in `dues` and return the runs that are ours to start.

        One transaction for all; safe with any number of bots: the unique key lets one insert through, and the
        mark of a schedule moves only where its stored fingerprint is ours. Source: docs/ledger.md, "Claiming".
        """
        with self._claiming(now) as connection:
            marks, superseded = self._marks.read(connection, (due.schedule for due in dues))
            windows = [
                Due(due.schedule, max(due.after_ts, marks[due.schedule]), due.until_ts)
                for due in dues
                if due.schedule in marks and marks[due.schedule] < due.until_ts
            ]
            decided = decide(connection, windows, self._marks, now, cause)
            is_sent = self.store.outbox is not None
            claimed, passed, to_run = record(
                connection, decided.candidates, bot=self.bot, now_at=to_column(now), is_sent=is_sent
            )
            moved = {due.schedule: due.until_ts for due in windows if due.schedule not in decided.failed}
            self._marks.move(connection, moved)
        passed, waiting = passed + decided.extended, len(to_run) - len(claimed)
        return Claim(claimed, passed, superseded, decided.failed, waiting, to_run, windows=len(moved))

    def claim_second(self, due: Sequence[Schedule], instant_ts: int, now: datetime) -> list[Run]:
        """Claim one instant of schedules that are due at it, whatever their marks say; no mark moves.

        Only what nobody has decided yet is decided; the runs that are ours to start are returned.
        """
        verdict = Verdict(instant_ts, Decision.RUN)
        candidates = [Candidate(schedule, verdict, order) for order, schedule in enumerate(due)]
        with self._claiming(now) as connection:
            undecided = [one for one in candidates if not is_decided(connection, one)]
            claimed, _, _ = record(connection, undecided, bot=self.bot, now_at=to_column(now))
        return claimed

    def claim_manual(
        self, asked: Sequence[Run], params_json: str, params_key: str, *, ignore_overlap: bool
    ) -> list[Run]:
        """Record runs by hand, each under a fresh key: ours, queued or running as they came, or skipped."""
        facts: dict[str, Any] = {"bot": self.bot, "owner": self.bot, "ignore_overlap": ignore_overlap}
        with self._claiming(asked[0].claimed_at) as connection:
            return [record_manual(connection, run, params_json, params_key, **facts) for run in asked]

    def start(self, group: Sequence[Run], now: datetime) -> list[Run]:
        """Mark queued runs as running, before any code of theirs runs; those that are no longer ours are absent.

        Survives a killed process; on SQLite not a power cut: after one, a queued run counts as started.
        """
        with self.store.working(durable=False) as connection:
            started = ledger_runs.start(connection, group, bot=self.bot, now=now)
        return [replace(run, state=RunState.RUNNING, started_at=now) for run in group if run.id in started]

    def finish(self, ended: Sequence[Run], *, lingering: Collection[int] = ()) -> set[int]:
        """Record how runs ended; the ids of those recorded. A run that somebody else has ended meanwhile is not.

        Those with a `retry_at` are queued again; the threads of the `lingering` ones go on.
        """
        with self.store.working() as connection:
            written = ledger_runs.end(connection, ended, was=RunState.RUNNING, bot=self.bot)
            ids = {run.id for run in written}
            ledger_runs.linger(connection, ids.intersection(lingering), lingers=True)
            ledger_runs.retry_unless_cancelled(connection, written)
        return ids

    def let_go(self, run_ids: Collection[int]) -> None:
        """Note that threads which had gone on after their runs' recorded end have ended."""
        with self.store.working() as connection:
            ledger_runs.linger(connection, run_ids, lingers=False)

    def is_mine(self, run: Run) -> bool:
        """Whether a run is still running and ours, in this very attempt: what it has done may be committed."""
        with self.store.reading() as connection:
            return ledger_runs.is_owned(connection, run, bot=self.bot)

    def refuse(self, ended: Sequence[Run]) -> None:
        """Record the end of queued runs that cannot be started."""
        with self.store.working() as connection:
            ledger_runs.end(connection, ended, was=RunState.QUEUED, bot=self.bot)

    def release(self, unstarted: Sequence[Run]) -> None:
        """Give back runs of which no code has run."""
        with self.store.working() as connection:
            ledger_runs.release(connection, unstarted, bot=self.bot)

    def beat(
        self,
        now: datetime,
        said: Sequence[tuple[int, int, int | None, int | None, str | None]] = (),
        stats: Mapping[str, Any] | None = None,
    ) -> bool:
        """Renew the lease, and write what running runs say; false if this bot was taken for dead meanwhile.

        `said` has (run, attempt, done, total, its output so far, or None for no news) for each.
        """
        with self.store.working(durable=False) as connection:
            was_alive = ledger_bots.beat(connection, self.bot, now, self.lease, stats or {})
            ledger_runs.note_said(connection, said)
        was_presumed_dead, self._was_presumed_dead = self._was_presumed_dead, False
        return was_alive and not was_presumed_dead

    def has_dead_bots(self, now: datetime) -> bool:
        """Whether another bot has died; only a look."""
        with self.store.reading() as connection:
            return ledger_sweep.has_dead_bots(connection, self._witness, now)

    def bury(
        self, now: datetime, *, retry_at: RetryAt, keep: Collection[str] = (), known: Collection[str] | None = None
    ) -> list[Run]:
        """Release what dead bots have left queued; record what they had started as interrupted, and return it.

        Those of which `retry_at` gives an instant are queued again. Started ones of jobs to `keep` stay as they are,
        and of jobs that are not `known` here, where a bot or worker lives that was started later.
        """
        return ledger_sweep.sweep(self.store, self._witness, now, retry_at, keep, known)
