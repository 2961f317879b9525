"""Moving a ledger to another database: at every moment one of the two is whole, and no bot opens the other one."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from pinstripe_bot.config import Config
from pinstripe_bot.errors import LedgerError
from pinstripe_bot.ledger_copy import Sums, copy_rows, empty, facts_of, has_rows, set_facts, set_sequences, sums_of
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_roll import read_bots
from pinstripe_bot.ledger_route import route_to
from pinstripe_bot.ledger_sqlite import SqliteStore

OnProgress = Callable[[int, int], None]
"""Told (rows copied, rows in all)."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move did, or would do.

    `rows` is {table: how many}; `renamed_to` where the file of the source is now; `to_set` what ledger.url must be set
    to, without its password, where the project does not find the target by itself.
    """

    source: str
    target: str
    rows: dict[str, int]
    renamed_to: Path | None
    to_set: str | None


class LedgerMove:
    """One move. `run` does it, or goes on with it where it was cut off; both stores are closed afterwards."""

    def __init__(self, config: Config, root: Path, project: str, url: str) -> None:
        """Raises LedgerError for a URL that cannot hold a ledger, or that is where the ledger is already."""
        self._project = project
        self._route = route_to(url, config, root)
        self._source, self._target = self._route.source.store(), self._route.target.store()
        self._source.serves_move = self._target.serves_move = True
        self._move = ""  # the id of this move, as both sides know it

    def look(self, now: datetime) -> Moved:
        """What `run` would do. Changes nothing; raises as `run` does before it begins."""
        with self._closing():
            rows = self._look_at_source(now)
            self._look_at_target()
            return self._told(rows, None)

    def run(self, now: datetime, on_progress: OnProgress) -> Moved:
        """Copy everything, compare, and switch over.

        Raises LedgerError while a bot uses the source, and for a target that is not empty.
        """
        with self._closing():
            rows = self._look_at_source(now)
            self._look_at_target()
            self._open(now)
            if not self._has_moved():
                self._begin(now)
                self._copy(sum(rows.values()), on_progress)
                self._switch_over(now)
            self._end()
        return self._told(rows, self._put_aside())

    def _look_at_source(self, now: datetime) -> dict[str, int]:
        if not self._source.open_for_reading():
            raise LedgerError(
                f"there is no ledger at {self._source.place} yet: set ledger.url, and there is none to move"
            )
        with self._source.reading() as connection:
            self._refuse_bots(connection, now)
            facts = facts_of(connection)
            goes_to = facts.get("moved_to") or facts.get("moving_to") or self._target.place
            if goes_to != self._target.place:
                is_there = "has moved" if "moved_to" in facts else "is being moved"
                raise LedgerError(
                    f"the ledger {self._source.place} {is_there} to {goes_to}, and not to {self._target.place}"
                )
            self._move = facts["move"] if facts.keys() & {"moving_to", "moved_to"} else uuid.uuid4().hex
            rows = {table: sums[0] for table, sums in sums_of(connection).items()}
        self._source.close()
        return rows

    def _look_at_target(self) -> None:
        if self._target.open_for_reading():
            with self._target.reading() as connection:
                self._refuse_used(connection)
        self._target.close()

    def _refuse_used(self, connection: Connection) -> None:
        """Raise LedgerError for a target that holds anything but what this ledger's moves have brought there."""
        facts = facts_of(connection)
        if facts["project"] != self._project:
            raise LedgerError(
                f"the ledger {self._target.place} belongs to the project {facts['project']!r}: choose another place"
            )
        is_this_move = facts.get("move") == self._move or facts.get("moving_from") == self._source.place
        if is_this_move or ("moving_from" not in facts and not has_rows(connection)):
            return
        raise LedgerError(
            f"there is a ledger in use at {self._target.place}, and two cannot be made one: choose another place,"
            " or remove that one first"
        )

    def _refuse_bots(self, connection: Connection, now: datetime) -> None:
        alive = [bot for bot in read_bots(connection, self._source, now).values() if bot.is_alive]
        if alive:
            named = ", ".join(f"a {bot.kind} on {bot.host} (process {bot.pid})" for bot in alive)
            raise LedgerError(f"the ledger {self._source.place} is in use by {named}: stop that first")

    def _open(self, now: datetime) -> None:
        self._source.open(self._project, now, is_own=self._route.source.is_own)
        self._target.open(self._project, now, is_own=self._route.target.is_own)

    def _has_moved(self) -> bool:
        """Whether an earlier call came as far as switching over."""
        with self._source.reading() as connection:
            return "moved_to" in facts_of(connection)

    def _begin(self, now: datetime) -> None:
        """Mark both, so that no bot opens either; the target first, which is nobody's yet."""
        with self._target.writing() as connection:
            self._refuse_used(connection)
            if facts_of(connection).get("move") != self._move:
                empty(connection)  # of what a move that was given up has brought
                set_facts(connection, moving_from=self._source.place, move=self._move, copied=None)
        with self._source.writing() as connection:
            self._refuse_bots(connection, now)
            set_facts(connection, moving_to=self._target.place, move=self._move)

    def _copy(self, total: int, on_progress: OnProgress) -> None:
        with self._target.reading() as connection:
            done = sum(sums[0] for sums in sums_of(connection).values())
        on_progress(done, total)

        def on_copied(rows: int) -> None:
            nonlocal done
            done += rows
            on_progress(done, total)

        copy_rows(self._source, self._target, on_copied)

    def _switch_over(self, now: datetime) -> None:
        """Compare, and mark the source as moved. From here on there is no way back, and the target is whole."""
        with self._target.writing() as connection:
            set_sequences(connection)
            arrived = sums_of(connection)
        with self._source.writing() as connection:
            self._refuse_bots(connection, now)
            self._refuse_differences(sums_of(connection), arrived)
            set_facts(connection, moving_to=None, moved_to=self._target.place)

    def _refuse_differences(self, sent: Sums, arrived: Sums) -> None:
        for table, sums in sent.items():
            if sums != arrived[table]:
                raise LedgerError(
                    f"the copy is not the ledger: {table} has {_shown(sums)} at {self._source.place} and"
                    f" {_shown(arrived[table])} at {self._target.place}: nothing was switched over; give this move up"
                    " with `pinstripe move-ledger --give-up`, and start it again"
                )

    def _end(self) -> None:
        """Let bots open the target."""
        with self._target.writing() as connection:
            set_facts(connection, moving_from=None, copied=None, moved_from=self._source.place)

    def _put_aside(self) -> Path | None:
        """Rename the default file, where the target is what the project uses without it."""
        if not isinstance(self._source, SqliteStore) or not (self._route.leaves_default and self._route.is_found):
            return None  # it stays and says where the ledger is, or a bot would begin a new one in its place
        is_taken = self._source.path.with_name(f"{self._source.path.name}.moved").exists()
        return self._source.move_aside(f"moved-{self._move[:8]}" if is_taken else "moved")

    def _told(self, rows: dict[str, int], renamed_to: Path | None) -> Moved:
        to_set = None if self._route.is_found else self._route.target.url.render_as_string(hide_password=True)
        return Moved(self._source.place, self._target.place, rows, renamed_to, to_set)

    @contextlib.contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._source.close()
            self._target.close()


def give_up(config: Config, root: Path, project: str, now: datetime) -> bool:
    """Let bots use the ledger again that an unfinished move keeps them from; false if there was none."""
    place = ledger_place(config, root)
    store = place.store()
    store.serves_move = True
    try:
        if not store.open_for_reading():
            return False
        store.close()
        store.open(project, now, is_own=place.is_own)
        with store.writing() as connection:
            facts = facts_of(connection)
            if "moving_from" in facts:
                raise LedgerError(
                    f"{store.place} is where the ledger moves to: to give that up, let ledger.url name"
                    f" {facts['moving_from']} again, where it comes from"
                )
            if "moved_to" in facts:
                raise LedgerError(f"the ledger {store.place} has moved to {facts['moved_to']}: that cannot be given up")
            set_facts(connection, moving_to=None, move=None)
            return "moving_to" in facts
    finally:
        store.close()


def _shown(sums: tuple[int, ...]) -> str:
    """(5, 15) as "5 rows with the sum 15"."""
    rows, *others = sums
    return f"{rows} rows" + (f" with the sum {', '.join(str(one) for one in others)}" if others else "")
