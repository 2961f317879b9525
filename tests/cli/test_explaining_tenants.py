"""explain, of jobs with tenants."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bots import job
from conftest import WriteProject

from pinstripe_bot.bot import Bot

from .conftest import Pinstripe
from .looking import FOR_TENANTS, asked, bot_of, come_due, find_zones

LIVE = {"acme": "Europe/Berlin", "beta": "America/New_York", "coro": "Asia/Tokyo"}

HOMES = f"""
    from pinstripe_bot import Tenant

    homes = {LIVE}

    def tenants(workspace):
        for key, home in homes.items():
            if home is None:
                raise ConnectionError("no answer from postgresql://shop:hunter2@bank/db")
            yield Tenant(key, key.title(), home)
    """


@pytest.fixture
def shop(write_project: WriteProject) -> Path:
    return write_project(FOR_TENANTS | {"lib/tenants.py": HOMES})


def homes_of(bot: Bot) -> dict[str, str | None]:
    homes: dict[str, str | None] = bot.project.tenants.list_all.__globals__["homes"]  # type: ignore[union-attr]
    return homes


def nine_in(zone: str, day: datetime) -> str:
    """Nine o'clock there, on that day, in UTC."""
    local = day.astimezone(ZoneInfo(zone)).replace(hour=9, minute=0, second=0, microsecond=0)
    return f"{local.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def instants(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [instant for answer in answers for instant in answer["instants"]]


@pytest.fixture
def day(shop: Path) -> datetime:
    """A day on which all invoices ran; an instant that lies on it in all three zones."""
    with bot_of(shop, ago=timedelta(hours=60)) as (bot, clock):
        find_zones(bot)
        noon = (clock.now() + timedelta(days=1)).replace(hour=12, minute=0)
        for _ in range(48):
            come_due(bot, clock, hours=1)
    return noon


def test_a_wall_time_is_explained_in_each_zone_of_tenants(shop: Path, day: datetime, pinstripe: Pinstripe) -> None:
    at = f"{day:%Y-%m-%d} 09:00"

    page = pinstripe("explain", "invoice", "--at", at, at=shop).stdout
    answers = asked(pinstripe, "explain", "invoice", "--at", at, at=shop)

    zones = ["America/New_York", "Asia/Tokyo", "Europe/Berlin"]
    assert [answer["timezone"] for answer in answers] == zones
    assert [instant["due_at"] for instant in instants(answers)] == [nine_in(zone, day) for zone in zones]
    assert [instant["timezone"] for instant in instants(answers)] == zones
    assert [[one["tenant"] for one in instant["runs"]] for instant in instants(answers)] == [["beta"], [], []]
    assert "invoice, schedule 0 9 * * * in Asia/Tokyo" in page.splitlines()
    assert "Its one run succeeded." in page
    assert "It ran for the tenant beta (Beta) as run " in page


def test_an_instant_is_explained_in_the_zone_where_it_was_due(shop: Path, day: datetime, pinstripe: Pinstripe) -> None:
    (answer,) = asked(pinstripe, "explain", "invoice", "--at", nine_in("Asia/Tokyo", day), at=shop)

    assert (answer["timezone"], answer["is_due"]) == ("Asia/Tokyo", True)


def test_an_instant_that_is_due_in_no_zone_is_told_once(shop: Path, day: datetime, pinstripe: Pinstripe) -> None:
    five_past = nine_in("Europe/Berlin", day).replace(":00:00Z", ":05:00Z")

    (instant,) = asked(pinstripe, "explain", "invoice", "--at", five_past, at=shop)
    (wall,) = asked(pinstripe, "explain", "invoice", "--at", f"{day:%Y-%m-%d} 02:30", at=shop)

    assert (instant["timezone"], instant["instants"]) == ("tenant", [])
    assert " is a due instant in none of the 3 zones where tenants live." in instant["sentences"][0]
    assert instant["sentences"][1].endswith(" in Europe/Berlin.")
    assert instant["sentences"][2].endswith(" in America/New_York.")
    assert wall["sentences"][-1] == "It is the same in all 3 zones where tenants live."


def test_a_listing_that_fails_is_told_with_its_error_and_its_next_try(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=30)) as (bot, clock):
        find_zones(bot)
        homes_of(bot)["coro"] = None
        for _ in range(24):
            come_due(bot, clock, hours=1)
        listing = asked(pinstripe, "status", at=shop)["listings"][0]
        tenant = next(tenant for tenant, home in LIVE.items() if home == listing["timezone"])
        explain = ["explain", "invoice", "--at", listing["due_at"]]

        (instant,) = instants(asked(pinstripe, *explain, at=shop))
        (of_one,) = instants(asked(pinstripe, *explain, "--tenant", tenant, at=shop))

    assert instant["listing"]["state"] == "queued"
    often = r"(once|\d+ times)"  # of two zones or of one, by the time of day
    told = (
        rf"Listing its tenants has failed {often}: ConnectionError: no answer from postgresql://shop:\*\*\*@bank/db\."
    )
    assert re.match(told, instant["sentences"][0])
    assert of_one["absence"] == "not_yet"
    assert of_one["sentences"][-1] == f"The tenant {tenant} has no run of it yet."


