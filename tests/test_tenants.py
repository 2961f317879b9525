"""Tenants in a table, and what a tenant's run finds, on both databases: through a bot, from the table to the row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bots import job, rows, write_jobs
from sqlalchemy import text

from pinstripe_bot.bot import Bot
from pinstripe_bot.database import Database
from pinstripe_bot.errors import DatabaseError
from pinstripe_bot.project import Project

Shop = Callable[..., Bot]

TENANTS = "'0 0 1 1 *', multi_tenant=True"
IDS_OF_ORDERS = "sorted(order.id for order in workspace.database.orders)"


def orders_of(database: Database, kind: str = "integer") -> None:
    """Two tenants, whose ids are of this kind, with two orders each, and an order of nobody."""
    database.execute(text(f"CREATE TABLE tenants (id {kind}, name text)"))
    database.execute(text(f"CREATE TABLE orders (id integer PRIMARY KEY, tenant_id {kind}, total integer)"))
    database.execute(text("CREATE TABLE states (state text)"))
    database.execute(text("INSERT INTO tenants VALUES (1, 'Acme'), (2, 'Bolt')"))
    database.execute(text("INSERT INTO orders VALUES (1, 1, 10), (2, 1, 20), (3, 2, 30), (4, 2, 40), (5, NULL, 50)"))


@pytest.fixture
def shop(root: Path, database_url: str) -> Iterator[Shop]:
    """A bot of a project with tenants in a table, and with these job files."""
    made: list[Bot] = []

    def shop(settings: dict[str, Any] | None = None, **files: str) -> Bot:
        write_jobs(root, **files)
        given = {"workers": 1, "database.url": database_url, "tenants.table": "tenants", **(settings or {})}
        ledger = {"ledger.url": f"sqlite:///{root}/ledger.db"}
        made.append(Bot(Project.load(root, environ={}, overrides={**ledger, **given})))
        return made[-1]

    yield shop
    for bot in made:
        bot.stop()


def results(bot: Bot, name: str = "work", **tenants: Any) -> list[tuple[str, str, str | None, str | None]]:
    """(tenant, state, result, error) of the job's runs, after it has been run for tenants."""
    bot.run_for_tenants(name, **tenants)
    return rows(bot.ledger, "SELECT tenant, state, result, error FROM runs WHERE job = ? ORDER BY id", name)


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_each_tenants_run_finds_its_own_rows(shop: Shop, database: Database, isolation: str) -> None:
    orders_of(database)
    bot = shop(work=job(f"return {IDS_OF_ORDERS}", f"{TENANTS}, isolation={isolation!r}"))

    found = results(bot)

    assert found == [("1", "succeeded", "[1,2]", None), ("2", "succeeded", "[3,4]", None)]


@pytest.mark.parametrize("kind", ["integer", "bigint", "numeric", "numeric(10,2)", "text", "varchar(9)", ""])
def test_a_tenant_is_found_by_its_id_whatever_keeps_it(
    shop: Shop, database: Database, database_url: str, kind: str
) -> None:
    if not kind and not database_url.startswith("sqlite"):
        pytest.skip("PostgreSQL has no column without a type")
    orders_of(database, kind)
    bot = shop(work=job(f"return [str(workspace.tenant.id), {IDS_OF_ORDERS}]", TENANTS))

    found = results(bot, tenants=["2"])

    assert found == [("2", "succeeded", '["2",[3,4]]', None)]


def test_the_tenant_column_is_the_one_of_the_settings(shop: Shop, database: Database) -> None:
    orders_of(database)
    database.execute(text("ALTER TABLE orders RENAME COLUMN tenant_id TO Shop"))
    bot = shop({"tenants.tenant_column": "shop"}, work=job(f"return {IDS_OF_ORDERS}", TENANTS))

    found = results(bot)

    assert found == [("1", "succeeded", "[1,2]", None), ("2", "succeeded", "[3,4]", None)]


def test_the_table_of_tenants_may_name_its_columns_as_it_likes(shop: Shop, database: Database) -> None:
    database.execute(text("CREATE TABLE shops (shop text, title text, zone text)"))
    database.execute(text("CREATE TABLE orders (id integer, shop text)"))
    database.execute(text("INSERT INTO shops VALUES ('acme', 'Acme', 'Asia/Tokyo'), ('bolt', 'Bolt', NULL)"))
    database.orders.insert([{"id": 1, "shop": "acme"}, {"id": 2, "shop": "bolt"}])
    columns = {"id_column": "shop", "name_column": "title", "timezone_column": "zone", "tenant_column": "shop"}
    own = "[workspace.tenant.name, workspace.tenant.timezone, workspace.database.shops.count()"
    settings = {"tenants.table": "shops", **{f"tenants.{setting}": column for setting, column in columns.items()}}
    bot = shop(settings, work=job(f"return {own}, *{IDS_OF_ORDERS}]", TENANTS))

    found = results(bot)

    assert [result for _, _, result, _ in found] == ['["Acme","Asia/Tokyo",1,1]', '["Bolt",null,1,2]']


