"""The neighbours of a run, and the runs of its instant."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.exc import NoResultFound
from stored import ODD, minute, put_run

from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_neighbours import MOST, Neighbours, Sibling, read_neighbours


def neighbours(ledger: Ledger, run: int) -> Neighbours:
    with ledger.store.reading() as connection:
        return read_neighbours(connection, run)


def put_instant(ledger: Ledger, states: list[str]) -> list[int]:
    """The runs of one instant, one for each tenant, in these states."""
    first = put_run(ledger, tenant="t0", state=states[0])
    with ledger.store.reading() as connection:
        occurrence = connection.exec_driver_sql(f"SELECT occurrence_id FROM runs WHERE id = {first}").scalar_one()
    others = (
        put_run(ledger, tenant=f"t{number}", state=state, occurrence=occurrence)
        for number, state in enumerate(states[1:], start=1)
    )
    return [first, *others]


def test_an_only_run_has_no_neighbours(ledger: Ledger) -> None:
    run = put_run(ledger)

    found = neighbours(ledger, run)

    assert (found.previous, found.following, found.same_count) == (None, None, 1)
    assert [one.run for one in found.same] == [run]


def test_the_neighbours_are_the_nearest_of_the_same_job(ledger: Ledger) -> None:
    before, _, me, _, after, _ = (put_run(ledger, job) for job in ("a", "b", "a", "b", "a", "a"))

    found = neighbours(ledger, me)

    assert (found.previous, found.following) == (before, after)


def test_the_neighbours_are_of_the_same_tenant(ledger: Ledger) -> None:
    before, _, _, me, after = (put_run(ledger, tenant=tenant) for tenant in ("x", "y", "", "x", "x"))

    found = neighbours(ledger, me)

    assert (found.previous, found.following) == (before, after)


def test_the_runs_of_one_instant_are_told_by_their_numbers(ledger: Ledger) -> None:
    first, second, third = put_instant(ledger, ["succeeded", "failed", "running"])
    put_run(ledger)

    found = neighbours(ledger, second)

    assert [(one.run, one.tenant, one.state) for one in found.same] == [
        (first, "t0", "succeeded"),
        (second, "t1", "failed"),
        (third, "t2", "running"),
    ]
    assert found.same_count == 3


def test_of_many_runs_of_one_instant_it_is_there_itself_and_what_went_wrong(ledger: Ledger) -> None:
    states = ["succeeded"] * 60
    states[50] = states[55] = "failed"
    numbers = put_instant(ledger, states)

    found = neighbours(ledger, numbers[59])

    assert (len(found.same), found.same_count) == (MOST, 60)
    assert {numbers[50], numbers[55], numbers[59]} <= {one.run for one in found.same}


def test_a_run_that_ended_before_it_began_took_no_time(ledger: Ledger) -> None:
    run = put_run(ledger, tenant=ODD, tenant_name=ODD, started_at=minute(9), finished_at=minute(1))

    assert neighbours(ledger, run).same == (Sibling(run, ODD, ODD, "succeeded", timedelta(0)),)


def test_a_run_that_waits_has_taken_no_time_yet(ledger: Ledger) -> None:
    run = put_run(ledger, state="queued", started_at=None)

    assert neighbours(ledger, run).same[0].took is None


def test_a_run_that_is_not_there_is_not_asked_for(ledger: Ledger) -> None:
    with pytest.raises(NoResultFound):
        neighbours(ledger, 7)
