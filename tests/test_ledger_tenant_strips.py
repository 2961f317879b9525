"""The tenants of a job, the worst first."""

from __future__ import annotations

from datetime import timedelta

from stored import ODD, minute, put_run

from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_tenant_strips import RUNS_EACH, TenantStrip, read_tenants

SECOND = timedelta(seconds=1)


def tenants(ledger: Ledger, *, most: int = 50) -> list[TenantStrip]:
    with ledger.store.reading() as connection:
        return read_tenants(connection, "sweep", most=most)


def test_a_job_that_never_ran_for_a_tenant_has_none(ledger: Ledger) -> None:
    put_run(ledger)
    put_run(ledger, "other", tenant="acme")

    assert tenants(ledger) == []


def test_a_tenant_has_its_runs_oldest_first(ledger: Ledger) -> None:
    put_run(ledger, tenant="acme", tenant_name="Acme", state="failed", took=2)
    put_run(ledger, tenant="beta")
    put_run(ledger, tenant="acme", tenant_name="Acme", took=3)
    put_run(ledger, tenant="acme", tenant_name="Acme", state="queued", started_at=None)

    (acme,) = (one for one in tenants(ledger) if one.tenant == "acme")

    assert (acme.name, acme.newest, acme.state, acme.took) == ("Acme", 4, "queued", None)
    assert acme.runs == (("failed", 2 * SECOND), ("succeeded", 3 * SECOND), ("queued", None))


def test_those_whose_newest_run_went_wrong_come_first_then_whoever_ran_last(ledger: Ledger) -> None:
    for tenant, state in [
        ("a", "failed"),
        ("b", "succeeded"),
        ("c", "interrupted"),
        ("d", "cancelled"),
        ("e", "timed_out"),
    ]:
        put_run(ledger, tenant=tenant, state=state)

    assert [one.tenant for one in tenants(ledger)] == ["e", "c", "a", "d", "b"]
    assert [one.tenant for one in tenants(ledger, most=2)] == ["e", "c"]


def test_a_failure_that_was_followed_by_a_success_is_over(ledger: Ledger) -> None:
    for tenant, state in [("a", "failed"), ("b", "succeeded"), ("a", "succeeded")]:
        put_run(ledger, tenant=tenant, state=state)

    assert [(one.tenant, one.state) for one in tenants(ledger)] == [("a", "succeeded"), ("b", "succeeded")]


def test_a_tenant_shows_no_more_than_its_last_runs(ledger: Ledger) -> None:
    for number in range(RUNS_EACH + 5):
        put_run(ledger, tenant="acme", took=number)

    (acme,) = tenants(ledger)

    assert len(acme.runs) == RUNS_EACH
    assert acme.runs[-1][1] == (RUNS_EACH + 4) * SECOND


def test_a_tenant_bears_odd_names_and_a_clock_that_was_set_back(ledger: Ledger) -> None:
    put_run(ledger, tenant=ODD, tenant_name=ODD, started_at=minute(9), finished_at=minute(1))

    (odd,) = tenants(ledger)

    assert (odd.tenant, odd.name, odd.took) == (ODD, ODD, timedelta(0))
