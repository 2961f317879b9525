"""explain."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bots import WAITING, claim_only, job, names_in
from conftest import WriteProject

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.ledger_acts import Acts
from pinstripe_bot.ledger_audit import Person

from .conftest import BROKEN, Pinstripe
from .looking import FILES, asked, bot_of, tick


@pytest.fixture
def shop(write_project: WriteProject) -> Path:
    return write_project(FILES)


def iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def told(pinstripe: Pinstripe, shop: Path, name: str, at: datetime) -> dict[str, Any]:
    """The one instant that `explain --json` tells of."""
    (answer,) = asked(pinstripe, "explain", name, "--at", iso(at), at=shop)
    (instant,) = answer["instants"]
    assert answer["is_due"] is True
    return dict(instant)


def test_what_ran_is_told_with_its_end(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=1)) as (bot, clock):
        tick(bot, clock, minutes=5)

        page = pinstripe("explain", "report", "--at", iso(clock.now()), at=shop)
        instant = told(pinstripe, shop, "report", clock.now())

    assert page.exit_code == 0
    assert instant["standing"] == "decided"
    assert instant["sentences"][0].startswith("It ran as run 1, which failed after 0 ms: ConnectionError: the bank")
    assert instant["commands"] == ["pinstripe show 1", "pinstripe logs 1", "pinstripe retry 1"]
    lines = page.stdout.splitlines()
    assert lines[0] == "report, schedule */5 * * * *"
    assert lines[1].startswith("  The schedule `*/5 * * * *` came due at ")
    assert lines[-4:] == ["What to type next", *(f"  {command}" for command in instant["commands"])]


def test_what_was_missed_names_the_newer_instant(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=2)) as (bot, clock):
        start = clock.now()
        tick(bot, clock, hours=1)
        instant = told(pinstripe, shop, "sweep", start + timedelta(minutes=30))

    assert instant["passed"]["count"] == 11
    assert instant["other_run"] == 2
    assert ", with 10 more from " in instant["sentences"][0]
    assert " because a newer instant took its place: that of " in instant["sentences"][0]
    first, last = iso(start + timedelta(minutes=5)), iso(start + timedelta(minutes=55))
    assert instant["commands"] == [
        "pinstripe show 2",
        f"pinstripe run-background-job sweep --at {iso(start + timedelta(minutes=30))}",
        f"pinstripe backfill sweep --schedule '*/5 * * * *' --from {first} --to {last} --dry-run",
    ]


def test_what_a_schedule_with_params_missed_is_run_by_a_backfill(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=2)) as (bot, clock):
        at = clock.now() + timedelta(minutes=30)
        tick(bot, clock, hours=1)
        instant = told(pinstripe, shop, "report", at)
        (shop / "lib/background_jobs/report.py").write_text(BROKEN)
        (answer,) = asked(pinstripe, "explain", "report", "--at", iso(clock.now()), at=shop)

    again = f"pinstripe backfill report --schedule '*/5 * * * *' --from {iso(at)} --to {iso(at)}"
    assert instant["commands"][1] == again
    assert answer["instants"][0]["commands"] == ["pinstripe show 1", "pinstripe logs 1"]


def test_what_was_skipped_for_an_overlap_names_the_run_in_the_way(
    write_project: WriteProject, pinstripe: Pinstripe
) -> None:
    root = write_project({"pinstripe.toml": "", "lib/background_jobs/slow.py": job(WAITING)})
    with bot_of(root, ago=timedelta(hours=1)) as (bot, clock):
        for _ in range(2):
            clock.travel(minutes=1)
            bot.tick()
        names_in(bot, "slow")["go"].set()
        bot.dispatcher.wait_until_idle()
        instant = told(pinstripe, root, "slow", clock.now())

    assert "It was skipped because the run before it had not ended: run 1, due at " in instant["sentences"][0]


@pytest.mark.parametrize(
    ("overlap", "times", "words"),
    [("skip", 2, "the run before it had not started yet: run 1, "), ("queue", 3, "one was waiting already: run 2, ")],
)
def test_an_overlap_with_a_run_that_waits_is_told_as_one(
    write_project: WriteProject, pinstripe: Pinstripe, overlap: str, times: int, words: str
) -> None:
    file = job("return None", f"'* * * * *', overlap={overlap!r}")
    root = write_project({"pinstripe.toml": "", "lib/background_jobs/slow.py": file})
    with bot_of(root, ago=timedelta(hours=1)) as (bot, clock):
        for _ in range(times):
            clock.travel(minutes=1)
            claim_only(bot)
        instant = told(pinstripe, root, "slow", clock.now())

    assert f"It was skipped because {words}" in instant["sentences"][0]
    assert ", still waits." in instant["sentences"][0]


def test_what_was_paused_names_who_and_why(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=1)) as (bot, clock):
        Acts(bot.ledger.store, bot.project, Person("kim", "here")).pause("sweep", clock.now(), why="stocktaking")
        tick(bot, clock, minutes=5)
        instant = told(pinstripe, shop, "sweep", clock.now())

    assert (instant["who"], instant["why"]) == ("kim", "stocktaking")
    assert instant["sentences"][0].startswith("It was skipped because kim paused it at ")


def in_ten_minutes(_started: datetime) -> datetime:
    return SystemClock().now() + timedelta(minutes=10)


@pytest.mark.parametrize(
    ("at", "standing", "words"),
    [
        (lambda started: started - timedelta(minutes=10), "before", "The schedule counts from "),
        (lambda started: started + timedelta(minutes=5), "undecided", "It is not decided yet: no bot is running since"),
        (in_ten_minutes, "to_come", "It is still to come, in "),
    ],
    ids=["before", "undecided", "to come"],
)
def test_what_is_not_decided_says_why(
    shop: Path, pinstripe: Pinstripe, at: Callable[[datetime], datetime], standing: str, words: str
) -> None:
    with bot_of(shop, ago=timedelta(hours=1)) as (_, clock):
        started = clock.now()
    asked_ts = int(at(started).timestamp()) // 300 * 300

    instant = told(pinstripe, shop, "sweep", datetime.fromtimestamp(asked_ts, started.tzinfo))

    assert instant["standing"] == standing
    assert instant["sentences"][0].startswith(words)


def test_without_a_ledger_the_schedule_is_explained_all_the_same(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("explain", "sweep", "--at", "2026-03-29T02:31", at=shop)

    assert result.exit_code == 0
    assert "02:31 on Sun 2026-03-29 was not a due instant of the schedule `*/5 * * * *`." in result.stdout
    assert "There is no ledger yet" in result.stdout
    assert not (shop / ".pinstripe").exists()


def test_a_time_that_the_clocks_skip_is_explained(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    file = job("return 1", "'30 2 * * *', timezone='Europe/Berlin'")
    root = write_project({"pinstripe.toml": "", "lib/background_jobs/night.py": file})

    (answer,) = asked(pinstripe, "explain", "night", "--at", "2026-03-29T02:30", at=root)

    assert (answer["exists"], answer["is_due"], answer["rule"]) == (False, True, "once")
    assert answer["sentences"][0].startswith("02:30 does not exist in Europe/Berlin")


def test_one_schedule_may_be_asked_for(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    file = job("return 1", "'@daily', name='day'", "'@hourly', name='hour'")
    root = write_project({"pinstripe.toml": "", "lib/background_jobs/many.py": file})

    (answer,) = asked(pinstripe, "explain", "many", "--at", "12:00", "--schedule", "hour", at=root)
    unknown = pinstripe("explain", "many", "--at", "12:00", "--schedule", "hours", at=root)

    assert answer["schedule"] == "hour"
    assert unknown.exit_code == 2
    assert unknown.stderr == "pinstripe: the job 'many' has no schedule 'hours': did you mean 'hour'?\n"


@pytest.mark.parametrize("written", ["0 0 * * *", "@daily", " 0 0  * * * "])
def test_a_schedule_may_be_asked_for_by_its_expression(
    write_project: WriteProject, pinstripe: Pinstripe, written: str
) -> None:
    file = job("return 1", "'@daily', name='day'", "'@hourly', name='hour'")
    root = write_project({"pinstripe.toml": "", "lib/background_jobs/many.py": file})

    (answer,) = asked(pinstripe, "explain", "many", "--at", "12:00", "--schedule", written, at=root)

    assert answer["schedule"] == "day"


def test_a_run_by_hand_at_that_time_is_told_besides(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=1)) as (bot, clock):
        at = clock.now() + timedelta(minutes=1)
        bot.run_background_job("sweep", at=at)

        answers = asked(pinstripe, "explain", "sweep", "--at", iso(at), at=shop)

    assert [answer["is_due"] for answer in answers] == [False, None]
    assert answers[1]["instants"][0]["sentences"][0].startswith("It ran by hand as run 1, which succeeded")


def test_a_job_that_cannot_be_loaded_is_told_from_the_ledger_with_the_error(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=1)) as (bot, clock):
        tick(bot, clock, minutes=5)
        at = clock.now()
    (shop / "lib/background_jobs/sweep.py").write_text(BROKEN)

    result = pinstripe("explain", "sweep", "--at", iso(at), at=shop)

    told = (
        "the job 'sweep' cannot be loaded, so only the ledger is asked: lib/background_jobs/sweep.py:1: ImportError: "
    )
    assert result.stderr.startswith(told)
    assert "It ran as run 2, which succeeded" in result.stdout


def test_a_job_that_is_no_more_is_told_from_the_ledger_alone(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=1)) as (bot, clock):
        tick(bot, clock, minutes=5)
        at = clock.now()
    (shop / "lib/background_jobs/sweep.py").unlink()

    (answer,) = asked(pinstripe, "explain", "sweep", "--at", iso(at), at=shop)

    assert answer["schedule"] is None
    assert answer["instants"][0]["runs"][0]["run"] == 2


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["swep", "--at", "now"], 5, "did you mean 'sweep'?"),
        (["sweep", "--at", "soon"], 2, "'soon' is not an instant"),
    ],
)
def test_what_cannot_be_explained_is_one_sentence(
    shop: Path, pinstripe: Pinstripe, arguments: list[str], exit_code: int, words: str
) -> None:
    result = pinstripe("explain", *arguments, at=shop)

    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert words in result.stderr


@pytest.mark.parametrize("has_ledger", [False, True])
def test_the_last_minute_of_all_is_explained(shop: Path, pinstripe: Pinstripe, has_ledger: bool) -> None:
    if has_ledger:
        assert pinstripe("run-background-job", "--name", "sweep", at=shop).exit_code == 0

    (answer,) = asked(pinstripe, "explain", "sweep", "--at", "9999-12-31T23:59", at=shop)

    assert answer["nearest"] == ["9999-12-31T23:55:00Z"]


def test_instants_of_one_minute_with_one_reason_are_told_together(
    write_project: WriteProject, pinstripe: Pinstripe
) -> None:
    often = {"pinstripe.toml": 'timezone = "UTC"\n', "lib/background_jobs/often.py": job("pass", "'*/4 * * * * *'")}
    root = write_project(often)
    with bot_of(root, ago=timedelta(hours=1)) as (bot, clock):
        start = clock.now()
        tick(bot, clock, seconds=8)

        minute = f"{start:%H:%M}"
        page = pinstripe("explain", "often", "--at", f"{start:%Y-%m-%dT%H:%M}Z", at=root).stdout

    told = [line.strip() for line in page.splitlines() if line.startswith(f"  {minute}")]
    seconds = [("00", ""), ("04", ""), ("08", ""), ("12", " and 11 more")]
    assert told == [f"{minute}:{second} UTC{more}" for second, more in seconds]


def test_what_a_backfill_ran_later_is_told(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=2)) as (bot, clock):
        start = clock.now()
        tick(bot, clock, hours=1)
        missed, before = start + timedelta(minutes=30), start - timedelta(minutes=30)
        for at in (missed, before):
            pinstripe("backfill", "sweep", "--from", iso(at), "--to", iso(at), "--no-wait", at=shop)

    later, only = told(pinstripe, shop, "sweep", missed), told(pinstripe, shop, "sweep", before)

    assert [one["sentences"][-1][:8] for one in (later, only)] == ["Its run ", "Its run "]
    assert (later["sentences"][0][:13], len(only["sentences"])) == ("It was missed", 1)
    assert later["commands"][0] == f"pinstripe logs {later['runs'][0]['run']} --follow"
