"""retry, cancel, pause, resume and skip."""

from __future__ import annotations

import json
import os
import pwd
import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bots import PATIENCE_S, rows
from conftest import WriteProject

from pinstripe_bot import enqueue
from pinstripe_bot.bot import Bot
from pinstripe_bot.errors import InvalidParams
from pinstripe_bot.instants import read_until
from pinstripe_bot.project import Project

from .conftest import BROKEN, Pinstripe
from .looking import FOR_TENANTS, asked, bot_of, find_zones, running_bot

ME = pwd.getpwuid(os.getuid()).pw_name

LISTENING = """
    import threading
    from pinstripe_bot import background_job

    begun = threading.Event()

    @background_job()
    def listening(workspace):
        begun.set()
        while True:
            workspace.checkpoint()
            threading.Event().wait(0.01)
    """


@pytest.fixture
def ledger(shop: Path) -> Path:
    return shop / ".pinstripe/ledger.db"


@pytest.fixture
def bot(shop: Path, write_project: Any) -> Iterator[Bot]:
    """A bot of the shop that runs."""
    (shop / "lib/background_jobs/cleanup.py").unlink()  # due by the machine's clock, it would print into the answer
    write_project({"lib/background_jobs/listening.py": LISTENING})
    with running_bot(shop) as bot:
        yield bot


def answer(pinstripe: Pinstripe, *arguments: str, at: Path) -> dict[str, Any]:
    """What the command answers in JSON."""
    result = pinstripe(*arguments, "--json", at=at)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


# Retry


def test_a_failed_run_is_queued_again(shop: Path, pinstripe: Pinstripe) -> None:
    pinstripe("run-background-job", "failing", at=shop)

    result = pinstripe("retry", "1", at=shop)

    told = "run 1 of failing is queued for attempt 2: no bot is running, `pinstripe start-bot` runs one\n"
    assert (result.exit_code, result.stdout) == (0, told)


def test_a_retry_in_json(shop: Path, pinstripe: Pinstripe) -> None:
    pinstripe("run-background-job", "failing", at=shop)

    run = answer(pinstripe, "retry", "1", at=shop)

    assert (run["run"], run["state"], run["attempt"]) == (1, "queued", 2)


def test_a_succeeded_run_needs_force(shop: Path, pinstripe: Pinstripe) -> None:
    pinstripe("run-background-job", "cleanup", at=shop)

    refused, forced = pinstripe("retry", "1", at=shop), pinstripe("retry", "1", "--force", at=shop)

    assert (refused.exit_code, forced.exit_code) == (2, 0)
    assert refused.stderr == "pinstripe: run 1 of cleanup has succeeded: --force runs it once more\n"


@pytest.mark.parametrize("command", ["retry", "cancel"])
@pytest.mark.parametrize("number", ["7", "seven"])
def test_an_unknown_run_is_told_and_no_ledger_is_made(
    shop: Path, ledger: Path, pinstripe: Pinstripe, command: str, number: str
) -> None:
    result = pinstripe(command, number, at=shop)

    assert result.exit_code == 5
    assert number in result.stderr
    assert not ledger.exists()


# Cancel


def test_a_queued_run_is_cancelled(shop: Path, ledger: Path, pinstripe: Pinstripe) -> None:
    enqueue(shop, "cleanup")

    result = pinstripe("cancel", "1", at=shop)

    assert (result.exit_code, result.stdout) == (0, "run 1 of cleanup is cancelled\n")
    assert rows(ledger, "SELECT state, reason, cancelled_by FROM runs") == [("cancelled", "cancelled", ME)]


def test_a_running_run_is_cancelled_and_waited_for(shop: Path, bot: Bot, pinstripe: Pinstripe) -> None:
    enqueue(bot.project, "listening")
    assert bot.project.jobs["listening"].author.__globals__["begun"].wait(PATIENCE_S)

    run = answer(pinstripe, "cancel", "1", at=shop)

    assert (run["state"], run["reason"], run["cancel_requested"]) == ("cancelled", "cancelled", True)


