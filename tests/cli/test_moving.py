"""move-ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bots import rows

from .conftest import Pinstripe

LEDGER = ".pinstripe/ledger.db"


@pytest.fixture
def used(shop: Path, pinstripe: Pinstripe) -> Path:
    """A project of which one job has run."""
    assert pinstripe("run-background-job", "cleanup", at=shop).exit_code == 0
    return shop


def set_database(shop: Path, url: str) -> None:
    settings = shop / "pinstripe.toml"
    settings.write_text(f'{settings.read_text()}[database]\nurl = "{url}"\n')


def test_a_ledger_moves_and_what_to_set_is_said(used: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("move-ledger", "sqlite:///elsewhere.db", at=used)

    assert result.exit_code == 0, result.output
    first, *others = result.stdout.splitlines()
    assert first == (
        f"Moved 3 rows (1 occurrence, 1 run) from {used / LEDGER} to {used / 'elsewhere.db'}, and compared them."
    )
    assert others == ["Now set in pinstripe.toml:", "", "[ledger]", f'url = "sqlite:///{used / "elsewhere.db"}"']
    assert rows(used / "elsewhere.db", "SELECT job, state FROM runs") == [("cleanup", "succeeded")]


def test_the_old_place_is_refused_afterwards(used: Path, pinstripe: Pinstripe) -> None:
    pinstripe("move-ledger", "sqlite:///elsewhere.db", at=used)

    result = pinstripe("run-background-job", "cleanup", at=used)

    assert result.exit_code == 4
    assert "has moved to" in result.stderr


def test_it_moves_to_the_database_of_the_project_which_is_its_place_from_then_on(
    used: Path, pinstripe: Pinstripe, fresh_postgres_url: str
) -> None:
    set_database(used, fresh_postgres_url)

    moved = pinstripe("move-ledger", at=used)
    again = pinstripe("run-background-job", "cleanup", at=used)

    assert (moved.exit_code, again.exit_code) == (0, 0), moved.output + again.output
    assert moved.stdout.splitlines()[1] == f"The old file is now {used / LEDGER}.moved; nothing needs it any more."
    assert len(json.loads(pinstripe("runs", "--json", at=used).stdout)) == 2


def test_a_dry_run_moves_nothing(used: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("move-ledger", "sqlite:///elsewhere.db", "--dry-run", "--json", at=used)

    told = json.loads(result.stdout)
    assert (told["dry_run"], told["rows"]["runs"], told["renamed_to"]) == (True, 1, None)
    assert told["to_set"] == {"ledger.url": f"sqlite:///{used / 'elsewhere.db'}"}
    assert not (used / "elsewhere.db").exists()


def test_where_to_must_be_said(used: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("move-ledger", at=used)

    assert (result.exit_code, result.stderr.splitlines()[-1][:21]) == (4, "pinstripe: where to? ")


def test_no_password_is_shown(used: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("move-ledger", "postgresql://me:open-sesame@127.0.0.1:1/shop", at=used)

    assert result.exit_code == 4
    assert "postgresql://me:***@127.0.0.1:1/shop does not answer" in result.stderr
    assert "open-sesame" not in result.output


def test_without_an_unfinished_move_there_is_nothing_to_give_up(used: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("move-ledger", "--give-up", at=used)

    assert (result.exit_code, result.stdout) == (0, "There is no unfinished move of the ledger.\n")
