"""What goes into a column comes out of it: aware UTC datetimes, exact numbers, plain values; on both databases."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from pinstripe_bot.database import Database, DatabasePool
from pinstripe_bot.errors import DatabaseError

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
INSTANT_KINDS = ["timestamp", "timestamp with time zone"]


@pytest.fixture
def sqlite(sqlite_pool: DatabasePool) -> Database:
    return sqlite_pool.open("test")


def make(database: Database, kind: str) -> None:
    database.execute(text(f"CREATE TABLE facts (id integer PRIMARY KEY, fact {kind})"))


def stored(database: Database) -> Any:
    return database.execute(text("SELECT fact FROM facts")).scalar()


@pytest.mark.parametrize(
    ("kind", "fact"),
    [
        ("boolean", True),
        ("boolean", False),
        ("date", date(2026, 2, 28)),
        ("time", time(1, 2, 3)),
        ("integer", 2**31 - 1),
        ("bigint", 2**63 - 1),
        ("double precision", 0.1),
        ("text", "naïve 😀 'quoted' %s :x"),
        ("varchar(20)", ""),
        ("json", {"a": [1, None, "x"], "b": {"c": 1.5}}),
        ("json", [1, 2]),
        ("json", 5),
        ("json", "text"),
        ("json", False),
        ("numeric", Decimal("12.345")),
        ("numeric(10,2)", Decimal("12.50")),
        ("numeric(10,2)", Decimal("-0.10")),
        ("decimal(18,4)", Decimal("90000000000.1234")),
        ("numeric", Decimal(2**53 + 1)),
        *[(kind, NOON) for kind in INSTANT_KINDS],
        *[(kind, NOON + timedelta(microseconds=1)) for kind in INSTANT_KINDS],
    ],
)
def test_a_value_comes_back_as_it_went_in(database: Database, kind: str, fact: object):
    make(database, kind)

    database.facts.insert([{"id": 1, "fact": fact}, {"id": 2, "fact": None}])

    row = database.facts.where(id=1).first()
    assert row is not None
    assert (row.fact, type(row.fact)) == (fact, type(fact))
    assert str(row.fact) == str(fact)
    assert [row.id for row in database.facts.where(fact=None)] == [2]
    if kind != "json":
        assert [row.id for row in database.facts.where(fact=fact)] == [1]


@pytest.mark.parametrize("kind", INSTANT_KINDS)
def test_a_datetime_of_any_zone_is_stored_and_found_as_utc(database: Database, kind: str):
    make(database, kind)

    database.facts.insert(id=1, fact=NOON.astimezone(ZoneInfo("Asia/Kolkata")))

    row = database.facts.where(fact=NOON.astimezone(timezone(timedelta(hours=-9)))).first()
    assert row is not None
    assert row.fact == NOON
    assert row.fact.tzinfo is UTC
    assert str(stored(database)).startswith("2026-01-31 12:00:00")


@pytest.mark.parametrize("kind", INSTANT_KINDS)
@pytest.mark.parametrize("fact", [NOON.replace(tzinfo=None), date(2026, 1, 31), "2026-01-31", 1769860800])
def test_what_is_no_aware_datetime_is_refused_by_name(database: Database, kind: str, fact: object):
    make(database, kind)

    for use in (
        lambda: database.facts.insert(id=1, fact=fact),
        lambda: database.facts.update(fact=fact),
        lambda: database.facts.where(fact_lt=fact),
        lambda: database.facts.where(fact_in=[fact]),
    ):
        with pytest.raises(DatabaseError, match="column 'fact' of table 'facts' takes an aware datetime"):
            use()


@pytest.mark.parametrize("kind", ["text", "date", "integer"])
def test_a_datetime_is_refused_where_none_is_kept(database: Database, kind: str):
    make(database, kind)

    with pytest.raises(DatabaseError, match="column 'fact' of table 'facts' is not declared as a timestamp"):
        database.facts.where(fact_lt=NOON)
    with pytest.raises(DatabaseError, match="column 'fact' of table 'facts' is not declared as a timestamp"):
        database.facts.insert(id=1, fact=NOON)


def test_the_datetimes_of_the_database_itself_compare_right(database: Database):
    database.execute(text("CREATE TABLE facts (id integer, fact timestamp DEFAULT CURRENT_TIMESTAMP)"))

    database.facts.insert(id=1)

    row = database.facts.first()
    assert row is not None
    assert row.fact.tzinfo is UTC
    assert database.facts.where(fact=row.fact).count() == 1
    assert database.facts.where(fact_lt=row.fact).count() == 0
    assert database.facts.where(fact_gt=row.fact).count() == 0


INSTANTS = st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2026, 1, 1, 0, 0, 3))  # noqa: DTZ001
PRECISE = st.one_of(
    INSTANTS, INSTANTS.map(lambda at: at.replace(microsecond=0)), INSTANTS.map(lambda at: at.replace(microsecond=5000))
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ours=PRECISE, theirs=PRECISE, precision=st.sampled_from(["auto", "milliseconds", "microseconds"]))
def test_every_spelling_of_an_instant_compares_as_in_python(
    sqlite: Database, ours: datetime, theirs: datetime, precision: str
):
    if precision == "milliseconds":
        theirs = theirs.replace(microsecond=theirs.microsecond // 1000 * 1000)
    with sqlite.transaction():
        sqlite.execute(text("CREATE TABLE IF NOT EXISTS facts (fact datetime)"))
        sqlite.facts.delete()
        sqlite.execute(text("INSERT INTO facts VALUES (:fact)"), {"fact": theirs.isoformat(" ", precision)})

        facts, bound = sqlite.facts, ours.replace(tzinfo=UTC)
        assert facts.where(fact=bound).count() == (theirs == ours)
        assert facts.where(fact_ne=bound).count() == (theirs != ours)
        assert facts.where(fact_in=[bound]).count() == (theirs == ours)
        assert facts.where(fact_lt=bound).count() == (theirs < ours)
        assert facts.where(fact_le=bound).count() == (theirs <= ours)
        assert facts.where(fact_gt=bound).count() == (theirs > ours)
        assert facts.where(fact_ge=bound).count() == (theirs >= ours)


@pytest.mark.parametrize(
    "written",
    ["2026-01-31 12:00:00", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z", "2026-01-31 14:00:00+02:00"],
)
def test_other_ways_to_write_an_instant_are_read(sqlite: Database, written: str):
    make(sqlite, "datetime")
    sqlite.execute(text("INSERT INTO facts VALUES (1, :fact)"), {"fact": written})

    row = sqlite.facts.first()

    assert row is not None
    assert (row.fact, row.fact.tzinfo) == (NOON, UTC)


@pytest.mark.parametrize(
    ("kind", "written", "sentence"),
    [
        ("datetime", "soon", "column 'fact' of table 'facts' holds 'soon', which is no instant"),
        ("datetime", 1769860800000, "column 'fact' of table 'facts' holds 1769860800000, which is no instant"),
        ("numeric", "much", "column 'fact' of table 'facts' holds 'much', which is no number"),
        ("date", "soon", "a value does not fit the type of its column"),
        ("json", "{", "a value does not fit the type of its column"),
    ],
)
def test_a_value_that_its_type_cannot_hold_is_told(sqlite: Database, kind: str, written: object, sentence: str):
    make(sqlite, kind)
    sqlite.execute(text("INSERT INTO facts VALUES (1, :fact)"), {"fact": written})

    with pytest.raises(DatabaseError, match=sentence):
        sqlite.facts.all()


@pytest.mark.parametrize("fact", [Decimal("0.1234567890123456"), Decimal("NaN"), Decimal(2**64) + Decimal("0.5")])
def test_sqlite_refuses_a_number_that_it_would_round(sqlite: Database, fact: Decimal):
    make(sqlite, "numeric")

    with pytest.raises(DatabaseError, match=r"column 'fact' of table 'facts' cannot keep .* exactly"):
        sqlite.facts.insert(id=1, fact=fact)


def test_columns_without_a_type_take_anything_but_datetimes(sqlite: Database):
    sqlite.execute(text("CREATE TABLE facts (id, fact)"))
    facts = [1, 1.5, "text", b"bytes", None]

    sqlite.facts.insert([{"id": place, "fact": fact} for place, fact in enumerate(facts)])

    assert [row.fact for row in sqlite.facts.order_by("id")] == facts
    assert sqlite.facts.where(fact_begins_with="te").count() == 1
    with pytest.raises(DatabaseError, match="not declared as a timestamp"):
        sqlite.facts.insert(id=9, fact=NOON)


@pytest.mark.parametrize("kind", ["uuid", "string", "inet", "geometry"])
def test_a_type_that_sqlite_does_not_know_is_left_alone(sqlite: Database, kind: str):
    make(sqlite, kind)

    sqlite.facts.insert(id=1, fact="a-b")

    assert sqlite.facts.where(fact="a-b").first().fact == "a-b"


def test_bytes_come_back(database: Database, pool: DatabasePool):
    make(database, "blob" if pool.is_sqlite else "bytea")

    database.facts.insert(id=1, fact=b"\0\xff")

    assert database.facts.where(fact=b"\0\xff").first().fact == b"\0\xff"


def test_none_in_a_json_column_is_null(database: Database):
    make(database, "json")

    database.facts.insert(id=1, fact=None)
    database.facts.insert(id=2, fact={})
    database.facts.where(id=2).update(fact=None)

    assert database.execute(text("SELECT count(*) FROM facts WHERE fact IS NULL")).scalar() == 2
    with pytest.raises(DatabaseError, match="is JSON, which only None compares with"):
        database.facts.where(fact={})


def test_times_of_text_statements_are_utc(fresh_postgres_url: str):
    pool = DatabasePool(fresh_postgres_url, monotonic=lambda: 0.0)

    with pool.open("run") as database:
        assert database.execute(text("SHOW TIME ZONE")).scalar() == "UTC"
    pool.close()
