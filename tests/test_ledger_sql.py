from __future__ import annotations

import pytest

from pinstripe_bot.ledger import Ledger
from pinstripe_bot.ledger_sql import both, execute, given, listed, rows_of, to_json, values_of

ECHO = both(
    "SELECT {rows} FROM (SELECT * FROM {given} AS given ORDER BY number) AS ordered",
    rows=listed("number", "word"),
    given=given("given", number="bigint", word="text"),
)


@pytest.mark.parametrize(
    "word",
    [
        "plain",
        "",
        None,
        "ünï — 漢字 \U0001f600",
        'it\'s "quoted" \\ and\nbroken',
        "%s %(word)s :word ? {word}",
        "null",
        "[1]",
    ],
)
def test_a_word_goes_there_and_back_whole(ledger: Ledger, word: str | None) -> None:
    with ledger.store.reading() as connection:
        assert rows_of(connection, ECHO, given=to_json([(1, word)])) == [[1, word]]


@pytest.mark.parametrize("number", [0, -1, 2**31, 2**63 - 1, -(2**63), None])
def test_a_number_goes_there_and_back_whole(ledger: Ledger, number: int | None) -> None:
    with ledger.store.reading() as connection:
        assert rows_of(connection, ECHO, given=to_json([(number, "a")])) == [[number, "a"]]


def test_a_group_goes_in_one_value_and_comes_back_in_the_order_of_the_query(ledger: Ledger) -> None:
    group = [(number, f"word {number}") for number in range(1000)]

    with ledger.store.reading() as connection:
        found = rows_of(connection, ECHO, given=to_json(group[::-1]))

    assert found == [list(row) for row in group]


def test_no_rows_are_an_empty_list(ledger: Ledger) -> None:
    with ledger.store.reading() as connection:
        assert rows_of(connection, ECHO, given=to_json([])) == []


def test_one_column_comes_back_as_plain_values(ledger: Ledger) -> None:
    query = both(
        "SELECT {rows} FROM ledger WHERE name IN {names}", rows=listed("name"), names=values_of("names", "text")
    )

    with ledger.store.reading() as connection:
        found = rows_of(connection, query, names=to_json(["version", "it's", "project"]))

    assert sorted(found) == ["project", "version"]


def test_numbers_are_found_among_values(ledger: Ledger) -> None:
    query = both("SELECT count(*) FROM schedules WHERE id IN {ids}", ids=values_of("ids", "bigint"))

    with ledger.store.reading() as connection:
        assert execute(connection, query, ids=to_json([1, 2])).scalar_one() == 0


def test_a_cast_of_postgresql_is_no_value() -> None:
    statement = both("SELECT '1'::text, :word")

    assert statement.postgres == "SELECT '1'::text, %(word)s"
    assert statement.for_database("sqlite") == "SELECT '1'::text, :word"
    assert statement.for_database("postgresql") == statement.postgres


def test_a_remainder_is_the_same_on_both_databases(ledger: Ledger) -> None:
    statement = both(
        "SELECT {rows} FROM {given} AS given", rows=listed("number % :of"), given=given("rows", number="int")
    )

    with ledger.store.reading() as connection:
        assert rows_of(connection, statement, rows="[[7], [8]]", of=4) == [3, 0]
