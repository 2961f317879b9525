"""backfill of jobs with tenants."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bots import job, rows, write_jobs, write_tenants

from .conftest import Pinstripe
from .looking import running_bot

DAYS = ["--from", "2026-03-28T00:00", "--to", "2026-03-29T23:59"]
"""Two of them; on the second one the clocks of Berlin change."""

AT_NINE = job("print(workspace.due_at)", "'0 9 * * *', multi_tenant=True, timezone='tenant'")
NOON = job("return workspace.tenant.id", "'0 12 * * *', multi_tenant=True")


@pytest.fixture
def shop(root: Path) -> Path:
    write_tenants(root)  # acme in Berlin, beta in New York, coro in the project's zone
    write_jobs(root, report=AT_NINE, noon=NOON)
    (root / "pinstripe.toml").write_text("timezone = 'UTC'\n")
    return root


@pytest.fixture
def ledger(shop: Path) -> Path:
    return shop / ".pinstripe/ledger.db"


def given(ledger: Path, job_name: str = "report") -> list[tuple[str, str]]:
    """(tenant, when it was due) of the runs of a job, in the order in which they wait."""
    found = rows(ledger, "SELECT tenant, due_at FROM runs WHERE job = ? ORDER BY id", job_name)
    return [(tenant, f"{datetime.fromtimestamp(due_at // 1_000_000, UTC):%d %H:%M}") for tenant, due_at in found]


def test_a_dry_run_lists_each_zones_instants_and_makes_no_ledger(
    shop: Path, ledger: Path, pinstripe: Pinstripe
) -> None:
    told = pinstripe("backfill", "report", *DAYS, "--dry-run", at=shop)
    as_json = json.loads(pinstripe("backfill", "noon", *DAYS, "--dry-run", "--json", at=shop).stdout)

    assert told.stdout.splitlines() == [
        "2026-03-28 09:00:00 CET  0 9 * * *  1 tenant",
        "2026-03-28 09:00:00 UTC  0 9 * * *  1 tenant",
        "2026-03-28 09:00:00 EDT  0 9 * * *  1 tenant",
        "2026-03-29 09:00:00 CEST  0 9 * * *  1 tenant",
        "2026-03-29 09:00:00 UTC  0 9 * * *  1 tenant",
        "2026-03-29 09:00:00 EDT  0 9 * * *  1 tenant",
        "6 runs of report would be added",
    ]
    first = {"due_at": "2026-03-28T12:00:00Z", "schedule": "0 12 * * *", "timezone": "UTC", "tenants": 3}
    assert (as_json["would_add"], as_json["due"][0]) == (6, first)
    assert not ledger.exists()


def test_each_tenant_gets_a_run_for_each_instant_where_it_lives_once(
    shop: Path, ledger: Path, pinstripe: Pinstripe
) -> None:
    first, second = (pinstripe("backfill", "report", *DAYS, at=shop) for _ in range(2))

    assert first.stdout == "6 runs of report added: no bot is running, `pinstripe start-bot` runs one\n"
    assert second.stdout == "every due instant of report in this span has a run: nothing to add\n"
    assert given(ledger) == [
        *(("acme", "28 08:00"), ("coro", "28 09:00"), ("beta", "28 13:00")),
        *(("acme", "29 07:00"), ("coro", "29 09:00"), ("beta", "29 13:00")),
    ]
    assert rows(ledger, "SELECT DISTINCT state, in_turn FROM runs") == [("queued", 1)]
    assert rows(ledger, "SELECT action, job FROM audit") == [("backfill", "report")]


def test_it_may_be_for_some_tenants_only(shop: Path, ledger: Path, pinstripe: Pinstripe) -> None:
    pinstripe("backfill", "report", *DAYS, "--tenant", "beta", "--tenant", "coro", at=shop)

    assert {tenant for tenant, _ in given(ledger)} == {"beta", "coro"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["report", "--tenant", "acne"], "there is no tenant 'acne': `pinstripe tenants` lists them"),
        (["sweep", "--tenant", "acme"], "the job 'sweep' has no tenants: leave --tenant out"),
    ],
)
def test_an_unknown_tenant_is_refused_and_nothing_is_written(
    shop: Path, ledger: Path, pinstripe: Pinstripe, arguments: list[str], told: str
) -> None:
    write_jobs(shop, sweep=job("return 1", "'0 9 * * *'"))

    refused = pinstripe("backfill", *arguments, *DAYS, at=shop)

    assert refused.exit_code in (2, 5)
    assert told in refused.stderr
    assert not ledger.exists() or rows(ledger, "SELECT count(*) FROM runs") == [(0,)]


def test_what_a_tenant_has_had_is_left_out_and_what_was_skipped_is_not(
    shop: Path, ledger: Path, pinstripe: Pinstripe
) -> None:
    pinstripe("backfill", "noon", *DAYS, at=shop)
    with sqlite3.connect(ledger) as database:
        database.execute("UPDATE occurrences SET key = '' WHERE due_at < 1774742400000000")  # as if a bot had run them
        database.execute("UPDATE runs SET state = 'skipped', reason = 'paused' WHERE tenant = 'beta'")
        database.execute("UPDATE runs SET state = 'failed' WHERE tenant = 'acme'")

    planned = json.loads(pinstripe("backfill", "noon", *DAYS, "--dry-run", "--json", at=shop).stdout)

    assert [(one["due_at"], one["tenants"]) for one in planned["due"]] == [
        ("2026-03-28T12:00:00Z", 1),
        ("2026-03-29T12:00:00Z", 1),
    ]


def test_a_spacing_is_kept_by_each_tenant(shop: Path, ledger: Path, pinstripe: Pinstripe) -> None:
    pinstripe("backfill", "noon", *DAYS, "--spacing", "1h", at=shop)

    waits = rows(ledger, "SELECT tenant, available_at - min(available_at) OVER () FROM runs ORDER BY id")
    assert [(tenant, wait // 1_000_000) for tenant, wait in waits] == [
        *((tenant, 0) for tenant in ("acme", "beta", "coro")),
        *((tenant, 3600) for tenant in ("acme", "beta", "coro")),
    ]


def test_it_may_be_waited_for_and_each_tenants_runs_come_one_after_another(
    shop: Path, ledger: Path, pinstripe: Pinstripe
) -> None:
    with running_bot(shop):
        result = pinstripe("backfill", "report", *DAYS, "--wait", at=shop)

    assert result.exit_code == 0, result.stderr
    assert "6 succeeded" in result.stdout.splitlines()
    ended = rows(ledger, "SELECT tenant, due_at FROM runs ORDER BY finished_at, id")
    for tenant in ("acme", "beta", "coro"):
        own = [due_at for whose, due_at in ended if whose == tenant]
        assert own == sorted(own)
        assert len(own) == 2
