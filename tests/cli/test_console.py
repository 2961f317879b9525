"""login-address and hash-password."""

from __future__ import annotations

import json
from pathlib import Path

import click.testing
import pytest

from pinstripe_bot.cli import main
from pinstripe_bot.clock import SystemClock
from pinstripe_bot.login_addresses import LoginAddresses
from pinstripe_bot.passwords import matches

from .conftest import Pinstripe

HASH = "scrypt:32768:8:1:dv7MgJ4Rmx9xCu96oV-C-Q:Z_szVrzY2F1nTaGIG50xFi9QE4ZFtBVcfoBV-TYQx5U"


def secret_of(url: str) -> str:
    return url.strip().partition("?key=")[2]


def test_the_address_logs_in(shop: Path, pinstripe: Pinstripe) -> None:
    result = pinstripe("login-address", at=shop)

    assert result.exit_code == 0
    assert result.stdout.startswith("http://127.0.0.1:0/_pinstripe/login?key=")
    assert LoginAddresses(shop / ".pinstripe", SystemClock()).spend(secret_of(result.stdout))
    assert "once, within 10 minutes" in result.stderr


def test_a_port_that_is_not_known_is_told(shop: Path, pinstripe: Pinstripe) -> None:
    assert "any free port" in pinstripe("login-address", at=shop).stderr


def test_the_address_as_json(shop: Path, pinstripe: Pinstripe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINSTRIPE_HOST", "[::1]:3000")

    told = json.loads(pinstripe("login-address", "--json", at=shop).stdout)

    assert told["address"].startswith("http://[::1]:3000/_pinstripe/login?key=")
    assert told["others"] == []
    assert set(told) == {"address", "expires_at", "others"}


def test_other_ways_in_are_named(shop: Path, pinstripe: Pinstripe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINSTRIPE_CONSOLE__PASSWORD_HASH", HASH)

    assert "console.password_hash" in pinstripe("login-address", at=shop).stderr


def test_a_server_without_a_console_is_told(shop: Path, pinstripe: Pinstripe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINSTRIPE_HOST", "10.0.0.5:3000")

    result = pinstripe("login-address", at=shop)

    assert result.exit_code == 2
    assert result.stderr.startswith("pinstripe: the console is shown on none of the addresses in server.host")
    assert not (shop / ".pinstripe").exists()


def test_a_password_is_read_from_stdin() -> None:
    result = click.testing.CliRunner().invoke(main, ["hash-password"], input="open sesame\nnot this\n")

    assert result.exit_code == 0
    assert matches("open sesame", result.stdout.strip())


@pytest.mark.parametrize("typed", ["", "\n", "\r\n"])
def test_an_empty_password_is_refused(typed: str) -> None:
    result = click.testing.CliRunner().invoke(main, ["hash-password"], input=typed)

    assert result.exit_code == 2
    assert result.stderr.startswith("pinstripe: an empty password")
    assert result.stdout == ""
