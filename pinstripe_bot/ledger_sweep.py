"""The sweep: what becomes of the runs whose bot is gone. Steps of a transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import Connection

from pinstripe_bot import ledger_bots, ledger_listings, ledger_runs, ledger_taking
from pinstripe_bot.bot_lock import boot_id
from pinstripe_bot.ledger_bots import Witness
from pinstripe_bot.ledger_rows import RUN_COLUMNS, run_of, to_column
from pinstripe_bot.ledger_schema import LISTING, OPEN
from pinstripe_bot.ledger_sql import Statement, both, execute, listed, rows_of, to_json
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.occurrence import Reason, Run, RunState

DISOWN = both("UPDATE runs SET owner = NULL, carrier = NULL WHERE id IN {ids}", ids=ledger_runs.IDS)

INTERRUPT = both(
    "UPDATE runs SET state = 'interrupted', reason = 'bot_died', finished_at = :now WHERE id IN {ids}",
    ids=ledger_runs.IDS,
)

# Whose code a run keeps from starting: its owner's, or where the last attempt lingers, that attempt's.
HOLDER = """
    CASE WHEN owner IS NULL AND lingers = 1 THEN (
        SELECT attempts.owner FROM attempts WHERE attempts.run_id = runs.id AND attempts.attempt = runs.attempt - 1
    ) ELSE owner END
"""

ABANDONED = both(
    f"SELECT count(*) FROM bots WHERE stopped_at IS NOT NULL AND id IN (SELECT {HOLDER} FROM runs WHERE {OPEN})"
)

ABANDONED_LISTINGS = both(
    f"""
    SELECT count(*) FROM occurrences JOIN listings ON listings.occurrence_id = occurrences.id
    JOIN bots ON bots.id = listings.owner WHERE {LISTING} AND bots.stopped_at IS NOT NULL
    """
)

HELD = Statement("", "FOR UPDATE OF runs SKIP LOCKED")
"""What somebody is writing just now is left to the next look: a frozen bot keeps nobody waiting who decides."""

ORPHANS = both(
    f"""
    SELECT runs.id, bots.boot_id FROM runs JOIN bots ON bots.id = runs.owner
    WHERE {OPEN} AND bots.stopped_at IS NOT NULL AND runs.owner <> :me ORDER BY runs.id {{held}}
    """,
    held=HELD,
)

LET_GO = both(
    f"""
    UPDATE runs SET lingers = 0 WHERE id IN (
        SELECT id FROM runs
        WHERE {OPEN} AND lingers = 1 AND owner IS NULL
          AND {HOLDER} IN (SELECT id FROM bots WHERE stopped_at IS NOT NULL)
        ORDER BY id {{held}}
    )
    """,
    held=HELD,
)

READ = both("SELECT {rows} FROM runs WHERE id IN {ids}", rows=listed(*RUN_COLUMNS), ids=ledger_runs.IDS)

RetryAt = Callable[[Run], datetime | None]
"""When an interrupted run is to be tried again, or None."""


def has_dead_bots(connection: Connection, witness: Witness, now: datetime) -> bool:
    """Whether `bury` would find a dead bot, or runs of one that has signed out: a look that writes nothing."""
    is_anyone_dead = not all(witness.living(connection, now).values())
    if is_anyone_dead or execute(connection, ABANDONED).scalar_one():
        return True
    return bool(execute(connection, ABANDONED_LISTINGS).scalar_one())


def sweep(
    store: LedgerStore,
    witness: Witness,
    now: datetime,
    retry_at: RetryAt,
    keep: Collection[str] = (),
    known: Collection[str] | None = None,
) -> list[Run]:
    """`bury`, in a transaction of its own; the interrupted runs. `Run.retry_at` says which are tried again."""
    with store.writing() as connection:
        knows_starts = store.survives_power_cut
        interrupted, dead = bury(
            connection, witness, now, retry_at=retry_at, knows_starts=knows_starts, keep=keep, known=known
        )
    for bot in dead:  # not before the commit: where that fails, the file has to tell again that its bot is dead
        with contextlib.suppress(OSError):
            (witness.locks / f"{bot}.lock").unlink()
    return interrupted


def bury(
    connection: Connection,
    witness: Witness,
    now: datetime,
    *,
    retry_at: RetryAt,
    knows_starts: bool,
    keep: Collection[str] = (),
    known: Collection[str] | None = None,
) -> tuple[list[Run], list[str]]:
    """Release what dead bots have left queued; record what they had started as interrupted.

    (The interrupted runs, the dead bots.) The runs of which `retry_at` says so are queued again. Where starts are
    not written durably enough to know (`knows_starts`), a queued run of a dead bot counts as started after a restart
    of the machine. Started runs of the jobs to `keep`, whose files are broken, are left to a bot that knows these jobs;
    so are those of jobs that are not `known` here, where a bot of a newer release may know them.
    """
    found, dead = _orphans(connection, witness, now)
    keep = {*keep, *_new_jobs(connection, witness.me, [run for run, _ in found], known)}
    orphans = [(run, boot) for run, boot in found if run.job not in keep or run.state is RunState.QUEUED]
    boot = boot_id()
    unstarted = {
        run.id for run, its_boot in orphans if run.state is RunState.QUEUED and (knows_starts or its_boot == boot)
    }
    execute(connection, DISOWN, ids=to_json(sorted(unstarted)))
    started = [run for run, _ in orphans if run.state.is_open and run.id not in unstarted]
    execute(connection, INTERRUPT, ids=to_json([run.id for run in started]), now=to_column(now))
    ledger_runs.linger(connection, {run.id for run, _ in orphans}, lingers=False)
    ended = {"state": RunState.INTERRUPTED, "reason": Reason.BOT_DIED, "finished_at": now}
    interrupted = [replace(run, **ended) for run in started]
    interrupted = [replace(run, retry_at=retry_at(run)) for run in interrupted]
    ledger_runs.retry_unless_cancelled(connection, interrupted)
    execute(connection, LET_GO)
    return interrupted, dead


def _orphans(connection: Connection, witness: Witness, now: datetime) -> tuple[list[tuple[Run, str]], list[str]]:
    """(The open runs whose owner is dead or has signed out, each with its boot id; the dead, now signed out.)"""
    alive, dead = ledger_bots.bury(connection, witness, now)
    ledger_listings.release(connection, ledger_listings.of_others(connection, alive))
    boots = {row.id: row.boot_id for row in execute(connection, ORPHANS, me=witness.me)}
    found = read(connection, sorted(boots))
    return [(run, boots[run.id]) for run in sorted(found, key=lambda run: run.id)], dead


def _new_jobs(connection: Connection, me: str, found: list[Run], known: Collection[str] | None) -> set[str]:
    """The jobs of these runs that are not `known`, if a process that was started later may have them."""
    unknown = set() if known is None else {run.job for run in found} - set(known)
    return set() if not unknown or ledger_bots.is_newest(connection, me) else unknown


def adopt(connection: Connection, run_ids: list[int], *, bot: str) -> list[Run]:
    """Make `bot` the owner of those of these runs that nobody has, and read them; oldest due first."""
    return read(connection, ledger_taking.take(connection, run_ids, bot=bot))


def read(connection: Connection, run_ids: list[int]) -> list[Run]:
    """These runs, oldest due first."""
    rows = rows_of(connection, READ, ids=to_json(run_ids))
    found = [run_of(dict(zip(RUN_COLUMNS, row, strict=True))) for row in rows]
    return sorted(found, key=lambda run: (run.due_at, run.id))
