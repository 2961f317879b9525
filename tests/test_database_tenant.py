"""A tenant's database: the mistakes that people make in it, and why none reaches another tenant; on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy import func, select, text

from pinstripe_bot.clock import SystemClock
from pinstripe_bot.database import Database, DatabasePool
from pinstripe_bot.database_tenant import TenantDatabase
from pinstripe_bot.errors import DatabaseError
from pinstripe_bot.tenant import Tenant, TenantId

ORDERS = [
    {"id": 1, "tenant_id": 1, "state": "new", "total": 10},
    {"id": 2, "tenant_id": 1, "state": "paid", "total": 20},
    {"id": 3, "tenant_id": 2, "state": "new", "total": 30},
    {"id": 4, "tenant_id": 2, "state": "paid", "total": 40},
    {"id": 5, "tenant_id": None, "state": "new", "total": 50},
]
OF_OTHERS = ORDERS[2:]


@pytest.fixture
def database(database: Database) -> Database:
    """Two tenants with two orders each, an order of nobody, and a table of everybody's."""
    database.execute(text("CREATE TABLE tenants (id integer PRIMARY KEY, name text)"))
    database.execute(text("CREATE TABLE orders (id integer PRIMARY KEY, tenant_id integer, state text, total integer)"))
    database.execute(text("CREATE TABLE lines (order_id integer, tenant_id integer, item text)"))
    database.execute(text("CREATE TABLE states (state text, label text)"))
    database.tenants.insert([{"id": 1, "name": "Acme"}, {"id": 2, "name": "Bolt"}])
    database.orders.insert(ORDERS)
    database.lines.insert(
        [{"order_id": 1, "tenant_id": 1, "item": "pen"}, {"order_id": 3, "tenant_id": 2, "item": "ink"}]
    )
    database.states.insert([{"state": "new", "label": "New"}, {"state": "paid", "label": "Paid"}])
    return database


@pytest.fixture
def postgres(fresh_postgres_url: str) -> Iterator[Database]:
    """An empty database on PostgreSQL."""
    pool = DatabasePool(fresh_postgres_url, monotonic=SystemClock().monotonic)
    with pool.open("test") as database:
        yield database
    pool.close()


def workspace_of(tenant_id: TenantId | None, database: Database) -> TenantDatabase:
    return TenantDatabase(database, tenant_id=tenant_id, tenant_column="tenant_id", tenants_table=("tenants", "id"))


@pytest.fixture
def mine(database: Database) -> TenantDatabase:
    """The database of tenant 1."""
    return workspace_of(1, database)


@pytest.fixture
def others(database: Database) -> Callable[[], list[dict[str, Any]]]:
    """The orders of all but tenant 1, as they are now."""

    def rows() -> list[dict[str, Any]]:
        return [vars(row) for row in database.orders.order_by("id") if row.tenant_id != 1]

    return rows


def ids(rows: Any) -> list[int]:
    return sorted(row.id for row in rows)


# A forgotten filter


def test_reading_without_a_filter_gives_ones_own_rows(mine: TenantDatabase):
    assert ids(mine.orders.all()) == ids(mine.orders) == ids(mine["orders"]) == [1, 2]


def test_counting_without_a_filter_counts_ones_own_rows(mine: TenantDatabase):
    assert mine.orders.count() == 2
    assert mine.orders.limit(5).count() == 2


def test_the_first_row_is_ones_own(mine: TenantDatabase):
    assert mine.orders.order_by("-total").first().id == 2
    assert mine.orders.where(state="new").order_by("-total").first().id == 1


def test_updating_without_a_filter_changes_ones_own_rows(mine: TenantDatabase, others):
    assert mine.orders.update(state="old") == 2

    assert others() == OF_OTHERS


def test_deleting_without_a_filter_deletes_ones_own_rows(mine: TenantDatabase, others):
    assert mine.orders.delete() == 2

    assert others() == OF_OTHERS


# A filter that means too much


