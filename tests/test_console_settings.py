from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pinstripe_bot.config import Config, describe, load_config
from pinstripe_bot.console_settings import ConsoleConfig
from pinstripe_bot.errors import InvalidConfig

SECRET = "correct-horse-battery"
HASH = "scrypt:32768:8:1:dv7MgJ4Rmx9xCu96oV-C-Q:Z_szVrzY2F1nTaGIG50xFi9QE4ZFtBVcfoBV-TYQx5U"


def console(root: Path, toml: str = "", **variables: str) -> ConsoleConfig:
    """What `[console]` with these lines, and these variables, come to."""
    return loaded(root, toml, **variables).console


def loaded(root: Path, toml: str, **variables: str) -> Config:
    (root / "pinstripe.toml").write_text(f"[console]\n{toml}\n", encoding="utf-8")
    return load_config(root, environ={"TZ": "UTC", **variables}).config


def refused(root: Path, toml: str, **variables: str) -> str:
    with pytest.raises(InvalidConfig) as caught:
        loaded(root, toml, **variables)
    return str(caught.value)


def test_a_console_without_settings_is_open_to_nobody_from_afar(tmp_path: Path) -> None:
    config = console(tmp_path)

    assert config == ConsoleConfig()
    assert not config.is_protected
    assert not config.read_only


@pytest.mark.parametrize(
    "toml",
    [
        f"password_hash = '{HASH}'",
        f"token = '{SECRET}'",
        "proxy_header = 'X-Forwarded-User'\nproxy_addresses = ['10.0.0.7']",
    ],
)
def test_a_password_a_token_or_a_proxy_protects(tmp_path: Path, toml: str) -> None:
    assert console(tmp_path, toml).is_protected


@pytest.mark.parametrize("toml", ["hosts = ['console.example']", "read_only = true", "proxy_addresses = ['10.0.0.7']"])
def test_nothing_else_does(tmp_path: Path, toml: str) -> None:
    assert not console(tmp_path, toml).is_protected


def test_several_hosts_in_a_variable_are_separated_by_blanks(tmp_path: Path) -> None:
    config = console(
        tmp_path, PINSTRIPE_CONSOLE__HOSTS="console.example  10.0.0.7", PINSTRIPE_CONSOLE__READ_ONLY="true"
    )

    assert config.hosts == ("console.example", "10.0.0.7")
    assert config.read_only


def test_addresses_and_networks_are_read(tmp_path: Path) -> None:
    config = console(tmp_path, "proxy_addresses = ['10.0.0.7', '10.1.0.0/16', 'fd00::/8']")

    assert [str(network) for network in config.proxies] == ["10.0.0.7/32", "10.1.0.0/16", "fd00::/8"]


def test_a_header_that_anybody_could_send_is_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, "proxy_header = 'X-Forwarded-User'")

    assert said == (
        "pinstripe.toml, line 2: console.proxy_header = 'X-Forwarded-User' without console.proxy_addresses would let"
        " anybody name anybody: write the addresses of the proxy that sets it"
    )


@pytest.mark.parametrize(
    "toml",
    [
        "token = 'too short'",
        "token = 'there is a blank in it'",
        "token = 'sixteen letters, ä'",
        "hosts = ['http://console.example']",
        "hosts = ['console.example:3000']",
        "hosts = ['*.example']",
        "hosts = ['']",
        "hosts = 3",
        "proxy_header = 'X Forwarded'",
        "proxy_header = ''",
        "proxy_addresses = ['proxy.example']",
        "proxy_addresses = ['10.0.0.7/8']",
        "read_only = 'perhaps'",
        "password_hash = 'correct-horse-battery'",
        "password_hash = 7",
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_in_one_sentence(tmp_path: Path, toml: str) -> None:
    said = refused(tmp_path, toml)

    assert said.startswith(f"pinstripe.toml, line 2: console.{toml.split(' ')[0]}")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("toml", [f"password_hash = '{SECRET}'", f"token = '{SECRET} {SECRET}'"])
def test_a_secret_does_not_show_in_a_problem(tmp_path: Path, toml: str) -> None:
    assert SECRET not in refused(tmp_path, toml)


def test_the_secrets_are_not_described(tmp_path: Path) -> None:
    (tmp_path / "pinstripe.toml").write_text(f"[console]\npassword_hash = '{HASH}'\ntoken = '{SECRET}'\n")

    shown: dict[str, Any] = {row.key: row.value for row in describe(load_config(tmp_path, environ={"TZ": "UTC"}))}

    assert (shown["console.password_hash"], shown["console.token"]) == ("redacted", "redacted")
    assert (shown["console.hosts"], shown["console.read_only"]) == ("[]", "false")
