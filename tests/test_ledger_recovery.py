from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from bots import Ears, crash, rows

from pinstripe_bot.config import Config
from pinstripe_bot.errors import LedgerDamaged, LedgerError
from pinstripe_bot.ledger import Ledger

NOW = datetime(2026, 11, 23, 22, 45, tzinfo=UTC)


@pytest.fixture
def ledger(root: Path) -> Ledger:
    return Ledger.of(Config(), root)


def damage(ledger: Ledger, *, at: int = 0, size: int = 4096) -> Path:
    """Write over a part of the ledger's file, which a bot has used before."""
    ledger.open("shop", NOW)
    ledger.close(NOW)
    path = ledger.store.path
    assert path is not None
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * size)
    return path


def test_a_damaged_ledger_is_refused(ledger: Ledger) -> None:
    path = damage(ledger)
    before = path.read_bytes()

    with pytest.raises(LedgerDamaged, match=r"is damaged.*--recover, which moves it aside"):
        ledger.open("shop", NOW)

    assert path.read_bytes() == before


@pytest.mark.parametrize("at", [0, 100, 8192])
def test_to_recover_it_is_moved_aside_loudly_and_a_new_one_begins(ledger: Ledger, at: int) -> None:
    path = damage(ledger, at=at)
    damaged = path.read_bytes()

    with Ears() as ears:
        opened = ledger.open("shop", NOW, recover=True)

    aside = path.with_name("ledger.db.damaged-20261123T224500Z")
    assert opened.is_new
    assert aside.read_bytes() == damaged
    assert rows(ledger, "SELECT count(*) FROM bots") == [(1,)]
    assert ears.heard == [{"event": "ledger_recovered", "place": str(path), "moved_to": str(aside)}]
    ledger.close(NOW)


def test_a_sound_ledger_is_not_moved(ledger: Ledger) -> None:
    ledger.open("shop", NOW)
    ledger.close(NOW)

    opened = ledger.open("shop", NOW, recover=True)

    assert not opened.is_new
    ledger.close(NOW)


def test_another_programs_database_is_not_moved(ledger: Ledger, root: Path) -> None:
    path = root / ".pinstripe" / "ledger.db"
    ledger.open("shop", NOW)
    with ledger.store.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE accounts (id INTEGER)")
        connection.exec_driver_sql("DELETE FROM ledger")
    crash(ledger)

    with pytest.raises(LedgerError, match="another program's database"):
        ledger.open("shop", NOW, recover=True)

    assert path.exists()


def test_a_damaged_ledger_that_another_bot_uses_is_not_moved(ledger: Ledger, root: Path) -> None:
    other = Ledger.of(Config(), root)
    path = damage(ledger)
    path.unlink()
    other.open("shop", NOW)
    other.store.close()  # its lock is still held
    path.write_bytes(b"\xff" * 8192)

    with pytest.raises(LedgerError, match="in use by another bot: stop that one first"):
        ledger.open("shop", NOW, recover=True)

    assert path.exists()
    crash(other)


def test_also_a_large_file_is_looked_through(ledger: Ledger) -> None:
    ledger.open("shop", NOW)
    with ledger.store.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE ballast (text)")
        connection.exec_driver_sql("INSERT INTO ballast VALUES (zeroblob(40000000))")
    ledger.close(NOW)
    damage(ledger, at=5 * 4096)

    opened = ledger.open("shop", NOW, recover=True)

    assert opened.is_new
    ledger.close(NOW)
