"""Ninety days of the example shop, written into its ledger with the ledger's own tables: always the same ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import shop
from printed import FAILED_INVOICES, FIRST_TRY, OUTPUT, RUNNING, TIMED_OUT, error_of
from sqlalchemy import insert

from pinstripe_bot.bot_lock import BotLock
from pinstripe_bot.ledger_audit import Person, write_audit
from pinstripe_bot.ledger_place import FOLDER, ledger_place
from pinstripe_bot.ledger_rows import to_column
from pinstripe_bot.ledger_schema import attempts, bots, listings, occurrences, pauses, runs, schedules
from pinstripe_bot.ledger_sql import to_json
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.project import Project

NOW = datetime(2026, 10, 22, 12, 32, 8, tzinfo=UTC)
"""Thursday, 14:32:08 in Berlin."""

DOWN_AT, BACK_AT = NOW.replace(hour=3, minute=40, second=2), NOW.replace(hour=3, minute=58, second=0)
PAUSED_AT = datetime(2026, 9, 29, 9, 14, tzinfo=UTC)
LONG, SHORT = timedelta(days=89), timedelta(days=8)
MINUTE = timedelta(minutes=1)


def at(written: str) -> datetime:
    """ "22 00:30" as an instant of October, UTC; "09-14 00:30" as one of September."""
    day, clock = written.split()
    return datetime.fromisoformat(f"2026-{day if '-' in day else f'10-{day}'}T{clock}:00+00:00")


FAILED = {
    ("purge-old-sessions", at("21 22:15")): "OperationalError: database is locked",
    ("fetch-carrier-tracking", at("22 05:00")): "ConnectTimeout: api.carrier.example",
    ("fetch-carrier-tracking", at("21 19:20")): "ConnectTimeout: api.carrier.example",
    ("refresh-exchange-rates", at("15 13:05")): "HTTPError: 503 Service Unavailable",
}
FAILED_TENANTS = {
    ("send-abandoned-cart-mails", at("22 07:10")): {"cedro", "juniper"},
    ("issue-invoices", at("22 00:30")): {"nordlicht"},
    ("issue-invoices", at("09-03 00:30")): {"alpenglueck", "elbkind", "hafenkontor", "nordlicht"},
    ("issue-invoices", at("08-13 00:30")): {"gruenzeug", "hafenkontor", "isarwelle", "juniper", "nordlicht"},
    ("issue-invoices", at("08-14 00:30")): {"bootshaus", "kornblume"},
}
LATE = {("issue-invoices", at("09-21 00:30")): 180, ("issue-invoices", at("10 00:30")): 130}
SKIPPED = {
    ("issue-invoices", at("09-14 00:30")): "paused",
    ("reindex-catalogue", at("22 00:15")): "overlap",
    **{("sync-stock-levels", at(f"22 12:{minute}")): "overlap" for minute in (26, 28, 30, 32)},
}
OPEN = {
    ("sync-stock-levels", at("22 12:24")): (0.3, None),
    ("fetch-carrier-tracking", at("22 12:20")): (252.4, (412, 460)),
    ("reindex-catalogue", at("22 12:30")): (1.2, (31_418, 44_120)),
}
"""{(job, due): (how late it has started, how far it is)} of what runs now."""


@dataclass
class Fate:
    """What became of one instant: its occurrence, and its run for each tenant."""

    job: str
    schedule: str
    due_at: datetime
    decision: str = "run"
    reason: str | None = None
    late_s: float = 0.0
    took_s: dict[str, float | None] = field(default_factory=dict)  # of each tenant, "" where there are none


def write_history(project: Project) -> BotLock:
    """Write everything; the lock that is returned keeps the bot alive as long as it is held."""
    store = ledger_place(project.config, project.root).store()
    store.open(str(project.root), NOW - LONG, is_own=True)
    lock = BotLock(project.root / FOLDER / "bots")
    chance = random.Random(22)
    fates = sorted(_fates(project, chance), key=lambda one: (max(one.due_at, _claimed_at(one)), one.job))
    _write_bots(store, lock)
    _write_runs(store, fates, chance, lock.bot)
    _write_schedules(store, project, lock.bot)
    _write_acts(store)
    store.close()
    return lock


def _fates(project: Project, chance: random.Random) -> Iterator[Fate]:
    usual = {job.name: job for job in shop.JOBS}
    for schedule in project.schedules:
        job = usual[schedule.job]
        since = NOW - (SHORT if job.crons[0].startswith("*/") else LONG)
        due_ts = schedule.next_after_ts(int(since.timestamp()))
        while due_ts <= NOW.timestamp():
            following = schedule.next_after_ts(due_ts)
            due_at, next_at = (datetime.fromtimestamp(ts, UTC) for ts in (due_ts, following))
            yield _fate(Fate(job.name, schedule.name, due_at), job, next_at, chance)
            due_ts = following
    for days in range(1, 25):
        for hour in (4, 16):
            due_at = NOW.replace(hour=hour, minute=15, second=0) - timedelta(days=days)
            yield Fate(shop.BROKEN, "15 6 * * *", due_at, late_s=0.6, took_s={"": chance.gauss(2.9, 0.3)})


def _fate(one: Fate, job: shop.Job, next_at: datetime, chance: random.Random) -> Fate:
    key = (one.job, one.due_at)
    late_s = LATE.get(key, 0) + chance.uniform(0.1, 0.8) + chance.random() ** 8 * 6
    if DOWN_AT < one.due_at < BACK_AT:
        if next_at < BACK_AT:
            return replace(one, decision="missed", reason="coalesced")
        late_s = (BACK_AT - one.due_at).total_seconds() + chance.uniform(3, 6)
    if one.job == "weekly-sales-report" and one.due_at > PAUSED_AT:
        return replace(one, decision="skipped", reason="paused")
    if key in SKIPPED:
        return replace(one, decision="skipped", reason=SKIPPED[key])
    if key in OPEN:
        return replace(one, late_s=OPEN[key][0], took_s={"": None})
    tenants = shop.TENANTS if job.is_for_tenants else ("",)
    usual_s = job.usual_s
    if job.name == "rebuild-recommendations":
        usual_s += 13 * max(60 - (NOW - one.due_at).days, 0)
    spread = 0.07 if usual_s > 900 else 0.16
    took_s = {
        tenant: usual_s * max(chance.gauss(0.7 + 0.06 * place if tenant else 1, spread), 0.3)
        for place, tenant in enumerate(tenants)
    }
    return replace(one, late_s=late_s, took_s=took_s)


def _claimed_at(one: Fate) -> datetime:
    late_s = 0.3 if one.decision != "run" else min(one.late_s, 0.4)
    claimed_at = one.due_at + timedelta(seconds=late_s)
    return max(claimed_at, BACK_AT + timedelta(seconds=1)) if DOWN_AT < one.due_at < BACK_AT else claimed_at


def _write_runs(store: LedgerStore, fates: list[Fate], chance: random.Random, bot: str) -> None:
    decided: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    tries: list[dict[str, Any]] = []
    lists: list[dict[str, Any]] = []
    for number, one in enumerate(fates, start=1):
        bot_then = bot if one.due_at > DOWN_AT else "web-2-before"
        decided.append(
            {"id": number, "job": one.job, "schedule": one.schedule, "due_at": to_column(one.due_at)}
            | {"decision": one.decision, "reason": one.reason, "bot": bot_then}
            | {"claimed_at": to_column(_claimed_at(one)), "listing": "listed" if len(one.took_s) > 1 else None}
        )
        if len(one.took_s) > 1:
            ended_at = to_column(_claimed_at(one) + timedelta(seconds=0.2))
            params = {"params": "{}", "params_key": "", "overlap": "skip", "available_at": to_column(one.due_at)}
            lists.append({"occurrence_id": number, "listed": len(one.took_s), "finished_at": ended_at, **params})
        for place, (tenant, took_s) in enumerate(one.took_s.items()):
            late_s = one.late_s + (place // 4 * 1.1 if tenant else 0)
            run = _run_row(one, tenant, took_s, one.due_at + timedelta(seconds=late_s), chance)
            rows.append({"id": len(rows) + 1, "occurrence_id": number, "owner": bot_then, **run})
            if run["attempt"] == 3:
                tries += _attempts(rows[-1])
    with store.writing() as connection:
        connection.execute(insert(occurrences), decided)
        connection.execute(insert(listings), lists)
        connection.execute(insert(runs), rows)
        connection.execute(insert(attempts), tries)


def _run_row(
    one: Fate, tenant: str, took_s: float | None, started_at: datetime, chance: random.Random
) -> dict[str, Any]:
    key = (one.job, one.due_at)
    row: dict[str, Any] = {
        **{"job": one.job, "schedule": one.schedule, "due_at": to_column(one.due_at), "reason": None, "error": None},
        **{"params": "{}", "params_key": "", "tenant": tenant, "tenant_name": "", "attempt": 1},
        **{"available_at": to_column(one.due_at), "claimed_at": to_column(_claimed_at(one))},
        **{"started_at": to_column(started_at), "finished_at": None, "state": "running", "output": None},
        **{"progress_done": None, "progress_total": None},
    }
    if took_s is None:
        done, total = OPEN[key][1] or (None, None)
        return row | {"progress_done": done, "progress_total": total, "output": RUNNING.get(one.job)}
    row |= {"state": "succeeded", "output": OUTPUT.get(one.job)}
    if key in FAILED:
        took_s *= 0.4
        row |= {"state": "failed", "error": to_json(error_of(FAILED[key], one.job))}
    elif tenant in FAILED_TENANTS.get(key, ()):
        row |= {"state": "failed", "error": to_json(error_of(FAILED_INVOICES, one.job)), "output": OUTPUT["failed"]}
        if one.job == "issue-invoices":
            took_s = 97.0
            started_at += timedelta(seconds=276)
            row |= {"attempt": 3, "started_at": to_column(started_at)}
    elif one.job == "rebuild-recommendations" and one.due_at > NOW - timedelta(days=2, hours=12):
        took_s = 2700.0
        row |= {"state": "timed_out", "reason": "timeout", "output": TIMED_OUT}
    elif one.job == "vacuum-search-log" and one.due_at.date() == at("09 02:40").date():
        row |= {"state": "interrupted", "reason": "bot_died"}
    return row | {"finished_at": to_column(started_at + timedelta(seconds=took_s))}


def _attempts(run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The two tries before the last one."""
    begun = run["due_at"] + 3_104_000
    for number, (begins_s, took_s) in enumerate(((0, 98.2), (126.5, 94.1)), start=1):
        started_at = begun + round(begins_s * 1e6)
        yield {
            **{"run_id": run["id"], "attempt": number, "state": "failed", "owner": run["owner"]},
            **{"started_at": started_at, "finished_at": started_at + round(took_s * 1e6)},
            **{"error": run["error"], "output": FIRST_TRY},
        }