def test_a_tenant_column_that_no_table_has_is_refused_before_anything_runs(shop: Shop, database: Database) -> None:
    orders_of(database)
    bot = shop({"tenants.tenant_column": "tenantid"}, work=job(f"return {IDS_OF_ORDERS}", TENANTS))

    with pytest.raises(DatabaseError, match=r"no table has the column 'tenantid', .* correct tenants\.tenant_column"):
        bot.run_for_tenants("work")

    assert rows(bot.ledger, "SELECT id FROM runs") == []


NOT_MINE = "but this workspace is that of tenant 1: leave 'tenant_id' out, or use database.unscoped"

HARMLESS: dict[str, object] = {
    "return ids(db.orders)": [1, 2],
    "return ids(db['orders'].where(total_gt=0).limit(100).order_by('-tenant_id'))": [1, 2],
    "return ids(db.orders.where(total=10) or db.orders.where(tenant_id_in=[2]))": [1],
    "return ids(db.orders.where(tenant_id_in=[1, 2, None]))": [1, 2],
    "return ids(db.orders.where(id_gt=2).limit(10))": [],
    "return ids(db.orders.where(tenant_id=workspace.tenant.id))": [1, 2],
    "return ids(db.orders.where(tenant_id='1'))": [1, 2],
    "return db.orders.where(id=3).first()": None,
    "return db.orders.where(id_in=[1, 3, 5]).count()": 1,
    "return [db.orders.update(total=0), db.orders.where(id=3).delete()]": [2, 0],
    "return [db.orders.where(id=3).update(tenant_id=1), db.orders.delete()]": [0, 2],
    "return [tenant.name for tenant in db.tenants]": ["Acme"],
    "return ids(db.big_orders)": [2],
    "return ids(db.stream(db.unscoped.orders))": [1, 2],
    "return ids(db.unscoped.stream(db.orders))": [1, 2],
    "row = db.orders.first(); row.tenant_id = 2; return ids(db.orders)": [1, 2],
    "row = db.orders.first(); return db.orders.where(id=row.id).update(**vars(row))": 1,
    "db.orders.insert([{'id': 8}, {'id': 9, 'tenant_id': 1}]); return ids(db.orders)": [1, 2, 8, 9],
    "o = db.selectable('orders'); p = o.alias(); return count(select(o, p).join_from(o, p, true()))": 4,
    "o = db.selectable('orders'); return count(select(o).join(db.selectable('tenants'), true()))": 2,
    "return count(db.orders.select().where(or_(true(), db.orders.table.c.id == 3)))": 2,
    "return count(db.orders.select().with_only_columns(db.orders.table.c.id).order_by(None))": 2,
    "return count(select(db.orders.where(total_gt=0).select().subquery('fresh')))": 2,
    "return count(union_all(*[db.orders.select()] * 2).subquery().select())": 4,
    "return in_thread(lambda: ids(workspace.database.orders))": [1, 2],
    "return await asyncio.to_thread(lambda: ids(db.orders))": [1, 2],
    "return workspace.run_background_job('callee').result": ["1", 2],
    "return (await workspace.run_background_job_async('callee')).result": ["1", 2],
    "return workspace.run_background_job('callee-of-each').result": ["1", 2],
    "return workspace.enqueue_background_job('callee-of-each').tenant": "1",
    "object.__setattr__(workspace.tenant, 'id', 2); return ids(db.orders)": [1, 2],
    "db.unscoped.tenants.where(id=1).delete(); return workspace.run_background_job('callee').result": ["1", 0],
}

