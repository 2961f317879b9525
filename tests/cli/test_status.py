"""status."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bots import WAITING, claim_only, crash, job, names_in, rows
from conftest import WriteProject

from pinstripe_bot import enqueue
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.ledger_acts import Acts
from pinstripe_bot.ledger_audit import Person
from pinstripe_bot.ledger_tenants import Terms
from pinstripe_bot.tenant import Tenant

from .conftest import BROKEN, Pinstripe
from .looking import FILES, FOR_TENANTS, asked, bot_of, come_due, find_zones, tick

EVERY_HOUR = job("return workspace.tenant.id", "'0 * * * *', multi_tenant=True")


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
        bot.ledger.beat(clock.now(), stats=bot.dispatcher.stats())  # as the bot's own heartbeat, whenever that comes

        result = pinstripe("status", at=root)

    lines = result.stdout.splitlines()
    assert lines[0] == "All is well: in the last 24 hours nothing failed, was missed or late."
    assert "In the last 24 hours" not in lines
    assert any(line.startswith("  alive  ") and " of 8 workers busy" in line for line in lines)


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

    assert re.match(r"  stopped (2\d|30) m", lines[lines.index("Bots") + 1])
    assert "heard" not in lines[lines.index("Bots") + 1]


def test_a_bot_that_was_killed_has_died_also_when_another_one_has_signed_it_out(
    shop: Path, pinstripe: Pinstripe
) -> None:
    with bot_of(shop, ago=timedelta(minutes=30)) as (bot, _):
        crash(bot.ledger)
        found_out, told = pinstripe("status", at=shop).stdout, asked(pinstripe, "status", at=shop)
    with bot_of(shop, ago=timedelta(minutes=20)) as (heir, clock):
        tick(heir, clock, minutes=5)  # which finds the dead
        written, told_then = pinstripe("status", at=shop).stdout, asked(pinstripe, "status", at=shop)

    assert re.search(r"^  died (2\d|3\d) m", found_out, re.MULTILINE)
    assert re.search(r"^  died (2\d|3\d) m", written, re.MULTILINE)
    assert [one["has_died"] for one in told["bots"]] == [True]
    assert [one["has_died"] for one in told_then["bots"]].count(True) == 1


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


def test_whose_run_failed_is_seen_at_a_glance(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    with bot_of(write_project(FOR_TENANTS), ago=timedelta(hours=26)) as (bot, clock):
        find_zones(bot)
        for _ in range(24):
            come_due(bot, clock, hours=1)
    shop = bot.project.root

    lines = pinstripe("status", at=shop).stdout.splitlines()
    (failed,) = [one for one in asked(pinstripe, "status", at=shop)["troubles"] if one["kind"] == "failed"]

    start = next(number for number, line in enumerate(lines) if line.startswith("  invoice failed"))
    assert lines[start].startswith("  invoice failed for beta (Beta) once, ")
    assert not lines[start].endswith(" has succeeded since")  # the others have, and beta has not
    assert lines[start + 1].startswith("    KeyError: 'total' (lib/background_jobs/invoice.py:")
    assert (failed["tenant_count"], failed["is_over"]) == (1, False)
    assert [(one["tenant"], one["tenant_name"], one["count"]) for one in failed["tenants"]] == [("beta", "Beta", 1)]


def test_of_many_tenants_whose_runs_failed_the_latest_are_named(
    write_project: WriteProject, pinstripe: Pinstripe
) -> None:
    crowd = "from pinstripe_bot import Tenant\ndef tenants(workspace):\n    yield from map(Tenant, 'abcde')\n"
    poor = job("assert workspace.tenant.id == 'a', workspace.tenant.id", "'* * * * *', multi_tenant=True")
    shop = write_project({"pinstripe.toml": "", "lib/tenants.py": crowd, "lib/background_jobs/poor.py": poor})
    with bot_of(shop, ago=timedelta(hours=1)) as (bot, clock):
        come_due(bot, clock, minutes=1)
        come_due(bot, clock, minutes=1)

        lines = pinstripe("status", at=shop).stdout.splitlines()

    start = next(number for number, line in enumerate(lines) if line.startswith("  poor failed"))
    assert lines[start].startswith("  poor failed for 4 tenants, 8 times, last ")
    assert [line.split()[0] for line in lines[start + 1 : start + 4]] == ["e,", "d,", "c,"]
    assert lines[start + 1].startswith("    e, 2 times, last in run 10: AssertionError: e (lib/")
    assert lines[start + 4] == "    and 1 tenant more: pinstripe runs poor --state failed --since 24h"
    assert lines[start + 5] == "    pinstripe show 10    pinstripe retry 10"


def test_a_listing_that_fails_needs_attention(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    mute = "def tenants(workspace):\n    raise ConnectionError('no answer from postgresql://shop:hunter2@bank/db')\n"
    shop = write_project(FOR_TENANTS | {"lib/tenants.py": mute, "lib/background_jobs/invoice.py": EVERY_HOUR})
    with bot_of(shop, ago=timedelta(hours=3)) as (bot, clock):
        come_due(bot, clock, hours=1)
        come_due(bot, clock, seconds=11)
        lines = pinstripe("status", at=shop).stdout.splitlines()
        told = asked(pinstripe, "status", at=shop)

    start = next(number for number, line in enumerate(lines) if line.startswith("  invoice could not"))
    (listing,) = told["listings"]
    assert lines[start].startswith("  invoice could not list its tenants, 2 times so far, due ")
    assert lines[start + 1] == "    ConnectionError: no answer from postgresql://shop:***@bank/db"
    assert lines[start + 2] == "    attempt 3 comes within a second"
    assert lines[start + 3] == f"    pinstripe explain invoice --at {listing['due_at']}"
    assert (told["is_well"], listing["state"], listing["attempt"]) == (False, "queued", 3)
    assert "hunter2" not in listing["error"]


def test_a_listing_that_is_given_up_half_done_needs_attention(
    write_project: WriteProject, pinstripe: Pinstripe
) -> None:
    shop = write_project(FOR_TENANTS | {"lib/background_jobs/invoice.py": EVERY_HOUR})
    with bot_of(shop, ago=timedelta(hours=3)) as (bot, clock):
        clock.travel(hours=1)
        bot.tick()
        (listing,) = bot.ledger.fan_out.take(["invoice"], clock.now(), most=1)
        acme = [Tenant("acme", "Acme")]
        bot.ledger.fan_out.write(listing, acme, Terms(), clock.now(), homes={})
        bot.ledger.fan_out.fail(listing, clock.now(), error="ConnectionError: gone", retry_at=None)
        lines = pinstripe("status", at=shop).stdout.splitlines()
        told = asked(pinstripe, "status", at=shop)

    start = next(number for number, line in enumerate(lines) if line.startswith("  invoice gave up"))
    assert lines[start + 2] == "    attempt 1 was the last; 1 tenant had been listed before"
    assert told["is_well"] is False


def test_a_listing_that_waits_for_a_bot_is_told(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    shop = write_project(FOR_TENANTS | {"lib/background_jobs/invoice.py": EVERY_HOUR})
    with bot_of(shop, ago=timedelta(hours=3)) as (bot, clock):
        clock.travel(hours=1)
        bot.tick()

    lines = pinstripe("status", at=shop).stdout.splitlines()

    waiting = lines[lines.index("Waiting") + 1]
    assert waiting.split() == [
        "invoice",
        "0",
        "*",
        "*",
        "*",
        "*",
        *["its", "tenants", "wait", "for", "a", "bot", "that", "lists", "them"],
    ]


def test_the_pauses_of_tenants_are_told(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    more = FOR_TENANTS["lib/tenants.py"] + "    yield from map(Tenant, 'abcd')\n"
    shop = write_project({"lib/background_jobs/invoice.py": EVERY_HOUR, "lib/tenants.py": more})
    with bot_of(shop, ago=timedelta(hours=3)) as (bot, clock):
        come_due(bot, clock, hours=1)
    pinstripe("pause", "invoice", "--tenant", "beta", "--reason", "unpaid", at=shop)
    for tenant in "abcd":
        pinstripe("pause", "--all", "--tenant", tenant, at=shop)

    lines = pinstripe("status", at=shop).stdout.splitlines()
    told = asked(pinstripe, "status", at=shop)

    everywhere, one = lines[lines.index("Paused") + 1 :][:2]
    assert everywhere.split("  ")[1:] == [
        "every job",
        "for 4 tenants: d, c, b and 1 more: pinstripe resume --all --tenant ID",
    ]
    assert "for beta (Beta) since " in one
    assert one.endswith("(unpaid): pinstripe resume invoice --tenant beta")
    assert told["paused"] == []
    assert [(each["job"], each["tenant"]) for each in told["paused_tenants"]][-1] == ("invoice", "beta")
    assert len(told["paused_tenants"]) == 5


def test_an_instant_that_met_a_listing_is_told_so(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    shop = write_project(FOR_TENANTS | {"lib/background_jobs/invoice.py": EVERY_HOUR})
    with bot_of(shop, ago=timedelta(hours=3)) as (bot, clock):
        for _ in range(2):
            clock.travel(hours=1)
            bot.tick()  # and nobody lists
        lines = pinstripe("status", at=shop).stdout.splitlines()

    skipped = next(line for line in lines if line.startswith("  invoice  0 * * * *  once, "))
    assert skipped.endswith(": the tenants of an instant before it were still to be listed")


def test_a_bot_whose_clock_is_off_needs_attention(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(minutes=1)) as (bot, clock):
        bot.ledger.beat(clock.now(), stats={"workers": 2, "busy": 0, "clock_offset_ms": 3200})
        result = pinstripe("status", at=shop)

    assert f"pid {os.getpid()} is 3.2 s ahead of the database's: its jobs come due by its own clock" in result.stdout
    assert "All is well" not in result.stdout
    assert "0 of 2 workers busy" in result.stdout
    assert "its clock 3.2 s ahead of the database's" in " ".join(result.stdout.split())