def test_nobody_need_wait_for_the_end(shop: Path, bot: Bot, pinstripe: Pinstripe) -> None:
    enqueue(bot.project, "listening")
    assert bot.project.jobs["listening"].author.__globals__["begun"].wait(PATIENCE_S)

    result = pinstripe("cancel", "1", "--no-wait", at=shop)

    assert result.stdout == "run 1 of listening was asked to end: `pinstripe show 1` tells when it has\n"


def test_an_ended_run_cannot_be_cancelled(shop: Path, pinstripe: Pinstripe) -> None:
    pinstripe("run-background-job", "cleanup", at=shop)

    result = pinstripe("cancel", "1", at=shop)

    assert (result.exit_code, result.stdout) == (0, "run 1 of cleanup had succeeded already\n")


# Pause


def test_a_pause_is_told_with_its_end_and_its_reason(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("pause", "Cleanup", "--until", "2099-12-01 09:00", "--reason", "inventory", at=shop)

    assert result.stdout == (
        f"cleanup is paused until 2099-12-01 09:00:00 CET (by {ME}: inventory);"
        " `pinstripe resume cleanup` ends it, running by hand goes on working\n"
    )
    assert pinstripe("run-background-job", "cleanup", at=shop).exit_code == 0


def test_a_pause_of_a_job_without_schedules_says_that_it_does_nothing(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("pause", "failing", at=shop)

    assert result.stdout.endswith("\nfailing has no schedule that comes due, so the pause does nothing\n")


def test_a_reason_stands_on_one_line_and_moves_no_cursor(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("pause", "cleanup", "--reason", "one\n\x1b[2Jtwo", at=shop)

    assert f"(by {ME}: one\\n\\x1b[2Jtwo)" in result.stdout
    assert "(one\\n\\x1b[2Jtwo)" in pinstripe("status", at=shop).stdout


def test_every_job_may_be_paused(shop: Path, ledger: Path, pinstripe: Pinstripe) -> None:
    paused = answer(pinstripe, "pause", "--all", at=shop)

    assert (paused["job"], paused["until_at"], paused["who"]) == (None, None, ME)
    assert rows(ledger, "SELECT job FROM pauses") == [("",)]


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_one_job_or_all_is_to_be_named(shop: Path, pinstripe: Pinstripe, command: str) -> None:
    results = [pinstripe(command, *names, at=shop) for names in ([], ["cleanup", "--all"])]

    assert [result.exit_code for result in results] == [2, 2]
    assert all("name one job, or say --all" in result.stderr for result in results)


@pytest.mark.parametrize("command", ["pause", "resume", "skip"])
def test_an_unknown_job_is_told(shop: Path, pinstripe: Pinstripe, command: str) -> None:
    result = pinstripe(command, "cleanip", at=shop)

    assert result.exit_code == 5
    assert "did you mean 'cleanup'" in result.stderr


NOW = datetime(2026, 3, 27, 12, 30, 15, tzinfo=UTC)  # a Friday, 13:30 in Berlin; two days later clocks go forward


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2h", "2026-03-27T14:30:15"),
        ("in 2h", "2026-03-27T14:30:15"),
        ("1d12h", "2026-03-29T00:30:15"),
        ("2026-12-01 09:00", "2026-12-01T08:00:00"),
        ("2026-12-01T09:00Z", "2026-12-01T09:00:00"),
        ("tomorrow 9:00", "2026-03-28T08:00:00"),
        ("14:00", "2026-03-27T13:00:00"),
        ("9:00", "2026-03-28T08:00:00"),
        ("monday 9:00", "2026-03-30T07:00:00"),
        ("friday 9:00", "2026-04-03T07:00:00"),
        ("today 14:00", "2026-03-27T13:00:00"),
    ],
)
def test_an_end_is_always_still_to_come(written: str, expected: str) -> None:
    assert read_until(written, "Europe/Berlin", NOW) == datetime.fromisoformat(f"{expected}+00:00")


@pytest.mark.parametrize("written", ["2026-01-01 09:00", "yesterday 9:00", "10m ago", "today 9:00", "now", "0s"])
def test_an_end_in_the_past_is_refused(written: str) -> None:
    with pytest.raises(InvalidParams, match="is past, so nothing would be paused"):
        read_until(written, "Europe/Berlin", NOW)


@pytest.mark.parametrize("written", ["90", "soon", "2026-03-29 02:30"])
def test_an_end_that_is_none_is_refused(written: str) -> None:
    with pytest.raises(InvalidParams):
        read_until(written, "Europe/Berlin", NOW)


def test_an_end_that_is_none_names_ends_to_come() -> None:
    with pytest.raises(InvalidParams, match='is not an instant to come: write it as "2h", "tomorrow 9:00"'):
        read_until("nonsense", "Europe/Berlin", NOW)


# Resume


def test_resuming_every_job_names_those_with_a_pause_of_their_own(shop: Path, pinstripe: Pinstripe) -> None:
    pinstripe("pause", "cleanup", at=shop)

    result = pinstripe("resume", "--all", at=shop)

    told = "no pause of all jobs is in force; cleanup has one of its own: `pinstripe resume cleanup`\n"
    assert (result.exit_code, result.stdout) == (0, told)


def test_the_end_of_the_pause_of_every_job_leaves_those_of_single_ones(shop: Path, pinstripe: Pinstripe) -> None:
    for name in ("cleanup", "failing", "--all"):
        pinstripe("pause", name, at=shop)

    result = pinstripe("resume", "--all", at=shop)

    assert result.stdout == (
        "all jobs are resumed and come due from now on; but cleanup, failing have pauses of their own:"
        " `pinstripe resume cleanup`, `pinstripe resume failing`\n"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["resume", "--all"], "no pause of all jobs is in force\n"),
        (["resume", "cleanup"], "cleanup is not paused\n"),
        (["skip", "cleanup", "--count", "0"], "no due instant of cleanup is skipped\n"),
    ],
)
def test_what_takes_something_back_makes_no_ledger(
    shop: Path, ledger: Path, pinstripe: Pinstripe, arguments: list[str], told: str
) -> None:
    assert pinstripe(*arguments, at=shop).stdout == told
    assert not ledger.exists()


