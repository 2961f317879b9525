from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_schema import from_column, from_ts, metadata, to_column
from pinstripe_bot.testing import TravelClock


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
    engine = create_engine(f"sqlite:///{ledger.path}")

    tables = set(inspect(engine).get_table_names())

    engine.dispose()
    assert tables == set(metadata.tables)


def test_an_occurrence_exists_once(ledger: Ledger) -> None:
    insert = (
        "INSERT INTO occurrences (job, schedule, due_at, decision, claimed_at, bot) VALUES ('a', 'b', 1, 'run', 1, 'c')"
    )
    connection = sqlite3.connect(ledger.path)
    connection.execute(insert)

    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(insert)

    connection.close()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT DISTINCT job, params_key FROM runs WHERE state IN ('queued', 'running') AND job IN ('a', 'b')",
        "SELECT * FROM runs WHERE runs.state IN ('queued', 'running') AND owner NOT IN ('a')",
    ],
)
def test_open_runs_are_found_by_their_index(ledger: Ledger, query: str) -> None:
    connection = sqlite3.connect(ledger.path)

    plan = connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()

    connection.close()
    assert "runs_open" in str(plan)


def test_a_run_row_is_private_to_the_owner_of_the_file(ledger: Ledger, clock: TravelClock) -> None:
    modes = {path.stat().st_mode & 0o077 for path in Path(ledger.path.parent).iterdir()}

    assert modes == {0}
