"""status."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bots import WAITING, claim_only, crash, job, names_in, rows
from conftest import WriteProject

from pinstripe_bot import enqueue
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.ledger_acts import Acts
from pinstripe_bot.ledger_audit import Person

from .conftest import BROKEN, Pinstripe
from .looking import FILES, FOR_TENANTS, asked, bot_of, find_zones, tick


@pytest.fixture
def shop(write_project: WriteProject) -> Path:
    return write_project(FILES)


def test_without_a_ledger_it_says_how_to_begin_and_makes_none(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("status", at=shop)

    assert result.exit_code == 0
    assert result.stdout.startswith("There is no ledger yet, so nothing has run: `pinstripe start-server`")
    assert "Next, once a bot runs\n" in result.stdout
    assert not (shop / ".pinstripe").exists()


def test_where_all_is_well_one_sentence_comes_first(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    root = write_project({"pinstripe.toml": "", "lib/background_jobs/sweep.py": FILES["lib/background_jobs/sweep.py"]})
    with bot_of(root, ago=timedelta(minutes=30)) as (bot, clock):
        tick(bot, clock, minutes=5)

        result = pinstripe("status", at=root)

    lines = result.stdout.splitlines()
    assert lines[0] == "All is well: in the last 24 hours nothing failed, was missed or late."
    assert "In the last 24 hours" not in lines
    assert any(line.startswith("  alive  ") and "0 of 8 workers busy" in line for line in lines)


def test_failures_of_one_job_are_one_line_with_the_commands(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=1)) as (bot, clock):
        for _ in range(3):
            tick(bot, clock, minutes=5)

        lines = pinstripe("status", at=shop).stdout.splitlines()

    newest = 5
    start = lines.index("In the last 24 hours")
    assert lines[start + 1].startswith("  report failed 3 times, last ")
    assert lines[start + 2].startswith(
        "    ConnectionError: the bank did not answer: postgresql://shop:***@bank/db (lib/"
    )
    assert lines[start + 3] == f"    pinstripe show {newest}    pinstripe retry {newest}"
    assert not any("hunter2" in line for line in lines)


def test_missed_instants_are_told_with_the_commands(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=3)) as (bot, clock):
        tick(bot, clock, hours=1)
        last = (clock.now() - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")

        lines = pinstripe("status", at=shop).stdout.splitlines()

    missed = next(line for line in lines if line.startswith("  sweep missed 11 times, last "))
    assert "a newer instant took its place" in missed
    index = lines.index(missed)
    assert lines[index + 1 : index + 3] == [
        f"    pinstripe explain sweep --at {last}",
        f"    pinstripe run-background-job sweep --at {last}",
    ]


def test_without_a_bot_it_says_since_when(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(minutes=30)) as (bot, clock):
        tick(bot, clock, minutes=5)

    result = pinstripe("status", at=shop)

    assert result.stdout.startswith("No bot is running since ")
    assert "`pinstripe start-server` starts one." in result.stdout.splitlines()[0]


def test_broken_files_are_shown(shop: Path, pinstripe: Pinstripe) -> None:
    (shop / "lib/background_jobs/broken.py").write_text(BROKEN)

    lines = pinstripe("status", at=shop).stdout.splitlines()

    assert lines[0] == "Broken files"
    assert lines[1].startswith("  lib/background_jobs/broken.py:1: ImportError: ")


def test_a_pause_says_who_and_why_and_how_to_end_it(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=1)) as (bot, clock):
        Acts(bot.ledger.store, bot.project, Person("kim", "here")).pause("sweep", clock.now(), why="stocktaking")
        tick(bot, clock, minutes=10)

        lines = pinstripe("status", at=shop).stdout.splitlines()

    told = lines[lines.index("Paused") + 1]
    assert told.startswith("  sweep  since ")
    assert told.endswith(" by kim (stocktaking), 2 instants passed over: pinstripe resume sweep")


def test_what_runs_is_shown_with_its_progress_and_its_place(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    root = write_project({"pinstripe.toml": "", "lib/background_jobs/slow.py": job(WAITING)})
    with bot_of(root, ago=timedelta(minutes=10)) as (bot, clock):
        clock.travel(minutes=1)
        bot.tick()
        names = names_in(bot, "slow")
        assert names["begun"].wait(10)

        lines = pinstripe("status", at=root).stdout.splitlines()

        names["go"].set()
        bot.dispatcher.wait_until_idle()
    told = lines[lines.index("Running") + 1]
    assert told.split()[:3] == ["1", "slow", "since"]
    assert " pid " in told


def test_the_next_due_instants_come_from_all_schedules(shop: Path, pinstripe: Pinstripe) -> None:
    told = asked(pinstripe, "status", at=shop)["next"]

    assert [one["job"] for one in told] == ["report", "sweep", "report", "sweep", "report"]
    assert [one["due_at"] for one in told] == sorted(one["due_at"] for one in told)


def test_what_comes_due_and_will_not_run_is_marked(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(minutes=1)) as (bot, clock):
        acts = Acts(bot.ledger.store, bot.project, Person("kim", "here"))
        acts.pause("sweep", clock.now())
        acts.skip("report", 1, clock.now())

        told = asked(pinstripe, "status", at=shop)["next"]
        lines = pinstripe("status", at=shop).stdout.splitlines()

    assert [(one["job"], one["paused"], one["skip"]) for one in told] == [
        ("report", False, True),
        ("sweep", True, False),
        ("report", False, False),
        ("sweep", True, False),
        ("report", False, False),
    ]
    start = lines.index("Next") + 1
    ends = [line.split("* * * *")[1].strip() for line in lines[start : start + 5]]
    assert ends == ["will be skipped", "paused", "", "paused", ""]


def test_a_pause_that_ends_marks_what_lies_in_it(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(minutes=1)) as (bot, clock):
        first = datetime.fromtimestamp(SystemClock().now().timestamp() // 300 * 300 + 300, UTC)
        acts = Acts(bot.ledger.store, bot.project, Person("kim", "here"))
        acts.pause("", clock.now(), until_at=first + timedelta(seconds=1))

        told = asked(pinstripe, "status", at=shop)["next"]

    assert [one["paused"] for one in told] == [True, True, False, False, False]


def test_the_same_as_json(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=1)) as (bot, clock):
        tick(bot, clock, minutes=5)
        tick(bot, clock, minutes=20)

        told = asked(pinstripe, "status", at=shop)

    assert told["is_well"] is False
    (trouble,) = told["troubles"]
    assert (trouble["kind"], trouble["job"], trouble["count"]) == ("failed", "report", 2)
    assert (trouble["show"], trouble["retry"]) == ("pinstripe show 3", "pinstripe retry 3")
    assert {(one["job"], one["state"], one["count"]) for one in told["passed"]} == {
        ("report", "missed", 3),
        ("sweep", "missed", 3),
    }
    (bot_told,) = told["bots"]
    assert bot_told["is_alive"] is True
    assert told["ledger"]["bytes"] > 0
    assert told["since"].endswith("Z")


def test_looking_writes_nothing(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=1)) as (bot, clock):
        tick(bot, clock, minutes=5)
        ledger = bot.ledger.store.path
        assert ledger is not None
        before = rows(ledger, "PRAGMA data_version"), rows(ledger, "SELECT count(*) FROM bots")

        for command in (["status"], ["runs"], ["show", "1"], ["logs", "1"], ["explain", "sweep", "--at", "now"]):
            assert pinstripe(*command, at=shop).exit_code == 0

        assert (rows(ledger, "PRAGMA data_version"), rows(ledger, "SELECT count(*) FROM bots")) == before


def test_a_run_of_a_dead_bot_does_not_stand_as_running(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    root = write_project({"pinstripe.toml": "", "lib/background_jobs/slow.py": job()})
    with bot_of(root, ago=timedelta(minutes=10)) as (bot, clock):
        clock.travel(minutes=1)
        bot.ledger.start(claim_only(bot), clock.now())
        crash(bot.ledger)

        status, show, table = (pinstripe(*each, at=root).stdout for each in (["status"], ["show", "1"], ["runs"]))
        followed = pinstripe("logs", "1", "--follow", at=root)

    gone = "its bot is gone: the next bot that starts records it as interrupted"
    assert gone in status
    assert f", and {gone}." in show
    assert "pinstripe cancel" not in show
    assert "--follow" not in show
    assert "pinstripe start-server" in show
    assert "its bot is gone" in table
    assert (followed.exit_code, followed.stderr) == (0, f"run 1 does not go on, {gone}\n")


def test_without_a_bot_what_waits_waits_for_one(shop: Path, pinstripe: Pinstripe) -> None:
    enqueue(shop, "sweep")

    status, show = pinstripe("status", at=shop).stdout, pinstripe("show", "1", at=shop).stdout

    assert "waits for a bot since" in status
    assert "Next, once a bot runs\n" in status
    assert show.splitlines()[1] == "It waits for a bot, and none is running: `pinstripe start-server` starts one."


def test_a_stopped_bot_has_stopped(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(minutes=30)) as (bot, clock):
        tick(bot, clock, minutes=5)

    lines = pinstripe("status", at=shop).stdout.splitlines()

    assert lines[lines.index("Bots") + 1].startswith("  stopped 2")
    assert "heard" not in lines[lines.index("Bots") + 1]


def test_only_what_can_be_run_again_is_offered(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=1)) as (bot, clock):
        tick(bot, clock, minutes=30)
        sound = pinstripe("status", at=shop).stdout
        (shop / "lib/background_jobs/report.py").write_text(BROKEN)
        broken = pinstripe("status", at=shop).stdout

    assert "pinstripe retry 1" in sound
    assert "pinstripe backfill report --schedule '*/5 * * * *' --from" in sound
    assert "pinstripe run-background-job sweep --at" in sound
    assert "pinstripe retry" not in broken
    assert "pinstripe backfill" not in broken


def test_in_tenants_zones_the_next_instants_are_those_of_each_zone(
    write_project: WriteProject, pinstripe: Pinstripe
) -> None:
    shop = write_project(FOR_TENANTS)
    with bot_of(shop, ago=timedelta(hours=1)) as (bot, _):
        find_zones(bot)

    page = pinstripe("status", at=shop).stdout
    coming = asked(pinstripe, "status", at=shop)["next"]

    assert {one["timezone"] for one in coming} == {"Europe/Berlin", "America/New_York", "UTC"}
    assert {one["local"][11:19] for one in coming} == {"09:00:00"}
    assert "0 9 * * * in America/New_York" in page