def test_the_ids_of_others_find_nothing(mine: TenantDatabase, others):
    theirs = mine.orders.where(id=3)

    assert (theirs.first(), theirs.update(total=0), theirs.delete()) == (None, 0, 0)
    assert mine.orders.where(id_in=[1, 3, 5]).count() == 1
    assert others() == OF_OTHERS


def test_or_between_queries_is_one_of_them(mine: TenantDatabase):
    either = mine.orders.where(state="new") or mine.orders.where(total=30)

    assert ids(either) == [1]


@pytest.mark.parametrize(
    "value",
    [
        sa.or_(sa.true(), sa.true()),
        text("1 OR 1 = 1"),
        select(text("tenant_id FROM orders")),
        select(text("tenant_id FROM orders")).scalar_subquery(),
        sa.literal(1),
    ],
)
def test_sql_is_no_value(mine: TenantDatabase, value: object):
    for column in ("total", "tenant_id", "tenant_id_ne", "tenant_id_gt"):
        with pytest.raises(DatabaseError):
            mine.orders.where(**{column: value})
    for column in ("total_in", "tenant_id_in"):
        with pytest.raises(DatabaseError):
            mine.orders.where(**{column: [value]})
        with pytest.raises(DatabaseError):
            mine.orders.where(**{column: value})
    with pytest.raises(DatabaseError):
        mine.orders.update(tenant_id=value)
    with pytest.raises(DatabaseError):
        mine.orders.insert(id=9, tenant_id=value)


def test_text_that_looks_like_sql_is_text(mine: TenantDatabase):
    assert mine.orders.where(state="' OR 1 = 1 --").count() == 0
    assert mine.orders.where(state_contains="%' OR tenant_id = 2 --").count() == 0


def test_asking_for_another_tenants_rows_is_refused(mine: TenantDatabase):
    with pytest.raises(DatabaseError) as error:
        mine.orders.where(tenant_id=2)

    assert str(error.value) == (
        "column 'tenant_id' of table 'orders': where() got 2, but this workspace is that of tenant 1: "
        "leave 'tenant_id' out, or use database.unscoped"
    )


@pytest.mark.parametrize(
    "theirs",
    [None, "2", "01", "1 ", True, 1.0, *map(Decimal, ["1.5", "NaN", "sNaN", "Infinity"]), b"1", [1], Tenant(1, "Acme")],
)
def test_what_is_not_the_tenants_id_is_refused(mine: TenantDatabase, others, theirs: object):
    for misuse in (
        lambda: mine.orders.where(tenant_id=theirs),
        lambda: mine.orders.update(tenant_id=theirs),
        lambda: mine.orders.insert(id=9, tenant_id=theirs),
        lambda: mine.orders.insert([{"id": 8, "tenant_id": 1}, {"id": 9, "tenant_id": theirs}]),
    ):
        with pytest.raises(DatabaseError, match="column 'tenant_id' of table 'orders'"):
            misuse()
    assert mine.orders.count() == 2
    assert others() == OF_OTHERS


def test_a_refusal_tells_nothing_of_another_tenant_but_the_id_that_was_given(mine: TenantDatabase):
    with pytest.raises(DatabaseError, match=r"where\(\) got a Tenant, but this workspace is that of tenant 1: leave"):
        mine.orders.where(tenant_id=Tenant(2, "Bolt", plan="gold"))


