"""backfill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bots import rows

from .conftest import Pinstripe
from .looking import running_bot

NIGHTS = ["--schedule", "night", "--from", "2026-03-28T00:00", "--to", "2026-03-30T23:00"]
"""Three of them; at the second one the clocks go forward past it."""


@pytest.fixture
def ledger(shop: Path) -> Path:
    return shop / ".pinstripe/ledger.db"


def test_a_dry_run_lists_what_would_run_and_makes_no_ledger(shop: Path, ledger: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("backfill", "cleanup", *NIGHTS, "--dry-run", at=shop)

    assert result.stdout.splitlines() == [
        "2026-03-28 02:30:00 CET  night",
        "2026-03-29 03:00:00 CEST  night",
        "2026-03-30 02:30:00 CEST  night",
        "3 runs of cleanup would be added",
    ]
    assert not ledger.exists()


def test_a_dry_run_leaves_out_what_has_a_run(shop: Path, pinstripe: Pinstripe) -> None:
    pinstripe("backfill", "cleanup", *NIGHTS[:4], "--to", "2026-03-28T23:00", at=shop)

    result = pinstripe("backfill", "cleanup", *NIGHTS, "--dry-run", "--json", at=shop)

    planned = json.loads(result.stdout)
    assert (planned["would_add"], planned["due"][0]) == (2, {"due_at": "2026-03-29T01:00:00Z", "schedule": "night"})


def test_runs_are_added_once(shop: Path, ledger: Path, pinstripe: Pinstripe) -> None:
    first, second = (pinstripe("backfill", "cleanup", *NIGHTS, at=shop) for _ in range(2))

    assert first.stdout == "3 runs of cleanup added: no bot is running, `pinstripe start-bot` runs one\n"
    assert second.stdout == "every due instant of cleanup in this span has a run: nothing to add\n"
    assert rows(ledger, "SELECT params, in_turn FROM runs") == [('{"limit":7}', 1)] * 3


def test_a_backfill_may_be_waited_for(shop: Path, pinstripe: Pinstripe) -> None:
    with running_bot(shop):
        result = pinstripe("backfill", "cleanup", *NIGHTS, "--wait", at=shop)

    assert result.exit_code == 0, result.stderr
    assert "3 succeeded" in result.stdout.splitlines()


@pytest.mark.parametrize("has_been_added", [False, True])
def test_waiting_without_a_bot_says_so_and_fails(shop: Path, pinstripe: Pinstripe, has_been_added: bool) -> None:
    if has_been_added:
        pinstripe("backfill", "cleanup", *NIGHTS, at=shop)

    result = pinstripe("backfill", "cleanup", *NIGHTS, "--wait", at=shop)

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "no bot is running: `pinstripe start-bot` runs what waits"
    assert result.stdout.splitlines()[-1] == "3 queued"


def test_a_backfill_in_json(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("backfill", "cleanup", *NIGHTS, "--spacing", "1m", "--json", at=shop)

    assert json.loads(result.stdout) == {"job": "cleanup", "added": 3, "states": None}


def test_all_schedules_of_a_job_are_filled_unless_one_is_named(shop: Path, pinstripe: Pinstripe) -> None:
    span = ["--from", "2026-03-28T02:26", "--to", "2026-03-28T02:34"]

    result = pinstripe("backfill", "cleanup", *span, "--dry-run", at=shop)

    assert result.stdout.splitlines()[:-1] == ["2026-03-28 02:30:00 CET  */5 * * * *", "2026-03-28 02:30:00 CET  night"]


def test_more_than_a_thousand_runs_are_asked_for_twice(shop: Path, ledger: Path, pinstripe: Pinstripe) -> None:
    week = ["--from", "2026-03-02", "--to", "2026-03-06"]

    refused = pinstripe("backfill", "cleanup", *week, at=shop)
    meant = pinstripe("backfill", "cleanup", *week, "--yes", at=shop)

    assert refused.exit_code == 2
    assert "these are 1157 runs of cleanup: say --yes if you mean it" in refused.stderr
    assert meant.exit_code == 0, meant.stderr
    assert rows(ledger, "SELECT count(*), min(id) FROM runs") == [(1157, 1)]
    assert rows(ledger, "SELECT count(*) FROM audit") == [(2,)]


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (["--from", "2026-03-28", "--to", "2026-03-27"], "lies before --from"),
        (["--from", "2026-03-28", "--to", "2099-03-27"], "is still to come"),
        (["--from", "1999-03-28", "--to", "2026-03-27"], "take at most 100000 at once"),
        (["--from", "soon", "--to", "2026-03-27"], "'soon' is not an instant"),
        (["--from", "2026-03-26", "--to", "2026-03-27", "--spacing", "wide"], "'wide' is not a duration"),
        (["--from", "2026-03-26", "--to", "2026-03-27", "--schedule", "day"], "has no schedule 'day'"),
    ],
)
def test_a_span_that_cannot_be_is_told(
    shop: Path, ledger: Path, pinstripe: Pinstripe, span: list[str], told: str
) -> None:
    result = pinstripe("backfill", "cleanup", *span, at=shop)

    assert result.exit_code == 2
    assert told in result.stderr
    assert not ledger.exists()


def test_what_a_backfill_ran_is_not_late(shop: Path, pinstripe: Pinstripe) -> None:
    with running_bot(shop):
        pinstripe("backfill", "cleanup", *NIGHTS, "--wait", at=shop)

        status, table, page = (pinstripe(*each, at=shop).stdout for each in (["status"], ["runs"], ["show", "1"]))

    assert "started late" not in status
    assert "late by" not in table.splitlines()[0]
    assert " late" not in page