def test_a_resumed_job_comes_due_from_now_on(shop: Path, pinstripe: Pinstripe) -> None:
    pinstripe("pause", "cleanup", at=shop)

    result = pinstripe("resume", "cleanup", at=shop)

    assert (result.exit_code, result.stdout) == (0, "cleanup is resumed and comes due from now on\n")


def test_a_job_that_is_not_paused_is_told(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("resume", "cleanup", at=shop)

    assert (result.exit_code, result.stdout) == (0, "cleanup is not paused\n")


def test_a_pause_of_every_job_is_told_to_whoever_resumes_one(shop: Path, pinstripe: Pinstripe) -> None:
    pinstripe("pause", "--all", at=shop)

    result = pinstripe("resume", "cleanup", at=shop)

    assert result.stdout == (
        f"cleanup is not paused; but every job is paused until somebody resumes it (by {ME}):"
        " `pinstripe resume --all`\n"
    )


def test_what_came_due_in_a_pause_is_counted(shop: Path, ledger: Path, pinstripe: Pinstripe) -> None:
    bot = Bot(Project.load(shop, environ={}))
    bot.plan()
    bot.stop()
    pinstripe("pause", "--all", at=shop)
    set_back(ledger, timedelta(days=1))

    resumed = answer(pinstripe, "resume", "--all", at=shop)

    assert (resumed["job"], resumed["was"]["who"], resumed["passed"] in range(288, 292)) == (None, ME, True)
    assert rows(ledger, "SELECT count(*) FROM runs") == [(0,)]


def set_back(ledger: Path, by: timedelta) -> None:
    """As if no bot had run for so long, and the pause had begun then."""
    connection = sqlite3.connect(ledger)
    microseconds = by // timedelta(microseconds=1)
    connection.execute("UPDATE schedules SET planned_to = planned_to - ?", (microseconds,))
    connection.execute("UPDATE pauses SET paused_at = paused_at - ?", (microseconds,))
    connection.commit()
    connection.close()


def test_a_job_that_cannot_be_loaded_is_paused_and_resumed(shop: Path, pinstripe: Pinstripe) -> None:
    (shop / "lib/background_jobs/failing.py").write_text(BROKEN)

    paused, resumed, again = (pinstripe(each, "failing", at=shop) for each in ("pause", "resume", "resume"))

    assert paused.stdout.startswith("failing is paused until somebody resumes it")
    assert resumed.stdout == "failing is resumed and comes due from now on\n"
    assert again.stdout == "failing is not paused\n"


def test_a_job_that_the_project_has_no_more_can_be_resumed(shop: Path, pinstripe: Pinstripe) -> None:
    pinstripe("pause", "failing", at=shop)
    (shop / "lib/background_jobs/failing.py").unlink()

    result = pinstripe("resume", "failing", at=shop)

    assert result.stdout == "failing is resumed and comes due from now on\n"


# Skip


def test_the_instants_that_will_be_skipped_are_listed(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("skip", "cleanup", "--schedule", "night", "--count", "2", at=shop)

    first, *instants, last = result.stdout.splitlines()
    back = "`pinstripe skip cleanup --schedule night --count 0` takes it back"
    assert (first, last) == ("cleanup will not run at:", back)
    assert len(instants) == 2
    assert all("02:30:00" in line and line.endswith("night") for line in instants)


def test_a_long_list_of_instants_is_cut(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("skip", "cleanup", "--count", "25", at=shop)

    assert len(result.stdout.splitlines()) == 1 + 10 + 1 + 1
    assert re.search(r"^  and 1[56] more$", result.stdout, re.M)  # one may just have come due


@pytest.mark.parametrize("written", ["*/5 * * * *", " */5  * * * * ", "30 2 * * *", "night"])
def test_the_schedule_of_a_skip_may_be_its_expression(shop: Path, pinstripe: Pinstripe, written: str) -> None:
    skipped = answer(pinstripe, "skip", "cleanup", "--schedule", written, at=shop)

    name = "*/5 * * * *" if "/5" in written else "night"
    assert (skipped["schedule"], skipped["due"][0]["schedule"]) == (name, name)


def test_a_skip_is_taken_back(shop: Path, ledger: Path, pinstripe: Pinstripe) -> None:
    skipped = answer(pinstripe, "skip", "cleanup", at=shop)

    result = pinstripe("skip", "cleanup", "--count", "0", at=shop)

    assert len(skipped["due"]) in (1, 2)  # at half past two both schedules are due
    assert result.stdout == "no due instant of cleanup is skipped\n"
    assert rows(ledger, "SELECT count(*) FROM skips") == [(0,)]


def test_in_tenants_zones_a_skip_is_one_of_each(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    shop = write_project(FOR_TENANTS)
    refused = pinstripe("skip", "invoice", at=shop)
    with bot_of(shop, ago=timedelta(hours=1)) as (bot, _):
        find_zones(bot)

    lines = pinstripe("skip", "invoice", at=shop).stdout.splitlines()
    told = asked(pinstripe, "skip", "invoice", at=shop)
    status = pinstripe("status", at=shop).stdout
    coming = asked(pinstripe, "status", at=shop)["next"]
    explained = asked(pinstripe, "explain", "invoice", "--at", told["due"][2]["due_at"], at=shop)
    in_words = explained[0]["instants"][0]["sentences"]

    zones = ["America/New_York", "Europe/Berlin", "UTC"]
    assert refused.stderr.startswith("pinstripe: no zone of a tenant is known yet, so nothing of invoice comes due")
    assert sorted(line.split(" in ")[-1] for line in lines[1:4]) == zones
    assert all(" 09:00:00 " in line for line in lines[1:4])
    assert sorted(one["timezone"] for one in told["due"]) == zones
    assert "skips its next instant in each of 3 zones, asked by " in status
    assert [one["skip"] for one in coming] == [True, True, True, False, False]
    assert "The next due instant is to be skipped, as somebody asked." in in_words


def test_a_skip_of_a_paused_job_waits(shop: Path, pinstripe: Pinstripe) -> None:
    pinstripe("pause", "cleanup", at=shop)

    result = pinstripe("skip", "cleanup", "--count", "3", at=shop)

    assert result.stdout == "cleanup is paused: 3 due instants are skipped once it is resumed\n"


def test_one_instant_is_one(shop: Path, pinstripe: Pinstripe) -> None:
    pinstripe("pause", "cleanup", at=shop)

    result = pinstripe("skip", "cleanup", at=shop)

    assert result.stdout == "cleanup is paused: 1 due instant is skipped once it is resumed\n"
    assert "skips its next instant, asked by" in pinstripe("status", at=shop).stdout