@pytest.mark.parametrize("own", [1, "1", Decimal(1)])
def test_the_tenants_own_id_is_accepted_wherever_it_stands(mine: TenantDatabase, own: object):
    assert mine.orders.where(tenant_id=own).count() == 2
    assert mine.orders.update(tenant_id=own) == 2
    assert mine.orders.insert(id=9, tenant_id=own) == 1
    assert {row.tenant_id for row in mine.orders} == {1}


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ({"tenant_id_in": [1, 2]}, [1, 2]),
        ({"tenant_id_in": [1, None]}, [1, 2]),
        ({"tenant_id_in": [2]}, []),
        ({"tenant_id_ne": 1}, []),
        ({"tenant_id_ne": 2}, [1, 2]),
        ({"tenant_id_ne": None}, [1, 2]),
        ({"tenant_id_in": [None]}, []),
        ({"tenant_id_gt": 1}, []),
        ({"tenant_id_ge": 0}, [1, 2]),
    ],
)
def test_other_comparisons_of_the_tenant_column_only_narrow(mine: TenantDatabase, others, condition: Any, found: Any):
    assert ids(mine.orders.where(**condition)) == found
    assert mine.orders.where(**condition).update(state="old") == len(found)
    assert mine.orders.where(**condition).delete() == len(found)
    assert others() == OF_OTHERS


# Writing for others


def test_an_insert_carries_the_tenants_id(mine: TenantDatabase, database: Database):
    mine.orders.insert(id=6, total=1)
    mine.orders.insert([{"id": 7, "tenant_id": 1}, {"tenant_id": 1, "id": 8}])
    mine.orders.insert([{"id": 9}, {"id": 10, "tenant_id": 1}])

    assert {row.tenant_id for row in database.orders.where(id_gt=5)} == {1}
    assert database.orders.where(id_gt=5).count() == 5


def test_an_insert_for_another_tenant_is_refused(mine: TenantDatabase, others):
    with pytest.raises(DatabaseError) as error:
        mine.orders.insert(id=6, tenant_id=2)

    assert str(error.value) == (
        "column 'tenant_id' of table 'orders': insert() got 2, but this workspace is that of tenant 1: "
        "leave 'tenant_id' out, or use database.unscoped"
    )
    assert others() == OF_OTHERS


def test_a_list_with_one_row_for_another_tenant_is_refused_as_a_whole(mine: TenantDatabase, database: Database):
    with pytest.raises(DatabaseError, match=r"insert\(\) got 2, but this workspace is that of tenant 1"):
        mine.orders.insert([{"id": 6}, {"id": 7, "tenant_id": 2}])

    assert database.orders.where(id_gt=5).count() == 0


def test_a_row_in_the_place_of_a_list_is_told(mine: TenantDatabase):
    with pytest.raises(DatabaseError, match=r"'orders': insert\(\) takes a list of rows: write insert\(\[row\]\)"):
        mine.orders.insert({"id": 9})  # type: ignore[arg-type]
    with pytest.raises(DatabaseError, match=r"insert\(\) takes dictionaries, not a tuple: give a list of them"):
        mine.orders.insert([(9, 1)])  # type: ignore[list-item]
    with pytest.raises(DatabaseError, match=r"insert\(\) takes dictionaries, not a TableRow"):
        mine.orders.insert(mine.orders.all())  # type: ignore[arg-type]


@pytest.mark.parametrize("theirs", [2, None])
def test_giving_rows_away_is_refused(mine: TenantDatabase, others, theirs: object):
    with pytest.raises(DatabaseError, match=rf"update\(\) got {theirs}, but this workspace is that of tenant 1"):
        mine.orders.update(tenant_id=theirs, state="old")

    assert ids(mine.orders.where(state="old")) == []
    assert others() == OF_OTHERS


def test_taking_rows_over_changes_nothing(mine: TenantDatabase, others):
    assert mine.orders.where(id=3).update(tenant_id=1) == 0
    assert mine.orders.where(tenant_id_in=[None, 2]).update(tenant_id=1) == 0

    assert others() == OF_OTHERS


def test_taking_the_key_of_anothers_row_is_refused_by_the_database(mine: TenantDatabase, others):
    with pytest.raises(DatabaseError, match="database refused"):
        mine.orders.where(id=1).update(id=3)
    with pytest.raises(DatabaseError, match="database refused"):
        mine.orders.insert(id=3)

    assert others() == OF_OTHERS


# Queries that wander


