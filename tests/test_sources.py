from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pinstripe_bot.sources import machine, variable_of


def told(environ: Mapping[str, str], etc: Path) -> tuple[str, str]:
    source = machine(environ, etc)
    return source.table["timezone"], source.origin


@pytest.mark.parametrize(
    ("tz", "name"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        (":Europe/Berlin", "Europe/Berlin"),
        ("/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"),
        ("", "UTC"),
    ],
)
def test_the_variable_tz_names_the_machines_zone(tmp_path: Path, tz: str, name: str) -> None:
    assert told({"TZ": tz}, tmp_path) == (name, "TZ")


@pytest.mark.parametrize("tz", [{}, {"TZ": ":/etc/localtime"}])
def test_without_tz_the_link_names_the_zone(tmp_path: Path, tz: dict[str, str]) -> None:
    (tmp_path / "localtime").symlink_to("../usr/share/zoneinfo/America/New_York")
    (tmp_path / "timezone").write_text("Europe/Berlin\n", encoding="utf-8")

    assert told(tz, tmp_path) == ("America/New_York", "/etc/localtime")


def test_a_link_to_a_link_names_the_zone(tmp_path: Path) -> None:
    (tmp_path / "localtime").symlink_to("static")
    (tmp_path / "static").symlink_to("/usr/share/zoneinfo/posix/Asia/Tokyo")

    assert told({}, tmp_path) == ("Asia/Tokyo", "/etc/localtime")


def test_where_the_link_is_a_plain_file_the_text_names_the_zone(tmp_path: Path) -> None:
    (tmp_path / "localtime").write_bytes(b"TZif2")
    (tmp_path / "timezone").write_text("Europe/Berlin\n", encoding="utf-8")

    assert told({}, tmp_path) == ("Europe/Berlin", "/etc/timezone")


def test_a_link_that_names_no_zone_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "localtime").symlink_to("localtime")
    (tmp_path / "timezone").write_text("Europe/Berlin\n", encoding="utf-8")

    assert told({}, tmp_path) == ("Europe/Berlin", "/etc/timezone")


def test_a_machine_that_names_no_zone_is_in_utc(tmp_path: Path) -> None:
    assert told({}, tmp_path) == ("UTC", "default")


def test_the_variable_of_a_nested_setting_joins_the_names() -> None:
    assert variable_of("ledger.url") == "PINSTRIPE_LEDGER__URL"