def test_what_kept_tenants_from_their_runs_is_told(write_project: WriteProject, pinstripe: Pinstripe) -> None:
    chosen = "tenants_filter=lambda tenants: (one for one in tenants if one.key != 'coro')"
    hourly = job("return 1", f"'0 * * * *', multi_tenant=True, {chosen}")
    shop = write_project(FOR_TENANTS | {"lib/background_jobs/invoice.py": hourly})
    pinstripe("pause", "invoice", "--tenant", "beta", "--reason", "unpaid", at=shop)
    with bot_of(shop, ago=-timedelta(hours=1)) as (bot, clock):
        come_due(bot, clock, hours=1)
        at = f"{clock.now().replace(minute=0):%Y-%m-%dT%H:%M:%SZ}"
        told = {
            tenant: instants(asked(pinstripe, "explain", "invoice", "--at", at, *of_tenant, at=shop))[0]
            for tenant in ("", "acme", "beta", "coro")
            for of_tenant in [["--tenant", tenant] if tenant else []]
        }

    assert (
        "Of its 2 runs 1 succeeded and 1 was skipped because the tenant was paused (beta (Beta))."
        in told[""]["sentences"]
    )
    assert told["acme"]["sentences"][0].startswith("It ran for the tenant acme (Acme) as run ")
    assert "for the tenant beta (Beta) was skipped because " in told["beta"]["sentences"][0]
    assert "paused the tenant at " in told["beta"]["sentences"][0]
    assert told["beta"]["sentences"][0].endswith(" (unpaid).")
    assert (told["coro"]["absence"], told["coro"]["runs"]) == ("not_chosen", [])
    assert "a tenants_filter of the job left it out" in told["coro"]["sentences"][1]


def test_of_one_tenant_it_says_where_it_lives_and_what_became_of_its_run(
    shop: Path, day: datetime, pinstripe: Pinstripe
) -> None:
    at = f"{day:%Y-%m-%d} 09:00"

    (answer,) = asked(pinstripe, "explain", "invoice", "--at", at, "--tenant", "coro", at=shop)
    (instant,) = answer["instants"]

    assert answer["sentences"][0] == "The tenant coro lives in Asia/Tokyo."
    assert instant["due_at"] == nine_in("Asia/Tokyo", day)
    assert [run["tenant"] for run in instant["runs"]] == ["coro"]
    assert instant["sentences"][0].startswith("It ran for the tenant coro (Coro) as run ")


def test_a_tenant_that_has_moved_was_given_the_time_where_it_lived(shop: Path, pinstripe: Pinstripe) -> None:
    with bot_of(shop, ago=timedelta(hours=60)) as (bot, clock):
        find_zones(bot)
        clock.travel(timedelta(hours=1))
        while clock.now().astimezone(ZoneInfo("Europe/Berlin")).hour != 12:
            come_due(bot, clock, hours=1)
        while clock.now().astimezone(ZoneInfo("Europe/Berlin")).hour != 11:
            come_due(bot, clock, hours=1)
        noon = clock.now()
        homes_of(bot)["acme"] = "America/New_York"
        find_zones(bot)
        for _ in range(8):
            come_due(bot, clock, hours=1)
        at = f"{noon:%Y-%m-%d} 09:00"

        (answer,) = asked(pinstripe, "explain", "invoice", "--at", at, "--tenant", "acme", at=shop)[:1]
        in_new_york = nine_in("America/New_York", noon)
        others = asked(pinstripe, "explain", "invoice", "--at", in_new_york, "--tenant", "acme", at=shop)

    assert "The tenant acme lives in America/New_York; until " in answer["sentences"][0]
    assert answer["sentences"][0].endswith(" it lived in Europe/Berlin.")
    (there,) = instants(others)
    assert there["absence"] == "had_it"
    assert there["sentences"][1].endswith("it had had this time in Europe/Berlin already.")


def test_what_cannot_be_said_of_a_tenant_is_one_sentence(shop: Path, day: datetime, pinstripe: Pinstripe) -> None:
    (shop / "lib/background_jobs/sweep.py").write_text(job())

    (ghost,) = asked(pinstripe, "explain", "invoice", "--at", "09:00", "--tenant", "ghost", at=shop)
    refused = pinstripe("explain", "sweep", "--at", "09:00", "--tenant", "coro", at=shop)

    assert ghost["sentences"] == ["Where the tenant ghost lives is not known: the bots have not seen it yet."]
    assert refused.exit_code == 2
    assert refused.stderr == "pinstripe: the job 'sweep' has no tenants: leave --tenant out\n"


def test_without_a_ledger_no_zone_is_known(shop: Path, pinstripe: Pinstripe) -> None:
    (answer,) = asked(pinstripe, "explain", "invoice", "--at", "09:00", at=shop)

    assert answer["timezone"] == "tenant"
    assert answer["sentences"][0].startswith("No tenant's zone is known yet: ")