def test_no_chain_removes_the_limit(mine: TenantDatabase, others):
    chain = mine.orders.where().where(state_ne=None).order_by("-total").where(total_gt=0).order_by("id").limit(100)

    assert ids(chain) == [1, 2]
    assert chain.limit(1).limit(100).count() == 2


def test_a_replaced_part_of_a_query_leaves_the_limit(mine: TenantDatabase, database: Database):
    narrow = mine.orders.where(id=3)

    assert ids(replace(narrow, conditions=())) == [1, 2]
    assert ids(replace(narrow, conditions=(sa.or_(*narrow.conditions, sa.true()),))) == [1, 2]
    assert ids(replace(mine.states, table=database.orders.table)) == [1, 2]
    assert replace(mine.states, table=database.orders.table).delete() == 2


def test_a_query_stays_its_tenants_in_another_ones_workspace(mine: TenantDatabase, database: Database):
    query = mine.orders.where(total_gt=0)
    yours = workspace_of(2, database)

    assert ids(query.where(state="new")) == [1]
    assert ids(yours.orders) == [3, 4]
    with pytest.raises(DatabaseError, match="that of tenant 1"):
        query.where(tenant_id=2)


def test_a_query_ends_with_the_run_it_comes_from(pool: DatabasePool, database: Database):
    with pool.open("run") as run:
        query = workspace_of(1, run).orders

    with pytest.raises(DatabaseError, match="workspace is closed"):
        query.all()


def test_a_query_cannot_perform_anything_else(mine: TenantDatabase):
    public = {name for name in dir(mine.orders) if not name.startswith("_")}

    assert public == {
        *("table", "scope", "conditions", "ordering", "most"),
        *("where", "order_by", "limit", "all", "select", "first", "count", "insert", "update", "delete"),
    }


def test_a_stream_has_the_tenants_own_rows_whatever_it_is_given(mine: TenantDatabase, database: Database):
    for query in (mine.orders, database.orders, workspace_of(2, database).orders):
        assert ids(mine.stream(query)) == [1, 2]
    assert ids(mine.stream(mine.orders.where(state="new"))) == [1]
    assert ids(mine.stream(mine.orders.where(id=3))) == []


# Statements of one's own


def test_execute_is_refused_with_the_way_out(mine: TenantDatabase):
    with pytest.raises(DatabaseError, match=r"use database\.unscoped\.execute\(\.\.\.\)"):
        mine.execute(text("DELETE FROM orders"))

    assert not hasattr(mine, "execute")


def test_unscoped_is_the_database_of_all_tenants(mine: TenantDatabase, database: Database):
    assert mine.unscoped is database
    assert database.unscoped is database
    assert mine.unscoped.orders.count() == 5


def test_a_join_of_selectables_has_ones_own_rows(mine: TenantDatabase):
    orders, lines, states = (mine.selectable(name) for name in ("orders", "lines", "states"))
    everything = (
        select(orders.c.id, lines.c.item, states.c.label)
        .outerjoin_from(orders, lines, sa.true())
        .outerjoin(states, orders.c.state == states.c.state)
    )

    rows = mine.unscoped.execute(everything).all()

    assert sorted(rows) == [(1, "pen", "New"), (2, "pen", "Paid")]


def test_a_selectable_joins_itself_under_another_name(mine: TenantDatabase):
    one, other = mine.selectable("orders"), mine.selectable("orders", name="other")

    pairs = mine.unscoped.execute(select(one.c.id, other.c.id).join_from(one, other, one.c.total <= other.c.total))
    aliased = mine.unscoped.execute(select(func.count()).select_from(one.alias("older")))

    assert (one.name, other.name) == ("orders", "other")
    assert sorted(pairs.all()) == [(1, 1), (1, 2), (2, 2)]
    assert aliased.scalar_one() == 2


def test_a_selectable_in_a_condition_has_ones_own_rows(mine: TenantDatabase, database: Database):
    orders = database.orders.table
    own = mine.selectable("orders")

    database.execute(sa.delete(orders).where(orders.c.id.in_(select(own.c.id))))

    assert ids(database.orders) == [3, 4, 5]


