from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import inspect

from pinstripe_bot.errors import LedgerUnavailable
from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_rows import error_of, from_column, from_ts, outcome_row, tenants_zone, to_column
from pinstripe_bot.ledger_schema import BACKFILL, metadata
from pinstripe_bot.occurrence import Run, RunError, RunState


@pytest.mark.parametrize(
    "instant",
    [
        datetime(2026, 3, 29, 1, 30, 0, 999_999, UTC),
        datetime(1969, 12, 31, tzinfo=UTC),
        datetime(2999, 1, 1, tzinfo=UTC),
    ],
)
def test_an_instant_comes_back_from_its_column_to_the_microsecond(instant: datetime) -> None:
    assert from_column(to_column(instant)) == instant


def test_an_instant_of_any_zone_is_the_same_column() -> None:
    tokyo = datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=9)))

    assert to_column(tokyo) == to_column(datetime(2026, 1, 1, tzinfo=UTC))


def test_an_empty_column_is_no_instant() -> None:
    assert from_column(None) is None


def test_a_whole_second_becomes_an_aware_instant() -> None:
    assert from_ts(0) == datetime(1970, 1, 1, tzinfo=UTC)


def test_the_tables_are_those_of_the_schema(ledger: Ledger) -> None:
    with ledger.store.reading() as connection:
        assert set(inspect(connection).get_table_names()) == set(metadata.tables)


def test_an_occurrence_exists_once(ledger: Ledger) -> None:
    insert = (
        "INSERT INTO occurrences (job, schedule, due_at, decision, claimed_at, bot) VALUES ('a', 'b', 1, 'run', 1, 'c')"
    )

    with ledger.store.writing() as connection:
        connection.exec_driver_sql(insert)

    with pytest.raises(LedgerUnavailable, match=r"(?i)unique"), ledger.store.writing() as connection:
        connection.exec_driver_sql(insert)


def test_what_no_encoding_can_write_of_an_error_is_escaped() -> None:
    error = RunError(type="ValueError", message="\udcff", place="a.py:1 in run", traceback="half a \ud83d")
    run = Run(
        id=1,
        job="sweep",
        schedule="manual",
        due_at=from_ts(0),
        state=RunState.FAILED,
        claimed_at=from_ts(0),
        params={},
        finished_at=from_ts(1),
        error=error,
    )

    column = outcome_row(run)[5]

    kept = error_of(column)
    assert kept is not None
    assert (kept.message, kept.traceback) == ("\\udcff", "half a \\ud83d")


@pytest.mark.parametrize(
    ("schedule", "key", "name"),
    [
        ("0 9 * * *", "Asia/Tokyo", "Asia/Tokyo"),
        ("0 9 * * *", "", None),
        ("0 9 * * *", BACKFILL, None),
        ("manual", "UTC", None),
    ],
)
def test_the_key_of_an_occurrence_tells_in_which_tenants_zone_it_came_due(
    schedule: str, key: str, name: str | None
) -> None:
    found = tenants_zone(schedule, key)

    assert (found and found.name) == name