def _write_bots(store: LedgerStore, lock: BotLock) -> None:
    lives = (
        ("web-2-first", 30_112, NOW - LONG - MINUTE, at("16 03:37"), at("16 03:37"), "0.1.0"),
        ("web-2-before", 30_918, at("16 03:37"), DOWN_AT, None, "0.1.0"),
        (lock.bot, 41_177, BACK_AT, NOW - timedelta(milliseconds=300), None, "0.1.0"),
    )
    with store.writing() as connection:
        for bot, pid, started_at, heard_at, stopped_at, version in lives:
            row = {"id": bot, "kind": "bot", "host": "web-2", "boot_id": "", "pid": pid, "version": version}
            times = {"started_at": to_column(started_at), "heartbeat_at": to_column(heard_at)}
            times["stopped_at"] = None if stopped_at is None else to_column(stopped_at)
            stats = to_json({"workers": 8, "busy": 3, "waiting": 0, "lingering": 0})
            connection.execute(insert(bots), row | times | {"stats": stats, "lock": str(lock.path)})


def _write_schedules(store: LedgerStore, project: Project, bot: str) -> None:
    rows = [
        {"job": one.job, "schedule": one.name, "key": one.key, "fingerprint": one.fingerprint, "announced_by": bot}
        | {"effective_from": to_column(NOW - LONG), "planned_to": to_column(NOW)}
        for one in project.schedules
    ]
    with store.writing() as connection:
        connection.execute(insert(schedules), rows)


def _write_acts(store: LedgerStore) -> None:
    mira, jonas = Person("mira", "console from 10.4.0.17"), Person("jonas", "console from 10.4.0.22")
    deploy = Person("deploy", "command on web-2")
    why = "until the VAT column is fixed"
    with store.writing() as connection:
        paused = {"job": "weekly-sales-report", "paused_at": to_column(PAUSED_AT), "who": "mira", "why": why}
        connection.execute(insert(pauses), paused)
        write_audit(connection, mira, PAUSED_AT, "pause", job="weekly-sales-report", why=why)
        write_audit(connection, mira, at("21 06:52"), "login")
        write_audit(connection, deploy, at("22 03:30"), "pause", job="rebuild-recommendations", why="schema change")
        write_audit(connection, deploy, at("22 03:59"), "resume", job="rebuild-recommendations")
        write_audit(connection, jonas, at("22 09:20"), "skip", job="reindex-catalogue", count=1)
        write_audit(connection, mira, at("22 12:19"), "login")