def test_a_selectable_of_a_plain_database_has_all_rows(mine: TenantDatabase, database: Database):
    count = select(func.count())

    assert database.execute(count.select_from(database.selectable("orders"))).scalar_one() == 5
    assert database.execute(count.select_from(mine.selectable("states"))).scalar_one() == 2


# Tables of everybody, and the table of tenants


def test_a_table_without_the_tenant_column_is_everybodys(mine: TenantDatabase):
    mine.states.insert(state="old", label="Old")
    mine.states.where(state="new").update(label="Fresh")

    assert mine.states.count() == 3
    assert mine.states.where(state="paid").delete() == 1


def test_a_table_that_is_given_the_tenant_column_meanwhile_is_limited_in_the_next_run(
    pool: DatabasePool, database: Database, database_url: str
):
    assert workspace_of(1, database).states.count() == 2
    migration = DatabasePool(database_url, monotonic=SystemClock().monotonic)
    migration.open("migration").execute(text("ALTER TABLE states ADD COLUMN tenant_id integer"))
    migration.open("migration").execute(text("UPDATE states SET tenant_id = 2 WHERE state = 'new'"))
    migration.close()

    mine = workspace_of(1, database)

    assert (mine.states.all(), mine.states.update(label="?"), mine.states.insert(state="old")) == ([], 0, 1)
    assert [row.tenant_id for row in database.states.where(state="old")] == [1]


def test_a_table_of_everybodys_is_looked_up_once_in_a_run(mine: TenantDatabase):
    assert mine.states.table is mine.states.table
    assert mine.orders.table is mine.orders.table


def test_the_table_of_tenants_has_the_tenants_own_row(mine: TenantDatabase, database: Database):
    assert [row.name for row in mine.tenants] == ["Acme"]
    assert mine.tenants.update(name="Acme & Co.") == 1
    for misuse in (
        lambda: mine.tenants.insert(id=3, name="Cork"),
        lambda: mine.tenants.insert(name="Cork"),
        lambda: mine.tenants.update(id=2),
        lambda: mine.tenants.where(id=2),
    ):
        with pytest.raises(DatabaseError):
            misuse()
    assert mine.tenants.where(id_in=[2]).delete() == 0
    assert [row.name for row in database.tenants.order_by("id")] == ["Acme & Co.", "Bolt"]


def test_a_wrong_id_column_of_the_tenants_is_told(database: Database):
    mine = TenantDatabase(database, tenant_id=1, tenant_column="tenant_id", tenants_table=("tenants", "key"))

    with pytest.raises(DatabaseError, match="the table of tenants 'tenants' has no column 'key'"):
        mine.tenants.all()


def test_names_in_another_case_are_no_way_around(sqlite_pool: DatabasePool):
    database = sqlite_pool.open("test")
    database.execute(text("CREATE TABLE tenants (ID integer)"))
    database.execute(text("CREATE TABLE orders (id integer, TENANT_ID integer)"))
    database.tenants.insert([{"ID": 1}, {"ID": 2}])
    database.orders.insert([{"id": 1, "TENANT_ID": 1}, {"id": 2, "TENANT_ID": 2}])
    mine = workspace_of(1, database)

    mine.Orders.insert(id=3)

    assert ids(mine.ORDERS) == ids(mine.orders) == [1, 3]
    assert [row.ID for row in mine.TENANTS] == [1]


def test_a_view_with_the_tenant_column_is_limited(mine: TenantDatabase, database: Database):
    database.execute(text("CREATE VIEW new_orders AS SELECT * FROM orders WHERE state = 'new'"))

    assert ids(mine.new_orders) == [1]
    assert mine.new_orders.count() == 1


WORDS = ["execute", "transaction", "unscoped", "selectable", "in_transaction", "stream", "join", "close", "insert"]
MORE_WORDS = ["count", "where", "all", "first", "update", "delete", "table", "scope"]


