"""The commit of an atomic run whose database holds the ledger: its work and its outcome together."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from pinstripe_bot.clock import Clock
from pinstripe_bot.control import CommitTerms, RunControl
from pinstripe_bot.database import Database
from pinstripe_bot.errors import LedgerUnavailable, RunCancelled
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_outcome import ENDED_BY_OTHERS, join_outcome, kept_outcome
from pinstripe_bot.occurrence import Run, RunState
from pinstripe_bot.redaction import conceal
from pinstripe_bot.workspace import Caller


class BotCommits:
    """The bot's part in the commits of its runs, also of those in processes of their own."""

    def __init__(
        self, ledger: Ledger, clock: Clock, may_commit: Callable[[Run], bool], *, is_one_database: bool
    ) -> None:
        self.is_one_database = is_one_database
        self._ledger = ledger
        self._clock = clock
        self._may_commit = may_commit

    def begin(self, run: Run, control: RunControl) -> CommitTerms | None:
        """With what a run ends that is about to commit; None where it is not this bot's any more, or has ended.

        From then on nobody else here records its end.
        """
        if not self._may_commit(run):
            return None
        finished_at = self._clock.now()
        if not control.begin_commit(finished_at):
            return None
        return CommitTerms(self._ledger.bot, finished_at, "" if control.output is None else control.output.text())

    def kept(self, run: Run, finished_at: datetime) -> Run | None:
        """The run, if its commit has ended it at this instant, though its answer or its process was lost.

        Asked as a writer, who waits until the commit is over. None also where the ledger does not answer.
        """
        try:
            with self._ledger.store.writing() as connection:
                return kept_outcome(connection, run, finished_at)
        except LedgerUnavailable:
            return None


class AtomicCommit:
    """The run's own part; `result` is what it has returned, as plain JSON values."""

    def __init__(self, run: Run, control: RunControl, bot: Caller, secrets: Collection[str]) -> None:
        self.result: Any = None
        self._run = run
        self._control = control
        self._bot = bot
        self._secrets = secrets

    def prepare(self, database: Database) -> None:
        """Let the transaction that is about to be committed end with the run's outcome. Raises RunCancelled."""
        terms = self._bot.commits.begin(self._run, self._control)
        if terms is None:
            raise RunCancelled(ENDED_BY_OTHERS)
        outcome = replace(
            self._run,
            state=RunState.SUCCEEDED,
            finished_at=terms.finished_at,
            result=conceal(self.result, self._secrets),
            output=terms.output,
        )
        join_outcome(database, outcome, owner=terms.owner)
