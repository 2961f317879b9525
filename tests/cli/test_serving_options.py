"""start-server and start-bot, as far as they refuse to start; tests/system/test_serving.py runs them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import BROKEN, Pinstripe


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


@pytest.mark.parametrize("command", ["start-server", "start-bot"])
def test_require_all_lists_what_is_broken_and_refuses(shop: Path, pinstripe: Pinstripe, command: str) -> None:
    (shop / "lib/background_jobs/broken.py").write_text(BROKEN)
    (shop / "lib/background_jobs/empty.py").write_text("")

    result = pinstripe(command, "--require-all", at=shop)

    assert result.exit_code == 2
    told, first, second = result.stderr.splitlines()
    assert told == "pinstripe: --require-all, and the project is not whole:"
    assert first.startswith("  lib/background_jobs/broken.py:1: ImportError: ")
    assert second.startswith("  lib/background_jobs/empty.py:1: there is no job in this file")
    assert not (shop / ".pinstripe").exists()


@pytest.mark.parametrize("flags", [[], ["--without-bot"]])
def test_a_given_address_that_is_taken_exits_with_3(
    shop: Path, pinstripe: Pinstripe, taken: str, flags: list[str]
) -> None:
    result = pinstripe("start-server", "--host", taken, *flags, at=shop)

    assert result.exit_code == 3
    assert result.stderr == (
        f"pinstripe: {taken} is taken by another program: stop it, or give another address with --host\n"
    )
    assert not (shop / ".pinstripe").exists()


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--host", "nowhere", "--host: server.host: 'nowhere' is not \"HOST:PORT\""),
        ("--host", "127.0.0.1:99999", "--host: server.host: '127.0.0.1:99999' is not"),
        ("--workers", "0", "--workers: workers = 0 is not accepted: write a whole number from 1 to 1000"),
        ("--shutdown-timeout", "soon", "--shutdown-timeout: shutdown_timeout: "),
    ],
)
def test_a_wrong_value_names_its_option(shop: Path, pinstripe: Pinstripe, option: str, value: str, told: str) -> None:
    result = pinstripe("start-server", option, value, at=shop)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"pinstripe: {told}")


def test_an_application_that_cannot_be_loaded_exits_with_3(
    shop: Path, pinstripe: Pinstripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINSTRIPE_SERVER__APP", "no_such_module:app")

    result = pinstripe("start-server", at=shop)

    assert result.exit_code == 3
    assert result.stderr.startswith(
        "pinstripe: server.app = 'no_such_module:app' cannot be loaded (ModuleNotFoundError"
    )


def test_a_ledger_on_another_database_is_refused_before_anything_runs(
    shop: Path, pinstripe: Pinstripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINSTRIPE_LEDGER__URL", "postgresql://localhost/ledger")

    result = pinstripe("start-bot", at=shop)

    assert result.exit_code == 4
    assert result.stderr.startswith("pinstripe: ")
    assert result.stderr.count("\n") == 1
