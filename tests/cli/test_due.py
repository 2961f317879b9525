"""next."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import WriteProject

from .conftest import Pinstripe
from .looking import FOR_TENANTS, bot_of, find_zones


def asked(pinstripe: Pinstripe, *arguments: str, at: Path | None = None) -> list[dict[str, Any]]:
    """What `pinstripe next ... --json` answers."""
    result = pinstripe("next", *arguments, "--json", **({"at": at} if at else {}))
    assert result.exit_code == 0, result.stderr
    answer: list[dict[str, Any]] = json.loads(result.stdout)
    return answer


def test_an_expression_needs_no_project_and_takes_the_machines_zone(
    pinstripe: Pinstripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")

    (answer,) = asked(pinstripe, "0 9 * * mon-fri", "--from", "2026-01-02T12:00Z", "--count", "2")

    assert answer["schedule"] is None
    assert answer["expression"] == "0 9 * * mon-fri"
    assert answer["in_words"] == "At 09:00, Monday through Friday"
    assert answer["timezone"] == "Asia/Tokyo"
    assert [due["utc"] for due in answer["due"]] == ["2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z"]
    assert answer["due"][0]["local"] == "2026-01-05T09:00:00+09:00"


def test_an_expression_takes_the_projects_zone(shop: Path, pinstripe: Pinstripe) -> None:
    (answer,) = asked(pinstripe, "@daily", at=shop)

    assert answer["timezone"] == "Europe/Berlin"
    assert len(answer["due"]) == 5


def test_a_job_is_shown_schedule_by_schedule(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("next", "Cleanup", "--count", "1", "--from", "2026-07-01T00:01", at=shop)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        'cleanup: "*/5 * * * *": Every 5 minutes',
        "UTC                          Europe/Berlin",
        "─" * 57,
        "Tue 2026-06-30 22:05:00 UTC  Wed 2026-07-01 00:05:00 CEST",
        "",
        'cleanup (night): "30 2 * * *": At 02:30',
        "UTC                          Europe/Berlin",
        "─" * 57,
        "Wed 2026-07-01 00:30:00 UTC  Wed 2026-07-01 02:30:00 CEST",
    ]


def test_another_zone_may_be_asked_for(shop: Path, pinstripe: Pinstripe) -> None:
    (_, night) = asked(pinstripe, "cleanup", "--timezone", "America/New_York", at=shop)

    assert night["timezone"] == "America/New_York"
    assert night["due"][0]["local"][11:19] == "02:30:00"


@pytest.mark.parametrize(
    ("dst", "utc"), [("once", "2026-03-29T01:00:00Z"), ("wall", "2026-03-30T00:30:00Z")], ids=["once", "wall"]
)
def test_the_rule_for_changes_of_the_clocks_may_be_chosen(pinstripe: Pinstripe, dst: str, utc: str) -> None:
    where = ["--timezone", "Europe/Berlin", "--from", "2026-03-28T12:00Z"]

    (answer,) = asked(pinstripe, "30 2 * * *", *where, "--dst", dst, "--count", "1")

    assert answer["due"][0]["utc"] == utc


def test_a_note_stands_where_the_clocks_change(pinstripe: Pinstripe) -> None:
    where = ["--timezone", "Europe/Berlin", "--from", "2026-03-28T12:00Z"]

    result = pinstripe("next", "30 2 * * *", *where, "--count", "2")

    lines = result.stdout.splitlines()
    assert lines[1].split() == ["UTC", "Europe/Berlin", "clocks"]
    assert lines[3].endswith("clocks go forward from 02:00 to 03:00: runs once, right after the gap")
    assert lines[4].endswith("Mon 2026-03-30 02:30:00 CEST")


def test_spread_is_part_of_the_instant(shop: Path, pinstripe: Pinstripe) -> None:
    (shop / "lib/background_jobs/spread.py").write_text(
        "from pinstripe_bot import background_job\n"
        "@background_job('@hourly', spread='10m')\ndef spread(workspace): ...\n"
    )

    result = pinstripe("next", "spread", "--count", "1", at=shop)
    (answer,) = asked(pinstripe, "spread", at=shop)

    offset_s = int(result.stdout.splitlines()[0].partition("spread by ")[2].removesuffix(" s"))
    seen_s = {int(due["utc"][14:16]) * 60 + int(due["utc"][17:19]) for due in answer["due"]}
    assert seen_s == {offset_s}


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (["nope"], 5, "there is no job 'nope' in lib/background_jobs: known are cleanup, failing"),
        (["clenup"], 5, "did you mean 'cleanup'?"),
        (["failing"], 2, "the job 'failing' has no schedule: it runs by hand only"),
        (["61 * * * *"], 2, "61 * * * *"),
        (["0 0 31 2 *"], 2, "0 0 31 2 *"),
        (["@daily", "--timezone", "Europe/Berlni"], 2, "did you mean Europe/Berlin"),
        (["@daily", "--from", "tomorrow"], 2, "'tomorrow' is not an instant: write it as 2026-03-29T02:30"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(
    shop: Path, pinstripe: Pinstripe, arguments: list[str], exit_code: int, told: str
) -> None:
    result = pinstripe("next", *arguments, at=shop)

    assert result.exit_code == exit_code
    assert result.stdout == ""
    assert result.stderr.startswith("pinstripe: ")
    assert result.stderr.count("\n") == 1
    assert told in result.stderr


@pytest.mark.parametrize("count", ["0", "1001", "many"])
def test_the_count_is_limited(pinstripe: Pinstripe, count: str) -> None:
    result = pinstripe("next", "@daily", "--count", count)

    assert result.exit_code == 2
    assert "--count" in result.stderr


def test_the_list_ends_with_the_last_year(pinstripe: Pinstripe) -> None:
    (answer,) = asked(pinstripe, "0 6 * * *", "--timezone", "Europe/Berlin", "--from", "9999-12-30", "--count", "9")

    assert [due["local"][:10] for due in answer["due"]] == ["9999-12-30", "9999-12-31"]


def test_in_tenants_zones_a_schedule_is_shown_in_each(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    shop = write_project(FOR_TENANTS)
    with bot_of(shop, ago=timedelta(hours=1)) as (bot, _):
        find_zones(bot)
    march = ["--from", "2026-03-28T12:00", "--count", "1"]

    page = pinstripe("next", "invoice", *march, at=shop)
    answers = asked(pinstripe, "invoice", *march, at=shop)

    lines = page.stdout.splitlines()
    assert lines[0] == 'invoice: "0 9 * * *": At 09:00, in each tenant\'s zone'
    assert [" ".join(line.split()) for line in lines[3:]] == [
        "Sun 2026-03-29 07:00:00 UTC Sun 2026-03-29 09:00:00 CEST Europe/Berlin",
        "Sun 2026-03-29 09:00:00 UTC Sun 2026-03-29 09:00:00 UTC UTC",
        "Sun 2026-03-29 13:00:00 UTC Sun 2026-03-29 09:00:00 EDT America/New_York",
    ]
    assert {each["timezone"]: each["due"][0]["local"] for each in answers} == {
        "America/New_York": "2026-03-29T09:00:00-04:00",
        "Europe/Berlin": "2026-03-29T09:00:00+02:00",
        "UTC": "2026-03-29T09:00:00+00:00",
    }


def test_where_no_tenants_zone_is_known_yet_it_says_so(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    shop = write_project(FOR_TENANTS)

    page = pinstripe("next", "invoice", at=shop)
    answers = asked(pinstripe, "invoice", at=shop)

    assert "No tenant's zone is known yet" in page.stdout
    assert [(each["timezone"], each["due"]) for each in answers] == [("tenant", [])]
