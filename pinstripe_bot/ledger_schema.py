"""The ledger's tables, the same on every database. Drawn in docs/ledger.md."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

VERSION = 6
"""The schema's version; an older ledger is migrated when a bot opens it, a newer one is refused."""

metadata = MetaData()

Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in an INTEGER key
Instant = BigInteger  # microseconds since 1970, UTC: exact, sorts right, and needs no conversion on either database

ledger = Table(
    "ledger",
    metadata,
    Column("name", String, primary_key=True),  # "version", "project", "created_at"
    Column("value", String, nullable=False),
)

bots = Table(
    "bots",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),  # "bot", or "command" for a run by hand from the command line
    Column("host", String, nullable=False),
    Column("boot_id", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("heartbeat_at", Instant, nullable=False),
    Column("stopped_at", Instant),
    Column("stats", Text),
    Column("lease_until", Instant, nullable=False, server_default="0"),  # by the database's clock; of all its runs
    Column("lock", String, nullable=False, server_default=""),  # its lock file on its own machine
)

schedules = Table(
    "schedules",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job", String, nullable=False),
    Column("schedule", String, nullable=False),
    Column("key", String, nullable=False, server_default=""),
    Column("fingerprint", String, nullable=False),
    Column("effective_from", Instant, nullable=False),
    Column("planned_to", Instant, nullable=False),  # every instant up to here is decided
    Column("removed_at", Instant),
    Column("announced_by", String, nullable=False, server_default=""),  # the bot that made this form count
    UniqueConstraint("job", "schedule", "key"),
    sqlite_autoincrement=True,
)

occurrences = Table(
    "occurrences",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job", String, nullable=False),
    Column("schedule", String, nullable=False),
    Column("key", String, nullable=False, server_default=""),
    Column("due_at", Instant, nullable=False),
    Column("decision", String, nullable=False),
    Column("reason", String),
    Column("until_at", Instant),
    Column("count", Integer, nullable=False, server_default="1"),
    Column("listing", String),  # of a job with tenants: "queued", "running", "listed", "failed"
    Column("claimed_at", Instant, nullable=False),
    Column("bot", String, nullable=False),
    UniqueConstraint("job", "schedule", "key", "due_at"),
    sqlite_autoincrement=True,
)