@pytest.mark.parametrize("word", [*WORDS, *MORE_WORDS])
def test_a_table_called_like_a_method_is_limited_too(mine: TenantDatabase, database: Database, word: str):
    database.execute(text(f'CREATE TABLE "{word}" (id integer, tenant_id integer)'))
    database[word].insert([{"id": 1, "tenant_id": 1}, {"id": 2, "tenant_id": 2}])

    assert ids(mine[word]) == [1]
    if word != "execute":
        by_attribute = getattr(mine, word)
        assert by_attribute is database or not hasattr(by_attribute, "all") or ids(by_attribute) == [1]
    assert mine[word].delete() == 1
    assert ids(database[word]) == [2]


def test_nothing_can_be_put_in_the_place_of_a_table(mine: TenantDatabase, database: Database):
    with pytest.raises(AttributeError):
        mine.orders = database.orders  # type: ignore[assignment]


# A tenant that is not there


def test_a_tenant_that_cannot_be_found_has_no_rows(database: Database, others):
    nobodys = workspace_of(None, database)

    for table in (nobodys.orders, nobodys.lines, nobodys.tenants):
        assert (table.all(), table.first(), table.count(), table.delete()) == ([], None, 0, 0)
    assert nobodys.orders.update(state="old") == nobodys.orders.update(tenant_id=2) == 0
    assert nobodys.orders.where(tenant_id=2).count() == nobodys.orders.where(tenant_id=None).delete() == 0
    assert database.execute(select(func.count()).select_from(nobodys.selectable("orders"))).scalar_one() == 0
    assert nobodys.states.count() == 2
    assert database.orders.count() == 5


@pytest.mark.parametrize("row", [{"id": 9}, {"id": 9, "tenant_id": 1}, {"id": 9, "tenant_id": None}])
def test_a_tenant_that_cannot_be_found_gets_no_rows(database: Database, row: dict[str, Any]):
    with pytest.raises(DatabaseError, match="the tenant of this workspace cannot be found: check that it still exists"):
        workspace_of(None, database).orders.insert([row])

    assert database.orders.count() == 5


def test_a_deleted_tenants_workspace_has_what_is_left_of_it(mine: TenantDatabase, database: Database):
    database.tenants.where(id=1).delete()

    assert mine.tenants.all() == []
    assert ids(mine.orders) == [1, 2]


# Transactions


def test_a_transaction_holds_what_is_done_in_both_ways(mine: TenantDatabase, database: Database):
    def fail() -> None:
        with mine.transaction():
            assert mine.in_transaction
            mine.orders.delete()
            mine.unscoped.orders.delete()
            raise LookupError

    with pytest.raises(LookupError):
        fail()

    assert not mine.in_transaction
    assert database.orders.count() == 5


