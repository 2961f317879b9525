"""Whatever several tenants do at the same time, each reads and changes its own rows alone; on both databases.

Each tenant works in a thread, and beside it a model in plain Python does the same with a list of rows. Every answer
must be the model's, and so must be the rows at the end: also those of a tenant that does nothing, and those of nobody.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pinstripe_bot.database import Database, DatabasePool
from pinstripe_bot.database_scope import as_kept
from pinstripe_bot.database_table import TableQuery
from pinstripe_bot.database_tenant import TenantDatabase
from pinstripe_bot.errors import DatabaseError
from pinstripe_bot.tenant import TenantId

Row = dict[str, Any]
Act = tuple[Any, ...]

IS_SOAKING = os.environ.get("PINSTRIPE_TEST_SOAK") == "1"
ORDER = ("number", "-total", "word")

# Ids that a careless comparison takes for each other, by the type of the tenant column.
IDS: dict[str, list[TenantId]] = {
    "integer": [1, 2, 11, -1, 0],
    "bigint": ["1", "2", str(2**62), "-1"],
    "numeric": [1, 10, 100, 7],
    "text": ["acme", "Acme", "ACME", "acm%", "a_me", "", "1", "01", "' OR 1=1 --"],
    "varchar(40)": [1, 10, 2, -1],
    "char(12)": ["acme", "Acme", "acm", "acmé"],
    "char(32)": [UUID(int=1), UUID(int=2), UUID(int=16)],
    "uuid": [UUID(int=number, version=4) for number in (1, 2, 3)],
}
SQLITE_IDS: dict[str, list[TenantId]] = {
    **IDS,
    "text COLLATE NOCASE": ["acme", "Acme", "ACME"],
    "string": ["acme", "7", "Acme", 8],
    "": ["acme", 7, 8, "Acme"],
}


@dataclass(frozen=True)
class Case:
    """A world: tables `mine0`, `mine1` with a tenant column and `shared` without, and what each tenant does."""

    kind: str
    tenants: list[TenantId]
    rows: dict[TenantId | None, list[tuple[str, Row]]]
    shared: list[Row]
    chains: dict[TenantId, list[Act]]


def rows_of() -> st.SearchStrategy[Row]:
    return st.fixed_dictionaries(
        {"number": st.integers(0, 3), "total": st.integers(0, 3), "word": st.sampled_from(["pen", "ink"])}
    )


def conditions() -> st.SearchStrategy[Row]:
    some = st.fixed_dictionaries(
        {},
        optional={
            "number": st.integers(0, 3),
            "total_lt": st.integers(0, 4),
            "total_ne": st.integers(0, 3),
            "number_in": st.lists(st.integers(0, 3), max_size=3),
            "word_begins_with": st.sampled_from(["", "p", "i"]),
        },
    )
    return st.one_of(st.just({}), some)


def acts(others: list[TenantId]) -> st.SearchStrategy[Act]:
    """One thing that a tenant does; `others` are those that it should not reach."""
    table = st.sampled_from(["mine0", "mine1"])
    other = st.sampled_from([*others, None])
    changes = st.fixed_dictionaries({"total": st.integers(0, 3)}, optional={"word": st.sampled_from(["pen", "ink"])})
    single = st.one_of(
        st.tuples(st.just("all"), st.one_of(table, st.just("shared")), conditions(), st.integers(0, 6)),
        st.tuples(st.just("count"), st.one_of(table, st.just("shared")), conditions(), st.integers(0, 6)),
        st.tuples(st.just("first"), table, conditions()),
        st.tuples(st.just("insert"), table, st.lists(rows_of(), min_size=1, max_size=3), st.booleans()),
        st.tuples(st.just("update"), table, conditions(), changes, st.booleans()),
        st.tuples(st.just("delete"), table, conditions()),
        st.tuples(st.just("join"), table, st.one_of(table, st.just("shared")), conditions()),
        st.tuples(st.just("stream"), table, conditions()),
        st.tuples(st.just("refused"), table, other, rows_of()),
        st.tuples(st.just("narrowed"), table, st.lists(other, max_size=2), st.booleans()),
    )
    grouped = st.tuples(st.just("transaction"), st.lists(single, min_size=1, max_size=4), st.booleans())
    return st.one_of(single, single, single, grouped)


@st.composite
def cases(draw: st.DrawFn, kind: str, ids: list[TenantId]) -> Case:
    tenants = draw(st.permutations(ids))[:4]
    of_table = st.tuples(st.sampled_from(["mine0", "mine1"]), rows_of())
    rows = {owner: draw(st.lists(of_table, min_size=1, max_size=6)) for owner in [*tenants, None]}
    chains = {
        tenant: draw(st.lists(acts([each for each in tenants if each != tenant]), min_size=3, max_size=10))
        for tenant in tenants[:-1]  # the last one only owns rows
    }
    return Case(kind, tenants, rows, draw(st.lists(rows_of(), max_size=3)), chains)


class World:
    """The tables of a case in a real database, under names that no other case has."""

    numbers = itertools.count()

    def __init__(self, pool: DatabasePool, case: Case) -> None:
        self.pool = pool
        self.case = case
        self.names = {name: f"{name}_{next(self.numbers)}" for name in ("mine0", "mine1", "shared")}
        with pool.open("setup") as database, database.transaction():
            for name, real in self.names.items():
                owner = "" if name == "shared" else f", owner {case.kind}"
                database.execute(sa.text(f"CREATE TABLE {real} (number integer, total integer, word text{owner})"))
            for row in case.shared:
                database[self.names["shared"]].insert(**row)
            for tenant, rows in case.rows.items():
                for name, row in rows:
                    if tenant is None:
                        database[self.names[name]].insert(**row, owner=None)
                    else:
                        self.workspace(database, tenant)[self.names[name]].insert(**row)

    def workspace(self, database: Database, tenant: TenantId) -> TenantDatabase:
        return TenantDatabase(database, tenant_id=tenant, tenant_column="owner", tenants_table=None)

    def stored(self) -> dict[str, Counter[tuple[Any, ...]]]:
        """All rows, with the owner as the database itself writes it."""
        with self.pool.open("reader") as database:
            return {
                name: Counter(
                    database.execute(
                        sa.text(
                            "SELECT number, total, word"
                            + ("" if name == "shared" else ", TRIM(CAST(owner AS text))")
                            + f" FROM {real}"
                        )
                    ).all()
                )
                for name, real in self.names.items()
            }

    def drop(self) -> None:
        with self.pool.open("end") as database:
            for real in self.names.values():
                database.execute(sa.text(f"DROP TABLE {real}"))


class Model:
    """What one tenant owns, and what its acts must answer."""

    def __init__(self, world: World, tenant: TenantId) -> None:
        self.world = world
        self.tenant = tenant
        self.tables = {
            name: [row for each, row in world.case.rows[tenant] if each == name] for name in ("mine0", "mine1")
        }
        self.tables["shared"] = list(world.case.shared)

    def work(self) -> None:
        """Do the tenant's whole chain in a run of its own."""
        with self.world.pool.open(f"run of {self.tenant}") as database:
            workspace = self.world.workspace(database, self.tenant)
            for act in self.world.case.chains[self.tenant]:
                self.act(workspace, *act)

    def act(self, database: TenantDatabase, verb: str, *how: Any) -> None:
        getattr(self, f"_{verb}")(database, *how)

    def matching(self, table: str, wanted: Row) -> list[Row]:
        return [row for row in self.tables[table] if all(holds(row, *each) for each in wanted.items())]

    def query(self, database: TenantDatabase, table: str, wanted: Row) -> TableQuery:
        """A query of these conditions, one after the other."""
        query = database[self.world.names[table]]
        for name, value in wanted.items():
            query = query.where(**{name: value})
        return query

    def _all(self, database: TenantDatabase, table: str, wanted: Row, most: int) -> None:
        rows = self.query(database, table, wanted).order_by(*ORDER).limit(most).all()

        assert [plain(row) for row in rows] == ordered(self.matching(table, wanted))[:most]

    def _count(self, database: TenantDatabase, table: str, wanted: Row, most: int) -> None:
        query = self.query(database, table, wanted)

        assert query.count() == len(self.matching(table, wanted))
        assert query.limit(most).count() == min(most, len(self.matching(table, wanted)))

    def _first(self, database: TenantDatabase, table: str, wanted: Row) -> None:
        row = self.query(database, table, wanted).order_by(*ORDER).first()

        assert [row and plain(row)] == (ordered(self.matching(table, wanted))[:1] or [None])

    def _stream(self, database: TenantDatabase, table: str, wanted: Row) -> None:
        if database.in_transaction:  # it reads what is committed only
            return
        rows = list(database.stream(self.query(database, table, wanted).order_by(*ORDER)))

        assert [plain(row) for row in rows] == ordered(self.matching(table, wanted))

    def _insert(self, database: TenantDatabase, table: str, rows: list[Row], names_itself: bool) -> None:
        given = [{**row, "owner": self.tenant} if names_itself else row for row in rows]

        assert database[self.world.names[table]].insert(given) == len(rows)
        self.tables[table] = self.tables[table] + [dict(row) for row in rows]

    def _update(self, database: TenantDatabase, table: str, wanted: Row, changes: Row, names_itself: bool) -> None:
        given = {**changes, "owner": self.tenant} if names_itself else changes
        matching = self.matching(table, wanted)

        assert self.query(database, table, wanted).update(**given) == len(matching)
        self.tables[table] = [row | changes if row in matching else row for row in self.tables[table]]

    def _delete(self, database: TenantDatabase, table: str, wanted: Row) -> None:
        matching = self.matching(table, wanted)

        assert self.query(database, table, wanted).delete() == len(matching)
        self.tables[table] = [row for row in self.tables[table] if row not in matching]

    def _join(self, database: TenantDatabase, table: str, other: str, wanted: Row) -> None:
        left = self.query(database, table, wanted).select().subquery("left_one")
        right = database.selectable(self.world.names[other])
        pairs = sa.select(left.c.number, left.c.total, right.c.total, right.c.word).join_from(
            left, right, left.c.number == right.c.number
        )
        expected = [
            (one["number"], one["total"], two["total"], two["word"])
            for one in self.matching(table, wanted)
            for two in self.tables[other]
            if one["number"] == two["number"]
        ]

        assert Counter(database.unscoped.execute(pairs).all()) == Counter(expected)

    def _refused(self, database: TenantDatabase, table: str, other: TenantId | None, row: Row) -> None:
        """Everything that names another tenant, or nobody, is refused."""
        query = database[self.world.names[table]]
        for misuse in (
            lambda: query.insert(**row, owner=other),
            lambda: query.insert([row, {**row, "owner": self.tenant}, {**row, "owner": other}]),
            lambda: query.update(owner=other),
            lambda: query.where(owner=other),
        ):
            with pytest.raises(DatabaseError, match="but this workspace is that of tenant"):
                misuse()

    def _narrowed(self, database: TenantDatabase, table: str, others: list[TenantId | None], is_asked: bool) -> None:
        """Any other comparison of the tenant column finds fewer rows at most; it follows the column's collation."""
        wanted = [*others, self.tenant] if is_asked else others
        query = database[self.world.names[table]]
        kept = [None if each is None else as_kept(query.table.c.owner, each) for each in wanted]
        found = query.where(owner_in=kept, owner_ne=None).order_by(*ORDER)

        rows = [plain(row) for row in found]

        own = ordered(self.tables[table])
        assert rows == own if is_asked else rows in ([], own if "NOCASE" in self.world.case.kind else [])

    def _transaction(self, database: TenantDatabase, chain: list[Act], fails: bool) -> None:
        before = dict(self.tables)
        try:
            with database.transaction():
                for act in chain:
                    self.act(database, *act)
                if fails:
                    raise LookupError
        except LookupError:
            self.tables = before


