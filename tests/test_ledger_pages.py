"""The pages of the runs: none twice, none lost, whatever is asked for and whatever the clock did."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import DAWN, FAR, ODD, minute, put_passed, put_run

from pinstripe_bot.config import Config
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_pages import LOOKED_AT, Cursor, Page, Wanted, read_page
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.occurrence import Decision, Run, RunState


def page(ledger: Ledger, before: Cursor | None = None, *, most: int = 50, **wanted: Any) -> Page:
    with ledger.store.reading() as connection:
        return read_page(connection, Wanted(**wanted), before, most=most)


def told(found: Page) -> list[str]:
    """What a page shows: "run 3", "missed 12:04"."""
    return [
        f"run {one.id}" if isinstance(one, Run) else f"{one.occurrence.decision} {one.occurrence.due_at:%H:%M}"
        for one in found.rows
    ]


def leafed(store: LedgerStore, most: int, wanted: Wanted, *, looked_at: int = LOOKED_AT) -> list[str]:
    """What all pages show, one after the other."""
    shown, before = [], None
    for _ in range(200):
        with store.reading() as connection:
            found = read_page(connection, wanted, before, most=most, looked_at=looked_at)
        shown += told(found)
        if found.following is None:
            return shown
        before = Cursor.read(str(found.following))
    raise AssertionError("the pages have no end")


# The cursor


@given(st.builds(Cursor, st.integers(0, 2**53), st.integers(0, 2**53)))
def test_a_cursor_is_read_as_it_is_written(cursor: Cursor) -> None:
    assert Cursor.read(str(cursor)) == cursor


@pytest.mark.parametrize(
    "written",
    ["", "-", "5", "5-", "-5", "a-b", "1--2", "1-2-3", "+1-2", " 1-2", "1-2\n", "²-1", "٣-٤", "1.5-2", "9" * 50],
)
def test_what_is_no_cursor_is_none(written: str) -> None:
    assert Cursor.read(written) is None


@pytest.mark.parametrize("written", ["9223372036854775808-1", "1-99999999999999999999", f"{'9' * 19}-{'9' * 19}"])
def test_a_cursor_that_no_number_of_a_row_can_reach_is_none(written: str) -> None:
    assert Cursor.read(written) is None


def test_the_largest_cursor_that_can_be_read_is_asked_for(ledger: Ledger) -> None:
    put_run(ledger)

    assert told(page(ledger, Cursor.read(f"{'9' * 18}-{'9' * 18}"))) == ["run 1"]


# A page


def test_an_empty_ledger_has_one_empty_page(ledger: Ledger) -> None:
    assert page(ledger) == Page((), None)


def test_the_newest_decision_stands_first(ledger: Ledger) -> None:
    put_run(ledger, due_at=minute(1))
    put_passed(ledger, due_at=minute(2))
    put_run(ledger, due_at=minute(3))

    assert told(page(ledger)) == ["run 2", "missed 00:02", "run 1"]


def test_a_page_that_is_just_full_is_the_last_one(ledger: Ledger) -> None:
    for number in range(3):
        put_run(ledger, due_at=minute(number))

    assert page(ledger, most=3).following is None
    assert page(ledger, most=2).following is not None


def test_what_was_decided_meanwhile_does_not_move_the_next_page(ledger: Ledger) -> None:
    for number in range(4):
        put_run(ledger, due_at=minute(number))
    first = page(ledger, most=2)

    put_run(ledger, due_at=minute(4))
    put_passed(ledger, due_at=minute(4))

    assert told(page(ledger, first.following, most=2)) == ["run 2", "run 1"]


def test_a_page_below_the_first_row_is_empty(ledger: Ledger) -> None:
    put_run(ledger)

    assert page(ledger, Cursor(0, 0)) == Page((), None)


def test_what_was_claimed_by_a_clock_that_was_set_back_is_lost_on_no_page(ledger: Ledger) -> None:
    for claimed_at in (5, 9, 1, 7, 2, 8):
        put_run(ledger, due_at=minute(claimed_at))

    assert sorted(leafed(ledger.store, 1, Wanted())) == [f"run {number}" for number in range(1, 7)]


def test_what_was_pruned_leaves_no_hole(ledger: Ledger) -> None:
    for number in range(6):
        put_run(ledger, due_at=minute(number))
    with ledger.store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM runs WHERE id IN (1, 3, 4)")

    assert leafed(ledger.store, 1, Wanted()) == ["run 6", "run 5", "run 2"]


def test_rows_of_the_far_future_and_with_odd_names_are_shown(ledger: Ledger) -> None:
    put_run(ledger, ODD, due_at=FAR - timedelta(days=1), tenant=ODD, tenant_name=ODD, finished_at=DAWN)
    put_passed(ledger, ODD, due_at=DAWN, until_at=FAR, count=2**31 - 1, reason=None)

    run, passed = page(ledger, job=ODD).rows

    assert isinstance(run, Run)
    assert run.whose == f"{ODD} ({ODD})"
    assert not isinstance(passed, Run)
    assert (passed.last_due_at, passed.occurrence.count) == (FAR, 2**31 - 1)


# Filters


def test_a_page_is_of_one_job(ledger: Ledger) -> None:
    put_run(ledger, "sweep", due_at=minute(1))
    put_run(ledger, "sweep2", due_at=minute(2))
    put_passed(ledger, "sweep", due_at=minute(3))
    put_passed(ledger, "other", due_at=minute(4))

    assert told(page(ledger, job="sweep")) == ["missed 00:03", "run 1"]


def test_a_page_is_of_one_tenant_and_instants_have_none(ledger: Ledger) -> None:
    put_run(ledger, tenant="acme", due_at=minute(1))
    put_run(ledger, tenant="beta", due_at=minute(2))
    put_passed(ledger, due_at=minute(3))

    assert told(page(ledger, tenant="acme")) == ["run 1"]


def test_states_are_of_runs_only(ledger: Ledger) -> None:
    put_run(ledger, state="failed", due_at=minute(1))
    put_run(ledger, state="timed_out", due_at=minute(2))
    put_run(ledger, due_at=minute(3))
    put_passed(ledger, due_at=minute(4))

    assert told(page(ledger, states=[RunState.FAILED, RunState.TIMED_OUT])) == ["run 2", "run 1"]


def test_decisions_are_of_instants_only(ledger: Ledger) -> None:
    put_run(ledger, due_at=minute(1))
    put_passed(ledger, due_at=minute(2))
    put_passed(ledger, due_at=minute(3), decision="skipped", reason="overlap")

    assert told(page(ledger, decisions=[Decision.MISSED])) == ["missed 00:02"]


def test_a_state_and_a_decision_of_the_same_name_are_shown_together(ledger: Ledger) -> None:
    put_run(ledger, due_at=minute(1), state="skipped", started_at=None)
    put_passed(ledger, due_at=minute(2), decision="skipped", reason="overlap")
    put_passed(ledger, due_at=minute(3))
    wanted = {"states": [RunState.SKIPPED], "decisions": [Decision.SKIPPED]}

    assert told(page(ledger, **wanted)) == ["skipped 00:02", "run 1"]


def test_an_instant_that_was_asked_for_by_hand_is_told_by_its_run(ledger: Ledger) -> None:
    put_run(ledger, schedule="manual", due_at=minute(1))
    put_run(ledger, due_at=minute(2))
    put_passed(ledger, schedule="manual", due_at=minute(3), decision="skipped", reason="overlap")

    assert told(page(ledger)) == ["run 2", "run 1"]
    assert told(page(ledger, is_by_hand=True)) == ["run 1"]


def test_late_is_a_first_attempt_that_began_too_late(ledger: Ledger) -> None:
    put_run(ledger, due_at=minute(1), started_at=minute(2))  # at the limit
    put_run(ledger, due_at=minute(1), started_at=minute(2.1))
    put_run(ledger, due_at=minute(1), started_at=minute(9), attempt=2)
    put_run(ledger, due_at=minute(1), started_at=None, state="queued")
    put_run(ledger, due_at=minute(1), started_at=minute(0))  # the clock was set back

    assert told(page(ledger, is_late=True)) == ["run 2"]


def test_each_job_says_itself_from_when_on_a_run_is_late(ledger: Ledger) -> None:
    for job in ("strict", "calm", "usual", ODD):
        put_run(ledger, job, started_at=minute(2))
    late_after = {
        "strict": timedelta(0),
        "calm": timedelta(hours=1),
        "usual": timedelta(minutes=1),
        ODD: timedelta(days=1),
    }

    assert told(page(ledger, is_late=True, late_after=late_after)) == ["run 3", "run 1"]


def test_a_run_by_hand_is_late_from_when_it_was_asked_for(ledger: Ledger) -> None:
    asked = {"schedule": "manual", "due_at": minute(1), "claimed_at": minute(60), "available_at": minute(60)}
    put_run(ledger, **asked, started_at=minute(60.5))
    put_run(ledger, **asked, started_at=minute(62))

    assert told(page(ledger, is_late=True)) == ["run 2"]


def test_a_time_begins_at_its_first_instant_and_ends_before_its_last(ledger: Ledger) -> None:
    for number in range(5):
        put_run(ledger, due_at=minute(number))
        put_passed(ledger, due_at=minute(number))

    found = page(ledger, since=minute(1), until=minute(3))

    assert sorted(told(found)) == ["missed 00:01", "missed 00:02", "run 2", "run 3"]
    assert found.following is None


@pytest.mark.parametrize("time", [{"since": FAR}, {"until": DAWN}, {"since": minute(3), "until": minute(1)}])
def test_a_time_in_which_nothing_was_decided_is_empty(ledger: Ledger, time: dict[str, Any]) -> None:
    put_run(ledger, due_at=minute(1))
    put_run(ledger, due_at=minute(4))

    assert told(page(ledger, **time)) == []


def test_what_is_rare_is_found_pages_away(ledger: Ledger) -> None:
    wanted = Wanted(states=(RunState.FAILED,))
    for number in range(20):
        put_run(ledger, due_at=minute(number), state="failed" if number == 1 else "succeeded")

    with ledger.store.reading() as connection:
        first = read_page(connection, wanted, None, most=50, looked_at=3)

    assert first.rows == ()
    assert first.following is not None
    assert leafed(ledger.store, 50, wanted, looked_at=3) == ["run 2"]


# All pages together, against a list

_rows = st.lists(
    st.tuples(
        st.sampled_from(["run", "failed", "tenant", "missed", "skipped"]),
        st.sampled_from(["sweep", "other"]),
        st.integers(0, 12),
    ),
    max_size=14,
)

_filters = st.builds(
    Wanted,
    job=st.sampled_from([None, "sweep"]),
    tenant=st.sampled_from([None, None, "acme"]),
    states=st.sampled_from([(), (), (RunState.FAILED,)]),
    decisions=st.sampled_from([(), (), (Decision.MISSED,)]),
)


@contextlib.contextmanager
def a_store(folder: Path) -> Iterator[LedgerStore]:
    store = ledger_place(Config(), folder).store()
    store.open("shop", DAWN)
    try:
        with store.writing() as connection:
            for table in ("runs", "occurrences"):
                connection.exec_driver_sql(f"DELETE FROM {table}")
        yield store
    finally:
        store.close()


@settings(max_examples=60, deadline=None)
@given(_rows, _filters, st.integers(1, 6), st.sampled_from([2, 100]))
def test_the_pages_show_each_row_once(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[tuple[str, str, int]],
    wanted: Wanted,
    most: int,
    looked_at: int,
) -> None:
    expected = set()
    with a_store(tmp_path_factory.getbasetemp()) as store:
        for place, (kind, job, claimed) in enumerate(written):
            facts = {"due_at": minute(place), "claimed_at": minute(claimed)}
            is_of_job = wanted.job in (None, job)
            if kind in ("missed", "skipped"):
                put_passed(store, job, **facts, decision=kind)
                if is_of_job and wanted.has_passed and (not wanted.decisions or kind in wanted.decisions):
                    expected.add(f"{kind} {minute(place):%H:%M}")
                continue
            state = "failed" if kind == "failed" else "succeeded"
            number = put_run(store, job, **facts, state=state, tenant="acme" if kind == "tenant" else "")
            is_of_tenant = wanted.tenant is None or kind == "tenant"
            if is_of_job and is_of_tenant and wanted.has_runs and (not wanted.states or state in wanted.states):
                expected.add(f"run {number}")

        shown = leafed(store, most, wanted, looked_at=looked_at)

    assert len(shown) == len(set(shown))
    assert set(shown) == expected
