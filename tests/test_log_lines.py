from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pinstripe_bot.log_lines import console_line, json_line, plain_line

AT = 1_791_374_401.25  # 2026-10-07 12:00:01.250 UTC


def event(**keys: Any) -> dict[str, Any]:
    return {"event": "run_failed", "level": "error", "timestamp": AT, **keys}


class Rude:
    """A value that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("not me")


class Shop:
    def __repr__(self) -> str:
        return "Shop(3)"


def test_json_keys_stand_in_a_fixed_order() -> None:
    line = json_line(event(zeta=1, duration_ms=5, job="sweep", alpha=2, attempt=1))

    assert list(json.loads(line)) == [
        "timestamp", "level", "event", "job", "attempt", "duration_ms", "zeta", "alpha"
    ]  # fmt: skip


def test_json_time_is_utc_with_milliseconds() -> None:
    assert json.loads(json_line(event()))["timestamp"] == "2026-10-07T12:00:01.250Z"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (3, 3),
        ([1, "a"], [1, "a"]),
        (Path("/srv/shop"), "/srv/shop"),
        (Shop(), "Shop(3)"),
        (Rude(), "<Rude: RuntimeError in repr>"),
        (2**70, 2**70),
        ({(1, 2): 3}, {"(1, 2)": 3}),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_every_value_finds_its_way_into_json(value: Any, written: Any) -> None:
    line = json.loads(json_line(event(value=value, other="kept")))

    assert (line["value"], line["other"]) == (written, "kept")


def test_a_list_that_holds_itself_finds_its_way_into_json() -> None:
    endless: list[Any] = []
    endless.append(endless)

    assert json.loads(json_line(event(value=endless)))["value"] == "[[...]]"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("acme", "acme"),
        ("*/5 * * * *", "'*/5 * * * *'"),
        ("", "''"),
        ("a=b", "'a=b'"),
        ("Zoë", "Zoë"),
        (1.5, "1.5"),
        (None, "None"),
        ("two\nlines", "'two\\nlines'"),
        ("\033[2J", "'\\x1b[2J'"),
        ({"a": 1}, "{'a': 1}"),
        (Rude(), "<Rude: RuntimeError in repr>"),
    ],
)
def test_the_console_shows_a_value_on_one_line(value: Any, shown: str) -> None:
    assert console_line(colors=False)(event(value=value)).endswith(f" value={shown}")


def test_the_console_leaves_out_keys_of_a_run_that_say_nothing() -> None:
    assert "tenant" not in console_line(colors=False)(event(job="sweep", tenant=""))


def test_an_event_cannot_forge_another_line() -> None:
    line = console_line(colors=False)(event(event="sold\n12:00:00 info all_well\033[0m"))

    assert "sold\\n12:00:00 info all_well\\x1b[0m" in line
    assert len(line.splitlines()) == 1


def test_a_traceback_keeps_its_lines_but_cannot_steer_the_terminal() -> None:
    line = console_line(colors=True)(event(traceback="Traceback:\n\tValueError: \033[2J\n"))

    assert line.splitlines()[1:] == ["Traceback:", "\tValueError: \\x1b[2J"]


def test_a_plain_line_leaves_out_the_keys_of_the_run() -> None:
    line = plain_line(event(job="sweep", run_id="r1", shop="north", traceback="Traceback:\n  boom"))

    assert line == "2026-10-07T12:00:01.250Z error run_failed shop=north\nTraceback:\n  boom"