def holds(row: Row, name: str, value: Any) -> bool:
    tests: dict[str, Callable[[], bool]] = {
        "number": lambda: row["number"] == value,
        "total_lt": lambda: row["total"] < value,
        "total_ne": lambda: row["total"] != value,
        "number_in": lambda: row["number"] in value,
        "word_begins_with": lambda: row["word"].startswith(value),
    }
    return tests[name]()


def ordered(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["number"], -row["total"], row["word"]))


def plain(row: Any) -> Row:
    return {name: row[name] for name in ("number", "total", "word")}


def values(row: Row) -> tuple[Any, ...]:
    return row["number"], row["total"], row["word"]


def kept_as(tenant: TenantId, kind: str) -> str:
    return tenant.hex if isinstance(tenant, UUID) and kind == "char(32)" else str(tenant)


def check(pool: DatabasePool, case: Case) -> None:
    world = World(pool, case)
    models = {tenant: Model(world, tenant) for tenant in case.tenants}

    with ThreadPoolExecutor(len(case.chains)) as threads:
        for ended in [threads.submit(models[tenant].work) for tenant in case.chains]:
            ended.result()

    for name, stored in world.stored().items():
        if name == "shared":
            assert stored == Counter(values(row) for row in case.shared)
            continue
        expected = Counter(
            (*values(row), kept_as(tenant, case.kind)) for tenant in case.tenants for row in models[tenant].tables[name]
        )
        assert stored == expected + Counter((*values(row), None) for each, row in case.rows[None] if each == name)
    world.drop()


@pytest.mark.timeout(1800 if IS_SOAKING else 120)
def test_no_tenant_reads_or_changes_the_rows_of_another(pool: DatabasePool):
    for kind, ids in (SQLITE_IDS if pool.is_sqlite else IDS).items():
        # A failing case is not shrunk: threads take turns as they like, and it would take minutes.
        @settings(
            max_examples=100 if IS_SOAKING else 5,
            deadline=None,
            derandomize=not IS_SOAKING,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases(kind, ids))
        def check_one(case: Case) -> None:
            check(pool, case)

        check_one()
