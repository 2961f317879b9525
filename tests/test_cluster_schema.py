from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import procrastinate
import psycopg
import pytest
from procrastinate.schema import SchemaManager, migrations_path
from sqlalchemy import make_url

from pinstripe_bot.cluster_schema import check_cluster, init_cluster
from pinstripe_bot.config import Config, LedgerConfig
from pinstripe_bot.errors import LedgerError, LedgerUnavailable
from pinstripe_bot.ledger_place import ledger_place
from pinstripe_bot.ledger_store import LedgerStore
from pinstripe_bot.testing import TravelClock

SCRIPTS = sorted(path.name for path in migrations_path.glob("*.sql"))


@pytest.fixture
def store(root: Path, fresh_postgres_url: str) -> Iterator[LedgerStore]:
    """The open database of a ledger, with no cluster yet."""
    store = ledger_place(Config(ledger=LedgerConfig(url=fresh_postgres_url)), root).store()
    store.open("shop", TravelClock().now())
    yield store
    store.close()


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as server:
        for statement in statements:
            server.execute(statement.encode())


def functions(url: str) -> list[tuple[str, ...]]:
    """The tables and functions of the cluster, by their names."""
    with psycopg.connect(url) as server:
        return server.execute(
            "SELECT proname, pg_get_function_arguments(oid) FROM pg_proc"
            " WHERE pronamespace = 'pinstripe_cluster'::regnamespace"
            " UNION ALL SELECT tablename, '' FROM pg_tables WHERE schemaname = 'pinstripe_cluster' ORDER BY 1, 2"
        ).fetchall()


def test_new_tables_are_made_beside_the_ledger_and_found_in_order(store: LedgerStore) -> None:
    done = init_cluster(store)

    assert done.is_new
    check_cluster(store)


def test_made_again_nothing_changes(store: LedgerStore) -> None:
    init_cluster(store)

    done = init_cluster(store)

    assert (done.is_new, done.applied) == (False, ())


def test_made_by_two_at_once_one_of_them_finds_them_made(
    store: LedgerStore, monkeypatch: pytest.MonkeyPatch, root: Path, fresh_postgres_url: str
) -> None:
    other = ledger_place(Config(ledger=LedgerConfig(url=fresh_postgres_url)), root).store()
    other.open("shop", TravelClock().now())
    get_schema = SchemaManager.get_schema

    def get_schema_while_another_one_makes_them() -> str:
        monkeypatch.undo()
        init_cluster(other)
        return get_schema()

    monkeypatch.setattr(SchemaManager, "get_schema", get_schema_while_another_one_makes_them)

    done = init_cluster(store)

    other.close()
    assert (done.is_new, done.applied) == (False, ())
    check_cluster(store)


def test_a_user_who_may_make_no_schema_uses_the_one_that_was_made_for_it(
    store: LedgerStore, root: Path, fresh_postgres_url: str
) -> None:
    url, user = make_url(fresh_postgres_url), f"u{secrets.token_hex(8)}"
    run(fresh_postgres_url, f"CREATE ROLE {user} LOGIN", "DROP SCHEMA pinstripe CASCADE")
    run(fresh_postgres_url, f"CREATE SCHEMA pinstripe AUTHORIZATION {user}")
    place = ledger_place(Config(ledger=LedgerConfig(url=str(url.set(username=user)))), root)
    theirs = place.store()
    theirs.open("shop", TravelClock().now())
    with pytest.raises(LedgerUnavailable, match="is not open to this user: permission denied"):
        init_cluster(theirs)
    run(fresh_postgres_url, f"CREATE SCHEMA pinstripe_cluster AUTHORIZATION {user}")

    done = init_cluster(theirs)

    check_cluster(theirs)
    theirs.close()
    run(fresh_postgres_url, f"DROP OWNED BY {user}", f"DROP ROLE {user}")
    assert done.is_new


def test_older_tables_are_refused_at_a_start_and_brought_up_to_date(
    store: LedgerStore, fresh_postgres_url: str
) -> None:
    """They are made by the library's own scripts, up to a release before; the last ones are then applied."""
    newest = functions_of_a_new_one(store, fresh_postgres_url)
    old, missing = SCRIPTS[:-3], SCRIPTS[-3:]
    path = "SET search_path = pinstripe_cluster; "
    run(
        fresh_postgres_url,
        "DROP SCHEMA pinstripe_cluster CASCADE; CREATE SCHEMA pinstripe_cluster",
        *(path + (migrations_path / name).read_text() for name in old),
        "CREATE TABLE pinstripe_cluster.installed"
        " (script text PRIMARY KEY, version text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
        f"INSERT INTO pinstripe_cluster.installed SELECT unnest(ARRAY{old}), '3.3.0'",
    )
    with pytest.raises(LedgerError, match=r"are older than the installed Procrastinate .*: stop the bots and workers"):
        check_cluster(store)

    done = init_cluster(store)

    assert done.applied == tuple(missing)
    assert functions(fresh_postgres_url) == newest
    check_cluster(store)


def functions_of_a_new_one(store: LedgerStore, url: str) -> list[tuple[str, ...]]:
    init_cluster(store)
    return functions(url)


def test_newer_tables_are_refused(store: LedgerStore, fresh_postgres_url: str) -> None:
    init_cluster(store)
    run(fresh_postgres_url, "INSERT INTO pinstripe_cluster.installed VALUES ('99.00.00_01_new.sql', '99.0.0')")

    for act in (check_cluster, init_cluster):
        with pytest.raises(
            LedgerError, match=rf"Procrastinate 99.0.0, newer than the installed {procrastinate.__version__}"
        ):
            act(store)


def test_missing_tables_are_told_with_what_to_run(store: LedgerStore) -> None:
    with pytest.raises(LedgerError, match="has no tables for a cluster yet: run `pinstripe init-cluster` once"):
        check_cluster(store)