REFUSED: dict[str, str] = {
    "db.orders.where(tenant_id=2)": f"where() got 2, {NOT_MINE}",
    "db.orders.where(tenant_id='01')": f"where() got '01', {NOT_MINE}",
    "db.orders.where(tenant_id=1.0)": f"where() got a float, {NOT_MINE}",
    "db.orders.where(tenant_id=None)": f"where() got None, {NOT_MINE}",
    "db.orders.where(tenant_id=workspace.tenant)": f"where() got a Tenant, {NOT_MINE}",
    "db.orders.where(tenant=2)": "there is no column 'tenant': did you mean 'tenant_id'?",
    "db.orders.where(_or=[{'tenant_id': 2}])": "there is no column '_or'",
    "db.orders.where({'tenant_id': 2})": "takes 1 positional argument",
    "db.orders.where(total=text('1 OR 1 = 1'))": "takes a value, not SQL",
    "db.orders.all(tenant_id=2)": "unexpected keyword argument 'tenant_id'",
    "db.orders.first().delete()": "'TableRow' object has no attribute 'delete'",
    "db.orders.first().save()": "'TableRow' object has no attribute 'save'",
    "db.orders.insert(id=9, tenant_id=2)": f"insert() got 2, {NOT_MINE}",
    "db.orders.insert([{'id': 8}, {'id': 9, 'tenant_id': 2}])": f"insert() got 2, {NOT_MINE}",
    "db.orders.insert({'id': 9})": "insert() takes a list of rows: write insert([row]), or insert(**row)",
    "db.orders.insert(db.unscoped.orders.all())": "insert() takes dictionaries, not a TableRow",
    "db.orders.insert(**{**vars(db.unscoped.orders.where(id=3).first()), 'id': 9})": f"insert() got 2, {NOT_MINE}",
    "db.orders.update(tenant_id=2)": f"update() got 2, {NOT_MINE}",
    "row = db.orders.first(); row.tenant_id = 2; db.orders.where(id=row.id).update(**vars(row))": NOT_MINE,
    "db.orders.where(id=1).update(id=3)": "the database refused a statement",
    "db.orders.insert(id=3)": "the database refused a statement",
    "db.tenants.insert(id=3)": "insert() got 3, but this workspace is that of tenant 1: leave 'id' out",
    "db.tenants.update(id=2)": "update() got 2, but this workspace is that of tenant 1: leave 'id' out",
    "db.execute(text('DELETE FROM orders'))": "use database.unscoped.execute(...)",
    "db['public.orders'].all()": "there is no table 'public.orders'",
    "workspace.tenant.id = 2": "cannot assign to field 'id'",
    "workspace.database = db.unscoped": "has no setter",
    "db.orders = db.unscoped.orders": "has no attribute 'orders'",
    "db.orders.scope = None": "cannot assign to field 'scope'",
    "workspace.run_background_job('callee-of-each', tenant=2)": "would choose no tenant: name one with --tenant",
    "workspace.enqueue_background_job('callee-of-each', tenant_id=2)": "would choose no tenant",
    "workspace.tenants": "there is no service 'tenants': did you mean 'tenant'?",
}

HEAD = """
from sqlalchemy import or_, select, text, true, union_all

def ids(rows):
    return sorted(row.id for row in rows)

def in_thread(ask):
    told = []
    thread = threading.Thread(target=lambda: told.append(ask()))
    thread.start(); thread.join()
    return told[0]
"""
COUNT = "def count(statement): return len(db.unscoped.execute(statement).all())"
CALLEE = "return [workspace.tenant.key, workspace.database.orders.count()]"


def mistake(body: str) -> str:
    return job(f"db = workspace.database\n{COUNT}\n{body}", TENANTS, head=HEAD)


def test_the_mistakes_of_a_tired_programmer_are_harmless_or_refused(shop: Shop, database: Database) -> None:
    orders_of(database)
    database.execute(text("CREATE VIEW big_orders AS SELECT * FROM orders WHERE total > 10"))
    theirs = database.orders.order_by("id").where(id_in=[3, 4, 5])
    before = [vars(row) for row in theirs]
    named = {f"mistake{number}": body for number, body in enumerate([*HARMLESS, *REFUSED])}
    bot = shop(
        callee=job(CALLEE, "'0 0 1 1 *'"),
        **{"callee-of-each": job(CALLEE, TENANTS)},
        **{name: mistake(body) for name, body in named.items()},
    )

    for name, body in named.items():
        database.orders.where(tenant_id=1).delete()
        database.orders.insert([{"id": 1, "tenant_id": 1, "total": 10}, {"id": 2, "tenant_id": 1, "total": 20}])
        ((_, state, result, error),) = results(bot, name, tenants=["1"])

        assert (body, state) == (body, "succeeded" if body in HARMLESS else "failed"), error
        if body in HARMLESS:
            assert (body, json.loads(result or "null")) == (body, HARMLESS[body])
        else:
            assert REFUSED[body] in json.loads(error or "{}")["message"], body
        assert [vars(row) for row in theirs] == before, body
        if not database.tenants.where(id=1).count():
            database.tenants.insert(id=1, name="Acme")
