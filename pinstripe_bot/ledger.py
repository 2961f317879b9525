"""The ledger: where an occurrence is claimed, and where what became of it is kept. Described in docs/ledger.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, func, insert, select, update

from pinstripe_bot import __version__, ledger_runs, ledger_sweep
from pinstripe_bot.bot_lock import BotLock, boot_id
from pinstripe_bot.errors import LedgerError
from pinstripe_bot.ledger_claim import Candidate, decided_ahead, is_decided, open_runs, record
from pinstripe_bot.ledger_marks import Marks
from pinstripe_bot.ledger_schema import bots, occurrences, run_of, runs, to_column
from pinstripe_bot.ledger_store import BUSY_TIMEOUT_S, LedgerStore
from pinstripe_bot.occurrence import MANUAL, Decision, Due, Occurrence, Reason, Run, RunState
from pinstripe_bot.policies import Verdict
from pinstripe_bot.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim gave.

    `runs` are ours to dispatch, oldest due first; `passed` was decided and does not run; `superseded` are
    schedules that another bot plans in another form by now; `failed` those that raised, undecided.
    """

    runs: list[Run]
    passed: list[Occurrence]
    superseded: list[Schedule]
    failed: dict[Schedule, Exception]


class Ledger:
    """The durable record of a project's due instants and runs; safe for several threads and several bots.

    Every method raises LedgerUnavailable if the database does not answer; then nothing was changed.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self._store = LedgerStore(path, busy_timeout_s=busy_timeout_s)
        self._marks = Marks()
        self._lock: BotLock | None = None

    @property
    def bot(self) -> str:
        """The id of the bot that this ledger was opened for."""
        if self._lock is None:
            raise LedgerError("the ledger is not open: call open() first")
        return self._lock.bot

    @property
    def _locks(self) -> Path:
        return self.path.parent / "bots"

    def open(self, project: str, now: datetime, *, kind: str = "bot") -> bool:
        """Open the file and sign in as a new bot; true if the ledger is new. Raises LedgerError for a foreign file."""
        is_new = self._store.open(project, now)
        try:
            self._lock = BotLock(self._locks)
            self._sign_in(self._lock.bot, now, kind)
        except OSError as error:
            self._forget()
            raise LedgerError(f"{self._locks} cannot be used: {error.strerror}: make it a writable folder") from error
        except BaseException:
            self._forget()
            raise
        return is_new

    def _sign_in(self, bot: str, now: datetime, kind: str) -> None:
        row = {
            "id": bot,
            "kind": kind,
            "host": platform.node(),
            "boot_id": boot_id(),
            "pid": os.getpid(),
            "version": __version__,
            "started_at": to_column(now),
            "heartbeat_at": to_column(now),
        }
        with self._store.writing() as connection:
            connection.execute(insert(bots), row)

    def _forget(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        self._store.close()

    def close(self, now: datetime) -> None:
        """Sign out and close; harmless when called twice."""
        if self._lock is None:
            return
        try:
            with self._store.writing() as connection:
                connection.execute(update(bots).where(bots.c.id == self.bot).values(stopped_at=to_column(now)))
        finally:
            self._forget()

    def register(self, planned: Sequence[Schedule], now: datetime, *, keep: Iterable[str] = ()) -> dict[Schedule, int]:
        """Announce the schedules that this bot plans: {schedule: the UTC second up to which it is decided}.

        One that is new, was edited or comes back starts from `now`. Those that are no longer declared are
        marked as removed, but not those of the jobs in `keep`, whose files are broken.
        """
        with self._store.writing() as connection:
            return self._marks.register(connection, planned, int(now.timestamp() // 1), keep=keep)

    def claim(self, dues: Sequence[Due[Schedule]], now: datetime) -> Claim:
        """Decide every window in `dues` and return the runs that are ours to start.

        One transaction for all; safe with any number of bots: the unique key lets one insert through, and the
        mark of a schedule moves only where its stored fingerprint is ours. Source: docs/ledger.md, "Claiming".
        """
        with self._store.writing() as connection:
            marks = self._marks.read(connection, (due.schedule for due in dues))
            windows = [
                Due(due.schedule, max(due.after_ts, marks[due.schedule]), due.until_ts)
                for due in dues
                if due.schedule in marks and marks[due.schedule] < due.until_ts
            ]
            candidates, failed = self._decide(connection, windows, now.timestamp())
            claimed, passed = record(connection, candidates, bot=self.bot, now_at=to_column(now))
            decided = {due.schedule: due.until_ts for due in windows if due.schedule not in failed}
            self._marks.move(connection, decided)
        return Claim(claimed, passed, [due.schedule for due in dues if due.schedule not in marks], failed)

    def _decide(
        self, connection: Connection, windows: Sequence[Due[Schedule]], now_ts: float
    ) -> tuple[list[Candidate], dict[Schedule, Exception]]:
        """Ask each schedule's policy about its window: (what it says, those that raise)."""
        ahead = decided_ahead(connection, windows)
        candidates: list[Candidate] = []
        failed: dict[Schedule, Exception] = {}
        for due in windows:
            schedule = due.schedule
            decided_ts = ahead.get(schedule, ())
            try:
                verdicts = schedule.policy.decide(schedule, due.after_ts, due.until_ts, now_ts, decided_ts=decided_ts)
            except Exception as error:  # noqa: BLE001 - a wall: one schedule that misbehaves stops no other
                failed[schedule] = error
                continue
            order = self._marks.order(schedule)
            candidates += [Candidate(schedule, verdict, order) for verdict in verdicts]
        return candidates, failed

    def claim_second(self, due: Sequence[Schedule], instant_ts: int, now: datetime) -> list[Run]:
        """Claim one instant of schedules that are due at it, whatever their marks say; no mark moves.

        Only what nobody has decided yet is decided; the runs that are ours to start are returned.
        """
        verdict = Verdict(instant_ts, Decision.RUN)
        candidates = [Candidate(schedule, verdict, order) for order, schedule in enumerate(due)]
        with self._store.writing() as connection:
            undecided = [one for one in candidates if not is_decided(connection, one)]
            claimed, _ = record(connection, undecided, bot=self.bot, now_at=to_column(now))
        return claimed

    def claim_manual(self, run: Run, params_json: str, params_key: str, *, ignore_overlap: bool) -> Run:
        """Record a run by hand under a fresh key, and return it: ours, queued or running as it came, or skipped."""
        with self._store.writing() as connection:
            if not ignore_overlap and (run.job, params_key) in open_runs(connection, [run.job]):
                ended = {"state": RunState.SKIPPED, "reason": Reason.OVERLAP, "finished_at": run.claimed_at}
                run = replace(run, started_at=None, **ended)
            values: dict[str, Any] = {
                "job": run.job,
                "schedule": MANUAL,
                "due_at": to_column(run.due_at),
                "reason": run.reason,
                "claimed_at": to_column(run.claimed_at),
            }
            decision = Decision.SKIPPED if run.reason else Decision.RUN
            own: dict[str, Any] = {"key": os.urandom(16).hex(), "decision": decision, "bot": self.bot}
            occurrence_id = _inserted_id(connection, insert(occurrences).values(values | own))
            own = {
                "occurrence_id": occurrence_id,
                "state": run.state,
                "params": params_json,
                "params_key": params_key,
                "available_at": to_column(run.claimed_at),
                "owner": self.bot,
                "started_at": None if run.started_at is None else to_column(run.started_at),
                "finished_at": None if run.finished_at is None else to_column(run.finished_at),
            }
            return replace(run, id=_inserted_id(connection, insert(runs).values(values | own)))

    def start(self, group: Sequence[Run], now: datetime) -> list[Run]:
        """Mark queued runs as running, before any code of theirs runs; those that are no longer ours are absent.

        Survives a killed process, not a power cut: after one, a queued run counts as started.
        """
        with self._store.writing(durable=False) as connection:
            started = ledger_runs.start(connection, group, bot=self.bot, now=now)
        return [replace(run, state=RunState.RUNNING, started_at=now) for run in group if run.id in started]

    def finish(self, ended: Sequence[Run]) -> set[int]:
        """Record how runs ended; the ids of those recorded. A run that somebody else has ended meanwhile is not."""
        with self._store.writing() as connection:
            return ledger_runs.end(connection, ended, was=RunState.RUNNING)

    def refuse(self, ended: Sequence[Run]) -> None:
        """Record the end of queued runs that cannot be started."""
        with self._store.writing() as connection:
            ledger_runs.end(connection, ended, was=RunState.QUEUED)

    def release(self, unstarted: Sequence[Run]) -> None:
        """Give back runs of which no code has run, for the next bot that starts."""
        with self._store.writing() as connection:
            ledger_runs.release(connection, unstarted, bot=self.bot)

    def beat(self, now: datetime, progress: Mapping[int, tuple[int, int | None]]) -> None:
        """Write this bot's heartbeat, and the progress {run: (done, total)} of its runs."""
        with self._store.writing(durable=False) as connection:
            connection.execute(update(bots).where(bots.c.id == self.bot).values(heartbeat_at=to_column(now)))
            ledger_runs.note_progress(connection, progress)

    def has_orphans(self, *, jobs: Collection[str]) -> bool:
        """Whether another bot has died, or has released runs of these jobs; only a look."""
        with self._store.reading() as connection:
            return ledger_sweep.has_orphans(connection, self._locks, bot=self.bot, jobs=jobs)

    def bury(self, now: datetime) -> list[Run]:
        """Release what dead bots have left queued; record what they had started as interrupted, and return it."""
        with self._store.writing() as connection:
            return ledger_sweep.bury(connection, self._locks, bot=self.bot, now=now)

    def adopt(self, wants: Callable[[str], bool]) -> list[Run]:
        """Take over every released run of a job of which `wants` says so; oldest due first."""
        with self._store.writing() as connection:
            return ledger_sweep.adopt(connection, bot=self.bot, wants=wants)

    def history(self, job: str | None = None, *, limit: int = 100) -> list[Run]:
        """The newest runs, newest first; of one job, or of all."""
        query = select(runs).order_by(runs.c.id.desc()).limit(limit)
        if job is not None:
            query = query.where(runs.c.job == job)
        with self._store.reading() as connection:
            return [run_of(row) for row in connection.execute(query).mappings()]


def _inserted_id(connection: Connection, statement: Any) -> int:
    return int(connection.execute(statement).inserted_primary_key[0])  # type: ignore[index]


def read_last_runs(path: Path) -> dict[str, Run]:
    """{job: its newest run} from a ledger that may be in use; empty if there is none yet."""
    if not path.exists():
        return {}
    store = LedgerStore(path)
    store.open_for_reading()
    newest = select(func.max(runs.c.id)).group_by(runs.c.job)
    try:
        with store.reading() as connection:
            rows = connection.execute(select(runs).where(runs.c.id.in_(newest))).mappings()
            return {row["job"]: run_of(row) for row in rows}
    finally:
        store.close()