def test_threads_of_two_tenants_do_not_meet(database: Database, others):
    barrier = threading.Barrier(2)

    def work(tenant_id: int, found: list[list[int]]) -> None:
        own = workspace_of(tenant_id, database)
        barrier.wait()
        for _ in range(20):
            found.append(ids(own.orders.where(total_gt=0)))

    first: list[list[int]] = []
    second: list[list[int]] = []
    threads = [threading.Thread(target=work, args=args) for args in ((1, first), (2, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (first, second) == ([[1, 2]] * 20, [[3, 4]] * 20)


# The id and the column's type

FIRST_UUID, SECOND_UUID = UUID("0e6b1f6a-0000-4000-8000-000000000001"), UUID("0e6b1f6a-0000-4000-8000-000000000002")


def keep(database: Database, kind: str, *stored: object) -> None:
    """A table `notes` whose tenant column is of this kind, with a row of each of these tenants."""
    database.execute(text(f"CREATE TABLE notes (id integer, tenant_id {kind})"))
    literals = ["NULL" if each is None else f"'{each}'" if isinstance(each, str) else str(each) for each in stored]
    for number, literal in enumerate(literals):
        database.execute(text(f"INSERT INTO notes VALUES ({number}, {literal})"))


@pytest.mark.parametrize(
    ("kind", "stored", "tenant_id"),
    [
        ("text", ["7", "07", "7.0", " 7", None], 7),
        ("text", ["7", "07", "7.0"], "7"),
        ("varchar(40)", ["acme", "Acme", "ACME", "acme ", "acmé"], "acme"),
        ("char(10)", ["acme", "Acme", "ACME", "acme2"], "acme"),
        ("char(10)", ["7", "77", "07"], 7),
        ("integer", [7, 8, None, -7], 7),
        ("integer", [7, 8, None, -7], "7"),
        ("integer", [-7, 7], "-7"),
        ("smallint", [7, 8], "7"),
        ("bigint", [2**63 - 1, 2**63 - 2], 2**63 - 1),
        ("bigint", [2**63 - 1, 2**63 - 2], str(2**63 - 1)),
        ("numeric", [7, 8], 7),
        ("numeric(10,0)", [7, 8], "7"),
        ("text", [str(FIRST_UUID), str(SECOND_UUID), str(FIRST_UUID).upper()], FIRST_UUID),
        ("char(36)", [str(FIRST_UUID), str(SECOND_UUID)], FIRST_UUID),
        ("char(32)", [FIRST_UUID.hex, SECOND_UUID.hex], FIRST_UUID),
        ("uuid", [str(FIRST_UUID), str(SECOND_UUID)], FIRST_UUID),
        ("uuid", [str(FIRST_UUID), str(SECOND_UUID)], str(FIRST_UUID)),
    ],
)
def test_an_id_finds_exactly_its_own_rows(database: Database, kind: str, stored: list[Any], tenant_id: TenantId):
    keep(database, kind, *stored)
    mine = workspace_of(tenant_id, database)

    mine.notes.insert(id=99)
    assert ids(mine.notes) == ids(mine.notes.where(tenant_id=tenant_id)) == [0, 99]
    for row in mine.notes.all():
        mine.notes.insert(**vars(row))  # what was read can be written
    assert mine.notes.update(tenant_id=tenant_id) == 4
    assert mine.notes.delete() == 4
    assert ids(database.notes) == list(range(1, len(stored)))


UNFIT = [
    ("integer", [7, 0], "07"),
    ("integer", [7, 0], "acme"),
    ("integer", [7, 0], "7.0"),
    ("integer", [7, 0], "+7"),
    ("integer", [7, 0], "\u0667"),
    ("integer", [1000, 0], "1_000"),
    ("integer", [7, 0], FIRST_UUID),
    ("bigint", [7], 2**63),
    ("numeric", [7], "07"),
    ("numeric", [7], "acme"),
    ("boolean", [], 1),
    ("json", [], "1"),
    ("timestamp", [], 1),
    ("date", [], "2026-01-31"),
    ("double precision", [7], 7),
]


@pytest.mark.parametrize(("kind", "stored", "tenant_id"), UNFIT)
def test_an_id_that_a_column_cannot_keep_has_no_rows(
    database: Database, kind: str, stored: list[Any], tenant_id: TenantId
):
    keep(database, kind, *stored, None)
    mine = workspace_of(tenant_id, database)

    assert (mine.notes.all(), mine.notes.count(), mine.notes.where(tenant_id=tenant_id).first()) == ([], 0, None)
    for write in (
        lambda: mine.notes.insert(id=9),
        lambda: mine.notes.insert(id=9, tenant_id=tenant_id),
        lambda: mine.notes.update(id=9),
        mine.notes.delete,
    ):
        with pytest.raises(DatabaseError):
            write()
    assert database.notes.where(id=9).count() == 0
    assert database.notes.count() == len(stored) + 1


def test_an_id_that_a_column_cannot_keep_is_told(database: Database):
    keep(database, "integer", 7)

    with pytest.raises(DatabaseError) as error:
        workspace_of("07", database).notes.insert(id=1)

    assert str(error.value) == (
        "column 'tenant_id' of table 'notes' cannot keep the id of this workspace's tenant, '07', as it is: "
        "change the type of the column to that of the ids"
    )


@pytest.mark.parametrize(
    ("kind", "stored", "tenant_id"),
    [
        ("text COLLATE NOCASE", ["acme", "Acme", "ACME"], "acme"),
        ("text COLLATE RTRIM", ["acme", "acme "], "acme"),
        ("string", ["acme", "Acme"], "acme"),
        ("string", [7, 77], "7"),
        ("uuid", [7, 77], 7),
        ("", ["acme", "Acme", 7], "acme"),
        ("", [7, 8, "07"], 7),
        ("integer", [7, "acme"], 7),
    ],
)
def test_sqlite_takes_nothing_for_equal_that_is_not(
    sqlite_pool: DatabasePool, kind: str, stored: list[Any], tenant_id: TenantId
):
    with sqlite_pool.open("test") as database:
        test_an_id_finds_exactly_its_own_rows(database, kind, stored, tenant_id)


@pytest.mark.parametrize("tenant_id", ["07", "7.0", "1e3", ".5", "5.", "+7", "-0", "9" * 20, 2**63, "1E2", "00"])
@pytest.mark.parametrize("kind", ["string", "uuid", "numeric"])
def test_sqlite_is_given_no_text_that_it_would_make_a_number(sqlite_pool: DatabasePool, kind: str, tenant_id: TenantId):
    with sqlite_pool.open("test") as database:
        test_an_id_that_a_column_cannot_keep_has_no_rows(database, kind, [7, 1000, 0, 5, 100], tenant_id)


@pytest.mark.parametrize(
    ("before", "kind", "stored", "tenant_id"),
    [
        ("CREATE TYPE plan AS ENUM ('acme', 'Acme', 'bolt')", "plan", ["acme", "Acme", "bolt"], "acme"),
        ("CREATE DOMAIN short AS varchar(10) CHECK (VALUE <> 'x')", "short", ["acme", "Acme"], "acme"),
        ("CREATE DOMAIN number AS integer", "number", [7, 8], 7),
        (
            "CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
            "text COLLATE anycase",
            ["acme", "Acme", "ACME"],
            "acme",
        ),
        ("CREATE EXTENSION citext", "citext", ["acme", "Acme", "ACME"], "acme"),
    ],
)
def test_postgresql_takes_nothing_for_equal_that_is_not(
    postgres: Database, before: str, kind: str, stored: list[Any], tenant_id: TenantId
):
    try:
        postgres.execute(text(before))
    except DatabaseError as error:
        pytest.skip(str(error))  # this server was built without it

    test_an_id_finds_exactly_its_own_rows(postgres, kind, stored, tenant_id)


@pytest.mark.parametrize(
    ("kind", "tenant_id"),
    [
        ("smallint", 2**15),
        ("integer", 2**31),
        ("varchar(3)", "acme"),
        ("uuid", "acme"),
        ("uuid", str(FIRST_UUID).upper()),
    ],
)
def test_postgresql_is_given_no_id_that_it_would_refuse(postgres: Database, kind: str, tenant_id: TenantId):
    test_an_id_that_a_column_cannot_keep_has_no_rows(postgres, kind, [], tenant_id)


def test_an_index_on_the_tenant_column_serves(sqlite_pool: DatabasePool):
    with sqlite_pool.open("test") as database:
        for kind in ("integer", "text", "text COLLATE NOCASE", "uuid"):
            database.execute(text(f'CREATE TABLE "{kind}" (id integer, tenant_id {kind})'))
            database.execute(text(f'CREATE INDEX "i {kind}" ON "{kind}" (tenant_id)'))
            statement = workspace_of(7, database)[kind].select().compile(compile_kwargs={"literal_binds": True})

            plan = database.execute(text(f"EXPLAIN QUERY PLAN {statement}")).all()

            assert "USING INDEX" in str(plan)
