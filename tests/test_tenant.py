"""Who a tenant is, and what becomes of runs whose tenant is changed, deleted, listed twice, or none."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from bots import Ears, job, rows, write_tenants
from tenancy import FOR_ALL, called, come_due, tenants_file, work_off

from pinstripe_bot.bot import Bot
from pinstripe_bot.enqueueing import enqueue
from pinstripe_bot.errors import InvalidTenant, UnknownTenant
from pinstripe_bot.occurrence import RunState
from pinstripe_bot.tenant import LONGEST_KEY
from pinstripe_bot.testing import TravelClock

MakeBot = Callable[..., Bot]

NAMED = """
from pinstripe_bot import Tenant

names = {"acme": "Acme", "beta": "Beta"}

def tenants(workspace):
    for id, name in names.items():
        yield Tenant(id, name)
"""

DATABASE = {"database.url": "sqlite:///shop.db"}

IDS = job("calls.append(workspace.tenant.id)", "'* * * * *', multi_tenant=True")


def listed(root: Path, *ids: object) -> None:
    """Let these be the ids of the project's tenants."""
    yields = "\n".join(f"    yield Tenant({id!r})" for id in ids)
    write_tenants(root, f"from pinstripe_bot import Tenant\n\ndef tenants(workspace):\n{yields}\n")


def leave_listed(bot: Bot, clock: TravelClock) -> None:
    """Tenants have their runs, and none has been started."""
    clock.travel(minutes=1)
    bot.tick()
    bot.parts.lister.list_now()


@pytest.mark.parametrize("id", [0, -1, 10**30, "0", "grüße 雪", "a/b'\"%", "x" * LONGEST_KEY])
def test_a_tenant_with_an_unusual_id_has_its_run(make_bot: MakeBot, clock: TravelClock, root: Path, id: object) -> None:
    listed(root, id)
    bot = make_bot(invoice=IDS)

    come_due(bot, clock)
    ran = bot.run_for_tenants("invoice", tenants=[str(id)])

    assert rows(bot.ledger, "SELECT tenant, state FROM runs") == [(str(id), "succeeded")] * 2
    assert called(bot, "invoice") == [id, id]
    assert ran.is_success


NO_IDS = ["", None, True, 1.5, " acme", "two\nlines", "x" * (LONGEST_KEY + 100)]


@pytest.mark.parametrize("id", NO_IDS, ids=lambda id: repr(id)[:12])
def test_what_cannot_be_the_id_of_a_tenant_fails_the_listing_with_a_sentence(
    make_bot: MakeBot, clock: TravelClock, root: Path, id: object
) -> None:
    listed(root, "acme", id)
    bot = make_bot(invoice=IDS)

    with Ears() as ears:
        come_due(bot, clock)

    failed = ears.wait_for("listing_failed")
    assert failed["error"].startswith("InvalidTenant: ")
    assert " is not the id of a tenant: give " in failed["error"]
    assert failed["place"] == "lib/tenants.py:5 in tenants"
    assert called(bot, "invoice") == []


@pytest.mark.parametrize("id", ["", " acme", "x" * (LONGEST_KEY + 1)], ids=lambda id: repr(id)[:12])
def test_whoever_names_what_cannot_be_the_id_of_a_tenant_is_refused(make_bot: MakeBot, id: str) -> None:
    bot = make_bot(invoice=FOR_ALL)

    for ask in (
        lambda: bot.run_for_tenants("invoice", tenants=["acme", id]),
        lambda: enqueue(bot.project, "invoice", tenant=id),
    ):
        with pytest.raises(InvalidTenant, match="is not the id of a tenant"):
            ask()

    assert rows(bot.ledger, "SELECT id FROM occurrences") == []


def test_an_id_that_the_project_cannot_read_is_unknown(make_bot: MakeBot, root: Path) -> None:
    by_number = "def tenant(workspace, id):\n    return {7: Tenant(7)}.get(int(id))\n"
    write_tenants(root, f"{NAMED}\n{by_number}")
    bot = make_bot(invoice=IDS)

    with pytest.raises(UnknownTenant, match="there is no tenant 'acme', looking for it raised ValueError: invalid"):
        bot.run_for_tenants("invoice", tenants=["7", "acme"])

    assert called(bot, "invoice") == []


