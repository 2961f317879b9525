"""The changes of a ledger: a mark that is another one whenever something has happened that a page shows. Only reads."""

from __future__ import annotations

from sqlalchemy import Connection

from pinstripe_bot.ledger_schema import LISTING, OPEN
from pinstripe_bot.ledger_sql import Statement, both, listed, rows_of

# Of an output that is as long as it may be, the number at its beginning says how much went before.
_CUT = Statement(
    "CASE WHEN output LIKE '[% earlier bytes are not kept]%' THEN CAST(substr(output, 2, 15) AS INTEGER) END",
    "CAST(substring(output from '^\\[([0-9]{1,15}) earlier bytes are not kept\\]') AS bigint)",
)

# Every part is a look at the end of an index, or at the few runs that are open. Of progress the remainder is summed up:
# the sum of a few large numbers is an error in SQLite.
MARK = both(
    f"""
    SELECT {{rows}} FROM (
        SELECT (SELECT coalesce(max(id), 0) FROM runs) AS runs,
               (SELECT coalesce(max(id), 0) FROM occurrences) AS occurrences,
               (SELECT coalesce(max(id), 0) FROM audit) AS acts,
               (SELECT count(*) FROM bots WHERE stopped_at IS NULL) AS bots,
               (SELECT coalesce(max(started_at), 0) FROM bots) AS newest,
               (SELECT count(*) FROM occurrences WHERE {LISTING}) AS listings,
               (SELECT coalesce(sum(attempt + listed), 0) FROM listings
                WHERE occurrence_id IN (SELECT id FROM occurrences WHERE {LISTING})) AS listed,
               count(*) AS open, coalesce(sum(id), 0) AS ids, coalesce(sum(attempt), 0) AS attempts,
               coalesce(sum(CASE WHEN state = 'running' THEN 1 ELSE 0 END), 0) AS running,
               coalesce(sum(progress_done % 1000000007), 0) AS done,
               coalesce(sum(length(output)), 0) AS printed, coalesce(sum({{cut}}), 0) AS cut,
               coalesce(sum(CASE WHEN cancel_requested_at IS NULL THEN 0 ELSE 1 END), 0) AS cancelled
        FROM (SELECT * FROM runs WHERE {OPEN} LIMIT 2000) AS those
    ) AS marks
    """,
    cut=_CUT,
    rows=listed(
        *("runs", "occurrences", "acts", "bots", "newest", "listings", "listed"),
        *("open", "ids", "attempts", "running", "done", "printed", "cut", "cancelled"),
    ),
)


def read_mark(connection: Connection) -> str:
    """The mark, as text that means nothing else."""
    ((*parts,),) = rows_of(connection, MARK)
    return ".".join(str(part) for part in parts)