runs = Table(
    "runs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("occurrence_id", Id, ForeignKey("occurrences.id"), nullable=False),
    Column("tenant", String, nullable=False, server_default=""),
    Column("job", String, nullable=False),
    Column("schedule", String, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("params", Text, nullable=False),
    Column("params_key", String, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("queue", String, nullable=False, server_default="default"),
    Column("available_at", Instant, nullable=False),
    Column("owner", String),  # the bot or worker that has it; NULL while it waits for one
    Column("claimed_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("error", Text),
    Column("result", Text),
    Column("output", Text),
    Column("progress_done", BigInteger),
    Column("progress_total", BigInteger),
    Column("cancel_requested_at", Instant),
    Column("cancelled_by", String),
    Column("in_turn", Integer, nullable=False, server_default="0"),  # 1: starts after the earlier runs of its work
    Column("lingers", Integer, nullable=False, server_default="0"),  # 1: it has timed out, and its thread goes on
    Column("tenant_name", String, nullable=False, server_default=""),
    Column("carrier", BigInteger),  # in a cluster: the Procrastinate job that carries this attempt to a worker
    UniqueConstraint("occurrence_id", "tenant"),
    sqlite_autoincrement=True,
)

BACKFILL = "backfill"
"""The key of an occurrence beside the one that was decided when nobody ran it."""

WANTED_AT = "CASE WHEN runs.schedule = 'manual' OR runs.tenant <> '' THEN runs.available_at ELSE runs.due_at END"
"""When a first attempt was to start: by hand when it was asked for, a tenant's after its part of `spread`."""

OPEN = "(state IN ('queued', 'running') OR lingers = 1)"
"""Which runs count for overlap; written in a query exactly so, or its index is not used."""

Index(
    "runs_open",
    runs.c.job,
    runs.c.params_key,
    runs.c.tenant,
    runs.c.id,
    sqlite_where=text(OPEN),
    postgresql_where=text(OPEN),
)
Index("runs_by_job", runs.c.job, runs.c.id)

WAITING = "state = 'queued' AND owner IS NULL AND carrier IS NULL"
"""Which runs wait for a bot; written in a query exactly so, as above."""

Index(
    "runs_waiting",
    runs.c.job,
    runs.c.available_at,
    runs.c.id,
    sqlite_where=text(WAITING),
    postgresql_where=text(WAITING),
)

CARRIED = "carrier IS NOT NULL AND state IN ('queued', 'running')"
"""Which runs are on their way to a worker of the cluster, or at one; written in a query exactly so, as above."""

Index("runs_carried", runs.c.job, sqlite_where=text(CARRIED), postgresql_where=text(CARRIED))

ENDED_BADLY = "state IN ('failed', 'timed_out', 'interrupted')"
"""Which runs a person wants to hear of first; written in a query exactly so, as above."""

Index("runs_ended_badly", runs.c.finished_at, sqlite_where=text(ENDED_BADLY), postgresql_where=text(ENDED_BADLY))

LISTING = "listing IN ('queued', 'running')"
"""Which occurrences still have tenants to list; written in a query exactly so, as above."""

Index("occurrences_listing", occurrences.c.id, sqlite_where=text(LISTING), postgresql_where=text(LISTING))

PASSED = "decision <> 'run'"
"""Which occurrences did not run; written in a query exactly so, as above."""

Index(
    "occurrences_passed",
    occurrences.c.job,
    occurrences.c.id,
    sqlite_where=text(PASSED),
    postgresql_where=text(PASSED),
)

listings = Table(
    "listings",
    metadata,
    Column("occurrence_id", Id, ForeignKey("occurrences.id"), primary_key=True, autoincrement=False),
    Column("params", Text, nullable=False),
    Column("params_key", String, nullable=False),
    Column("overlap", String, nullable=False),
    Column("batch", BigInteger, nullable=False, server_default="0"),  # not 0: that of one catch-up or backfill
    Column("available_at", Instant, nullable=False),
    Column("owner", String),  # the bot that has it; NULL while it waits for one
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("listed", Integer, nullable=False, server_default="0"),  # how many tenants have their run
    Column("finished_at", Instant),
    Column("error", Text),  # why the last attempt failed
)

residences = Table(
    "residences",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("zone", String, nullable=False),
    Column("formers", Text, nullable=False),  # JSON: [[zone, the second at which it was seen to have left], ...]
)

attempts = Table(
    "attempts",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("owner", String),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("error", Text),
    Column("output", Text),
)

pauses = Table(
    "pauses",
    metadata,
    Column("job", String, primary_key=True),  # '': every job
    Column("tenant", String, primary_key=True, server_default=""),
    Column("paused_at", Instant, nullable=False),
    Column("until_at", Instant),
    Column("who", String, nullable=False),
    Column("why", String, nullable=False, server_default=""),
)

skips = Table(
    "skips",
    metadata,
    Column("job", String, primary_key=True),
    Column("schedule", String, primary_key=True, server_default=""),  # '': whichever comes due first
    Column("key", String, primary_key=True, server_default=""),  # the zone, where it is its tenants'
    Column("remaining", Integer, nullable=False),
    Column("who", String, nullable=False),
    Column("why", String, nullable=False, server_default=""),
    Column("asked_at", Instant, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("who", String, nullable=False),
    Column("origin", String, nullable=False),  # from where: "command on web-1", an address
    Column("action", String, nullable=False),  # "pause", "cancel", "retry", ...
    Column("job", String, nullable=False, server_default=""),
    Column("run_id", Id),
    Column("details", Text),  # JSON
    sqlite_autoincrement=True,
)

days = Table(
    "days",
    metadata,
    Column("job", String, primary_key=True),
    Column("tenant", String, primary_key=True, server_default=""),
    Column("day", String, primary_key=True),  # "2026-03-29", UTC
    Column("worst", Text, nullable=False),  # JSON: the worst state of each twelfth of the day, or null
    Column("counts", Text, nullable=False),  # JSON: {state, or decision and reason: how many}
    Column("duration_p50_ms", Integer),
    Column("duration_p95_ms", Integer),
    Column("lateness_p50_ms", Integer),
    Column("lateness_p95_ms", Integer),
)
