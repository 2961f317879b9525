from __future__ import annotations

from pathlib import Path

import pytest

from pinstripe_bot.config import Config, DatabaseConfig, LedgerConfig
from pinstripe_bot.errors import LedgerError
from pinstripe_bot.ledger_place import ledger_place, ledger_url
from pinstripe_bot.ledger_postgres import PostgresStore
from pinstripe_bot.ledger_sqlite import SqliteStore

POSTGRES = "postgresql://me:hunter2@db.example/shop"
SHOP = Path("/srv/shop")


def settings(ledger: str | None = None, database: str | None = None) -> Config:
    return Config(ledger=LedgerConfig(url=ledger), database=DatabaseConfig(url=database))


def test_the_ledger_lies_in_the_project_unless_told_otherwise() -> None:
    place = ledger_place(settings(), SHOP)

    assert place.store().path == Path("/srv/shop/.pinstripe/ledger.db")
    assert (place.is_own, place.moves_to) == (True, None)


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///data/bot.db", "/srv/shop/data/bot.db"), ("sqlite:////var/lib/bot.db", "/var/lib/bot.db")],
)
def test_a_ledger_url_names_a_file(url: str, path: str) -> None:
    assert ledger_place(settings(url), SHOP).store().path == Path(path)


@pytest.mark.parametrize(
    ("url", "is_own"),
    [("sqlite:///data/bot.db", True), ("sqlite:////var/lib/bot.db", False), ("sqlite:///../bot.db", False)],
)
def test_a_file_inside_the_project_is_its_own(url: str, is_own: bool) -> None:
    assert ledger_place(settings(url), SHOP).is_own is is_own


@pytest.mark.parametrize("url", [POSTGRES, POSTGRES.replace("postgresql", "postgres"), f"{POSTGRES}?sslmode=require"])
def test_a_ledger_url_names_a_database(url: str) -> None:
    place = ledger_place(settings(url), SHOP)

    store = place.store()
    assert isinstance(store, PostgresStore)
    assert store.place == "postgresql://me:***@db.example/shop"
    assert not place.is_own


def test_the_projects_postgresql_holds_its_ledger_too(tmp_path: Path) -> None:
    place = ledger_place(settings(database=POSTGRES), tmp_path)

    assert isinstance(place.store(), PostgresStore)
    assert (place.is_own, place.moves_to) == (False, None)


def test_the_projects_sqlite_does_not(tmp_path: Path) -> None:
    store = ledger_place(settings(database="sqlite:///shop.db"), tmp_path).store()

    assert isinstance(store, SqliteStore)
    assert store.path == tmp_path / ".pinstripe" / "ledger.db"


def test_a_ledger_url_counts_more_than_the_projects_database() -> None:
    assert ledger_place(settings("sqlite:///bot.db", POSTGRES), SHOP).store().path == Path("/srv/shop/bot.db")


def test_a_file_that_is_there_stays_in_use_and_says_where_it_could_move(tmp_path: Path) -> None:
    tmp_path.joinpath(".pinstripe").mkdir()
    tmp_path.joinpath(".pinstripe", "ledger.db").touch()

    place = ledger_place(settings(database=f"{POSTGRES}?sslmode=require"), tmp_path)

    assert place.store().path == tmp_path / ".pinstripe" / "ledger.db"
    assert place.moves_to == "postgresql://me:***@db.example/shop"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:hunter2@host/shop",
        "mysql://host/shop?password=hunter2",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_a_url_that_cannot_hold_a_ledger_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(LedgerError, match=r"cannot hold a ledger: write .sqlite:///path/to/ledger\.db") as refusal:
        ledger_url(url, SHOP)

    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("url", ["", "no url", "a://b:hunter2:d/", "postgresql://me:hunter2@host:port/shop"])
def test_what_is_no_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(LedgerError, match=r"ledger\.url is no URL: write") as refusal:
        ledger_url(url, SHOP)

    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_password_with_an_at_sign_is_told_apart() -> None:
    with pytest.raises(LedgerError, match="has an @ in its password: write it as %40") as refusal:
        ledger_url("postgresql://me:hun@ter2@host/shop", SHOP)

    assert "ter2" not in str(refusal.value)


def test_a_database_url_that_is_none_is_refused_by_its_name() -> None:
    with pytest.raises(LedgerError, match=r"database\.url is no URL") as refusal:
        ledger_place(settings(database="postgresql://me:hunter2@host:port/shop"), SHOP)

    assert "hunter2" not in str(refusal.value)


def test_a_database_of_another_kind_does_not_hold_the_ledger(tmp_path: Path) -> None:
    assert isinstance(ledger_place(settings(database="mysql://me@host/shop"), tmp_path).store(), SqliteStore)
