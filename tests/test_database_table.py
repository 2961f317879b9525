"""What `where` selects, what the verbs do, and what a wrong name is told; on both databases."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from pinstripe_bot.database import Database
from pinstripe_bot.database_table import TableQuery
from pinstripe_bot.errors import DatabaseError

ROWS = [
    {"id": 1, "name": "Ada", "total": 10, "size": None},
    {"id": 2, "name": "Bob", "total": 20, "size": 2},
    {"id": 3, "name": None, "total": 30, "size": 3},
]


@pytest.fixture
def orders(database: Database) -> TableQuery:
    database.execute(
        text("CREATE TABLE orders (id integer PRIMARY KEY, name text, total integer NOT NULL, size integer)")
    )
    database.orders.insert(ROWS)
    return database.orders


def ids(query: TableQuery) -> list[int]:
    return [row.id for row in query.order_by("id").all()]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"total": 20}, [2]),
        ({"total_lt": 20}, [1]),
        ({"total_le": 20}, [1, 2]),
        ({"total_gt": 20}, [3]),
        ({"total_ge": 20}, [2, 3]),
        ({"total_ne": 20}, [1, 3]),
        ({"total_in": [10, 30, 99]}, [1, 3]),
        ({"total_in": {10: "a dictionary", 20: "too"}}, [1, 2]),
        ({"total_in": []}, []),
        ({"name": None}, [3]),
        ({"name_ne": None}, [1, 2]),
        ({"name_ne": "Ada"}, [2]),
        ({"name_in": ["Ada", None]}, [1, 3]),
        ({"name_in": [None]}, [3]),
        ({"name_begins_with": "A"}, [1]),
        ({"name_begins_with": "a"}, []),
        ({"name_ends_with": "ob"}, [2]),
        ({"name_contains": "d"}, [1]),
        ({"name_contains": "D"}, []),
        ({"name_contains": ""}, [1, 2]),
        ({"total_gt": 10, "size_lt": 3}, [2]),
        ({}, [1, 2, 3]),
    ],
)
def test_where_selects(orders: TableQuery, condition: dict[str, object], expected: list[int]):
    assert ids(orders.where(**condition)) == expected


def test_several_wheres_must_all_hold(orders: TableQuery):
    assert ids(orders.where(total_gt=10).where(total_lt=30)) == [2]


def test_narrowing_a_query_leaves_it_as_it_was(orders: TableQuery):
    rich = orders.where(total_ge=20)

    rich.where(id=2).order_by("id").limit(1)

    assert rich.count() == 2


def test_a_column_name_beats_a_suffix(database: Database):
    database.execute(text("CREATE TABLE parts (size integer, size_lt integer)"))
    database.parts.insert(size=1, size_lt=5)

    assert database.parts.where(size_lt=5).count() == 1
    assert database.parts.where(size_lt=2).count() == 0
    assert database.parts.where(size_lt_lt=6).count() == 1


def test_odd_column_names_work_everywhere(database: Database):
    database.execute(text('CREATE TABLE odd ("self" integer, "my col" integer, "per%cent" integer, "-x" integer)'))

    database.odd.insert(**{"self": 1, "my col": 2, "per%cent": 3, "-x": 4})
    database.odd.where(self=1, **{"my col_lt": 3}).update(**{"self": 5, "per%cent": 6})

    assert [vars(row) for row in database.odd.order_by("-x").all()] == [
        {"self": 5, "my col": 2, "per%cent": 6, "-x": 4}
    ]


def test_a_column_may_be_called_like_a_method_of_a_row(database: Database):
    database.execute(text('CREATE TABLE facts ("count" integer, "index" integer, t integer, keys integer)'))
    database.facts.insert(count=1, index=2, t=3, keys=4)

    row = database.facts.first()

    assert row is not None
    assert (row.count, row.index, row.t, row.keys, row["count"]) == (1, 2, 3, 4, 1)


def test_rows_come_in_the_order_asked_for(orders: TableQuery):
    orders.insert(id=4, name="Ada", total=5)

    assert [row.id for row in orders.where(name_ne=None).order_by("name", "-total")] == [1, 4, 2]
    assert [row.id for row in orders.order_by("-id").limit(2)] == [4, 3]


def test_first_is_a_row_or_none(orders: TableQuery):
    assert orders.order_by("-total").first().id == 3
    assert orders.where(total=99).first() is None
    assert orders.limit(0).first() is None


def test_count_counts_what_all_would_return(orders: TableQuery):
    assert orders.count() == 3
    assert orders.where(total_gt=10).order_by("total").count() == 2
    assert orders.limit(2).count() == 2
    assert orders.limit(0).count() == 0


def test_the_verbs_return_how_many_rows_they_changed(orders: TableQuery):
    assert orders.insert(id=4, total=1) == 1
    assert orders.insert([{"id": 5, "total": 1}, {"id": 6, "total": 1}]) == 2
    assert orders.insert([]) == 0
    assert orders.where(total=1).update(name="new", size=None) == 3
    assert orders.where(name="new").delete() == 3
    assert orders.where(total=99).update(name="none") == 0
    assert orders.where(total=99).delete() == 0
    assert orders.delete() == 3


def test_several_rows_are_inserted_all_or_none(orders: TableQuery):
    with pytest.raises(DatabaseError, match="database refused"):
        orders.insert([{"id": 7, "total": 1}, {"id": 1, "total": 1}])

    assert orders.where(id=7).count() == 0


def test_many_values_in_one_list(orders: TableQuery):
    assert ids(orders.where(id_in=range(30_000))) == [1, 2, 3]
    with pytest.raises(DatabaseError, match="30001 values are too many"):
        orders.where(id_in=range(30_001))


def test_the_table_serves_for_statements_of_ones_own(database: Database, orders: TableQuery):
    total = database.execute(select(func.sum(orders.table.c.total))).scalar_one()

    assert total == 60


@pytest.mark.parametrize(
    ("misuse", "sentence"),
    [
        (lambda q: q.where(totl=1), "table 'orders': there is no column 'totl': did you mean 'total'?"),
        (lambda q: q.where(totl_lt=1), "did you mean 'total_lt'"),
        (lambda q: q.where(total_gte=1), "did you mean 'total_gt' or 'total_ge'"),
        (lambda q: q.where(xyzzy=1), "no column 'xyzzy': its columns are id, name, total, size"),
        (lambda q: q.order_by("-totl"), "did you mean '-total'"),
        (lambda q: q.insert(totl=1), "did you mean 'total'"),
        (lambda q: q.update(totl=1), "did you mean 'total'"),
        (lambda q: q.where(size_lt=None), "column 'size' of table 'orders': None is neither less nor more"),
        (lambda q: q.where(name_contains=None), "_contains takes text without NUL characters, not None"),
        (lambda q: q.where(name_contains="a\0"), "_contains takes text without NUL characters"),
        (lambda q: q.where(total_contains="1"), "keeps no text, so that _contains cannot be used on it"),
        (lambda q: q.where(name_in="Ada"), "_in takes several values, not 'Ada': write ['Ada']"),
        (lambda q: q.where(id_in=5), "_in takes several values, not 5"),
        (lambda q: q.where(total=text("1")), "takes a value, not SQL"),
        (lambda q: q.update(total=text("total + 1")), "takes a value, not SQL"),
        (lambda q: q.limit(-1), "limit(-1) is no number of rows: give 0 or more"),
        (lambda q: q.limit(True), "limit(True) is no number of rows"),
        (lambda q: q.update(), "update() got no values"),
        (lambda q: q.insert(), "insert() got no values"),
        (lambda q: q.insert([{"id": 8, "total": 1}, {"id": 9}]), "rows with different columns"),
        (lambda q: q.insert([{"id": 8, "total": 1}], id=9), "a list of rows or the values of one row"),
        (lambda q: q.where(id=1).insert(id=9, total=1), "insert() has no meaning after where()"),
        (lambda q: q.limit(1).delete(), "delete() works on all rows that match"),
        (lambda q: q.order_by("id").update(total=1), "update() works on all rows that match"),
    ],
)
def test_a_misuse_is_told_what_to_do(orders: TableQuery, misuse: object, sentence: str):
    with pytest.raises(DatabaseError) as error:
        misuse(orders)

    assert sentence in str(error.value)
    assert orders.count() == 3


@pytest.mark.parametrize("sign", list("%_*?[]^-!\\/'\":"))
def test_a_sign_means_itself(database: Database, sign: str):
    database.execute(text("CREATE TABLE words (word text)"))
    database.words.insert([{"word": word} for word in (f"a{sign}b", "axb", "axxb", "ab")])

    for match in ("begins_with", "ends_with", "contains"):
        assert [row.word for row in database.words.where(**{f"word_{match}": f"a{sign}b"})] == [f"a{sign}b"]


SIGNS = st.text(
    alphabet=st.one_of(st.sampled_from("%_*?[]^-!\\/'\"aAäÄßİ\u0131\u0301😀 \n"), st.characters(codec="utf-8"))
)
TEXTS = SIGNS.map(lambda sign: sign.replace("\0", ""))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=TEXTS, middle=TEXTS, end=TEXTS, other=TEXTS)
def test_texts_match_as_they_do_in_python(database: Database, start: str, middle: str, end: str, other: str):
    with database.transaction():
        database.execute(text("CREATE TABLE IF NOT EXISTS words (word text)"))
        database.words.delete()
        word = start + middle + end
        database.words.insert(word=word)

        for part in {start, middle, end, other, start + end}:
            assert database.words.where(word_begins_with=part).count() == word.startswith(part)
            assert database.words.where(word_ends_with=part).count() == word.endswith(part)
            assert database.words.where(word_contains=part).count() == (part in word)
            assert database.words.where(word=part).count() == (part == word)