# A tenant that is listed twice

TWICE = """
from pinstripe_bot import Tenant

def tenants(workspace):
    for _ in range(600):
        yield Tenant(7)
        yield Tenant("7")
    yield Tenant("acme")
"""


def test_a_tenant_that_is_listed_twice_has_one_run(make_bot: MakeBot, clock: TravelClock, root: Path) -> None:
    write_tenants(root, TWICE)
    bot = make_bot(invoice=job("calls.append(workspace.tenant.key)", "'* * * * *', multi_tenant=True, overlap='allow'"))

    come_due(bot, clock)

    assert sorted(called(bot, "invoice")) == ["7", "acme"]


def test_by_hand_a_tenant_that_is_listed_twice_has_one_run(make_bot: MakeBot, root: Path) -> None:
    write_tenants(root, TWICE)
    bot = make_bot(invoice=job("calls.append(workspace.tenant.key)", "multi_tenant=True, overlap='allow'"))

    ran = bot.run_for_tenants("invoice")
    again = bot.run_for_tenants("invoice", tenants=["7", "7"])

    assert sorted(called(bot, "invoice")) == ["7", "7", "acme"]
    assert (ran.states, again.states) == ({RunState.SUCCEEDED: 2}, {RunState.SUCCEEDED: 1})


def test_a_job_that_runs_another_one_for_all_tenants_runs_it_once_for_each(make_bot: MakeBot, root: Path) -> None:
    write_tenants(root, TWICE)
    caller = job("return workspace.run_background_job('invoice').count")
    bot = make_bot(caller=caller, invoice=IDS)

    ran = bot.run_background_job("caller")

    assert ran.result == 2


# Between the listing and the start


def test_a_tenant_that_is_deleted_before_its_run_starts_has_nothing_but_its_id(
    make_bot: MakeBot, clock: TravelClock, root: Path
) -> None:
    write_tenants(root, NAMED)
    seen = "tenant = workspace.tenant; calls.append((tenant.id, tenant.name, dict(tenant.attributes)))"
    bot = make_bot(invoice=job(seen, "'* * * * *', multi_tenant=True"))
    leave_listed(bot, clock)
    del tenants_file(bot)["names"]["acme"]

    with Ears() as ears:
        work_off(bot)

    assert sorted(called(bot, "invoice")) == [("acme", "Acme", {}), ("beta", "Beta", {})]
    assert ears.wait_for("tenant_not_found")["tenant"] == "acme"


def test_a_tenant_that_is_deleted_before_its_run_starts_has_no_rows(
    make_bot: MakeBot, clock: TravelClock, root: Path
) -> None:
    write_tenants(root, NAMED)
    write_orders(root)
    bot = make_bot(DATABASE, invoice=job("return workspace.database.orders.count()", "'* * * * *', multi_tenant=True"))
    leave_listed(bot, clock)
    del tenants_file(bot)["names"]["acme"]

    work_off(bot)

    assert rows(bot.ledger, "SELECT tenant, result FROM runs ORDER BY tenant") == [("acme", "0"), ("beta", "2")]


def write_orders(root: Path) -> None:
    """A database with an order of one tenant, and two of the other."""
    with sqlite3.connect(root / "shop.db") as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, tenant_id TEXT)")
        connection.executemany("INSERT INTO orders (tenant_id) VALUES (?)", [("acme",), ("beta",), ("beta",)])
    connection.close()


def test_a_tenant_that_is_renamed_before_its_run_starts_has_its_new_name(
    make_bot: MakeBot, clock: TravelClock, root: Path
) -> None:
    write_tenants(root, NAMED)
    bot = make_bot(invoice=FOR_ALL)
    leave_listed(bot, clock)
    tenants_file(bot)["names"]["acme"] = "Acme & Sons"

    work_off(bot)

    assert sorted(called(bot, "invoice")) == ["Acme & Sons", "Beta"]
    assert rows(bot.ledger, "SELECT tenant_name FROM runs ORDER BY tenant") == [("Acme",), ("Beta",)]
